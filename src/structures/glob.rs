//! Patterns of keys, fields and members, as Redis matches them: `*`, `?`, `[a-z]`, `[^a]` and `\` before a byte that means
//! itself.
//!
//! A pattern is matched in time that grows with the text times the pattern at the most, whatever stars it has.
#![forbid(unsafe_code)]

/// The longest pattern, in bytes: matching takes time by it for each key that is looked at.
pub const PATTERN_BYTES_MAX: usize = 16 << 10;

/// Whether `text` matches `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    // Behind the last star, and how far what that has taken goes: only that one may have to take more.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            at_pattern += 1;
            star = Some((at_pattern, at_text));
            continue;
        }
        if let Some(len) = matches_one(&pattern[at_pattern..], text[at_text]) {
            at_pattern += len;
            at_text += 1;
            continue;
        }
        let Some((behind, taken)) = &mut star else { return false };
        *taken += 1;
        (at_pattern, at_text) = (*behind, *taken);
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// The bytes that every match begins with.
pub(super) fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..end.unwrap_or(pattern.len())]
}

/// How long the first element of `pattern` is, where it takes `byte`.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (takes, len) = matches_class(class, byte);
            takes.then_some(1 + len)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// Whether the class, whose text follows its bracket, takes `byte`, and how long it is. One that isn't closed goes to the
/// end of the pattern.
fn matches_class(class: &[u8], byte: u8) -> (bool, usize) {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut takes = false;
    loop {
        match &class[at.min(class.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                takes |= *escaped == byte;
                at += 2;
            }
            [start, b'-', end, ..] => {
                takes |= (*start.min(end)..=*start.max(end)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                takes |= *literal == byte;
                at += 1;
            }
        }
    }
    (takes != is_negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_those_of_redis_do() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("user:*", "user:7", true),
            ("user:*", "users", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("[a-c]*", "b1", true),
            ("[c-a]", "b", true),
            ("[a-c]", "d", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[\\]]", "]", true),
            ("[ab", "b", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("**a", "aaa", true),
            ("*?", "", false),
            ("\\", "\\", true),
            ("[]", "a", false),
            ("[^]", "a", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_the_text_times_the_pattern() {
        let pattern = "a*".repeat(2_000) + "b";
        let text = "a".repeat(10_000);

        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn what_stands_before_the_first_sign_is_what_matches_begin_with() {
        for (pattern, prefix) in [("user:*", "user:"), ("a", "a"), ("[a]", ""), ("a\\*", "a"), ("?", "")] {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes());
        }
    }
}
