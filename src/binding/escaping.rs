//! What has to be escaped in a JSON string, written where the string stands.
//!
//! JavaScript writes long strings as they are into a run, which takes a twentieth of the time of `JSON.stringify`, and
//! has them looked through here. Most have nothing to be escaped.
#![forbid(unsafe_code)]

/// The longest escape, `\u001f`.
const ESCAPE_BYTES_MAX: usize = 6;

/// Escapes the `length` bytes of UTF-8 that stand in `room` at `start`, as `JSON.stringify` does, and gives how many
/// bytes they are then. Where there is no room for so many, they are left as they are. `None` where they don't lie in
/// `room`.
pub(super) fn escape(room: &mut [u8], start: usize, length: usize) -> Option<usize> {
    let text = room.get(start..)?.get(..length)?;
    // All of them are looked at, which takes less than looking where to stop.
    if !text.iter().fold(false, |any, byte| any | is_special(*byte)) {
        return Some(length);
    }
    let escaped = text.iter().map(|byte| escape_of(*byte).1).sum();
    let Some(room) = room.get_mut(start..).and_then(|room| room.get_mut(..escaped)) else {
        return Some(escaped);
    };
    // From the end on: what is still to be read lies before what is written.
    let mut to = escaped;
    for from in (0..length).rev() {
        let (escape, escape_len) = escape_of(room[from]);
        to -= escape_len;
        room[to..to + escape_len].copy_from_slice(&escape[..escape_len]);
    }
    Some(escaped)
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// What a byte is in a JSON string, and the length of that.
fn escape_of(byte: u8) -> ([u8; ESCAPE_BYTES_MAX], usize) {
    let short = |letter| ([b'\\', letter, 0, 0, 0, 0], 2);
    match byte {
        b'"' | b'\\' => short(byte),
        0x08 => short(b'b'),
        b'\t' => short(b't'),
        b'\n' => short(b'n'),
        0x0c => short(b'f'),
        b'\r' => short(b'r'),
        0..=0x1f => {
            let low = b"0123456789abcdef"[usize::from(byte & 0xf)];
            ([b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low], 6)
        }
        _ => ([byte, 0, 0, 0, 0, 0], 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, room: usize) -> (Option<usize>, Vec<u8>) {
        let mut bytes = b"before".to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(6 + room, b'!');
        let length = escape(&mut bytes, 6, text.len());
        (length, bytes)
    }

    #[test]
    fn a_string_is_escaped_as_in_json() {
        let all: String = (0..0x100).filter_map(char::from_u32).chain("€😀".chars()).collect();
        for text in ["", "plain – text", "\"", "ends with \\", "\u{1f}", "a\tb\nc\rd\u{8}e\u{c}f\u{0}g", &all]
        {
            let (length, bytes) = escaped(text, 1000);
            let length = length.unwrap();
            let expected = quoted(text);
            assert_eq!(std::str::from_utf8(&bytes[6..6 + length]).unwrap(), expected);
            assert!(bytes.starts_with(b"before") && bytes[6 + length..].iter().all(|byte| *byte == b'!'));
        }
    }

    /// Letter by letter, by the rules of JSON.
    fn quoted(text: &str) -> String {
        let mut json = String::new();
        for char in text.chars() {
            match char {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                '\0'..='\u{1f}' => json.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => json.push(char),
            }
        }
        json
    }

    #[test]
    fn where_there_is_no_room_nothing_is_changed_and_it_is_said_how_much_is_needed() {
        let text = "line\nline\n";
        let (length, bytes) = escaped(text, 11);
        assert_eq!((length, &bytes[6..16]), (Some(12), text.as_bytes()));
        assert_eq!(escaped(text, 12).1[6..], *b"line\\nline\\n");
    }

    #[test]
    fn what_does_not_lie_in_the_buffer_is_refused() {
        let mut bytes = vec![b'"'; 8];
        for (start, length) in [(0, 9), (8, 1), (9, 0), (usize::MAX, 1), (1, usize::MAX)] {
            assert_eq!(escape(&mut bytes, start, length), None);
        }
    }
}
