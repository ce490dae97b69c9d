//! Which known name somebody meant who wrote another.
#![forbid(unsafe_code)]

/// Longer names are not compared: nobody means anything by them.
const NAME_BYTES_MAX: usize = 64;

/// The candidate that is most like `name`, if one is: it begins with it, or at most a third of it differs.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = plain(name);
    let scored = candidates.filter_map(|candidate| {
        let other = plain(candidate);
        let distance = distance(&name, &other);
        let begins = name.len() >= 4 && other.starts_with(&name);
        (begins || distance * 3 <= name.len()).then_some((distance, candidate))
    });
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// What matters of a name: `memtableSize`, `memtable-size` and `memtable_size` are one.
fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many letters have to be put in, left out or changed to make one of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters_put_in_left_out_and_changed() {
        let of = |a: &str, b: &str| distance(&plain(a), &plain(b));

        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("kitten", "sitting"), 3);
        assert_eq!(of("block_size", "blockSize"), 0);
    }

    #[test]
    fn what_is_like_nothing_has_no_nearest() {
        let names = || ["block_size", "data_dir"].into_iter();

        assert_eq!(nearest("blocksize", names()), Some("block_size"));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(nearest("", names()), None);
        assert_eq!(nearest(&"block_size".repeat(100), names()), None);
    }
}
