//! Any bytes as the rows of series and their records.

use super::rows::{
    catalog_key, decode_catalog_key, decode_definition, decode_meta, decode_row, encode_definition,
    encode_meta, record_prefix, record_row,
};
use crate::coding::Choices;
use crate::error::undamaged;

const SERIES: u64 = 300;

/// Reads `bytes` as such a row. Whether they are one.
///
/// What was decoded comes back when it is encoded again, and records sort by their keys and then by their times.
pub(crate) fn read_row(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let kind = choices.byte() % 5;
    if kind == 0 {
        return records_sort(&mut choices);
    }
    let value = choices.rest();
    match kind {
        1 => undamaged(decode_meta(value))
            .map(|next| assert_eq!(decode_meta(&encode_meta(next)).ok(), Some(next))),
        2 => undamaged(decode_definition(value, b"row")).map(|(id, options)| {
            assert_eq!(decode_definition(&encode_definition(id, options), b"row").ok(), Some((id, options)));
        }),
        3 => decode_catalog_key(value).map(|name| assert_eq!(catalog_key(name), value)),
        _ => read_record(value),
    }
    .is_some()
}

fn read_record(rest: &[u8]) -> Option<()> {
    let prefix = record_prefix(SERIES);
    let row = [&prefix, rest].concat();
    let (key, ts) = undamaged(decode_row(&row, &prefix))?;
    let again = record_row(SERIES, &key, ts).ok()?;
    assert_eq!(undamaged(decode_row(&again, &prefix)), Some((key, ts)));
    Some(())
}

fn records_sort(choices: &mut Choices<'_>) -> bool {
    let mut record = || (choices.piece(16).to_vec(), choices.number() as i64);
    let (a, b) = (record(), record());
    let row = |(key, ts): &(Vec<u8>, i64)| record_row(SERIES, key, *ts).expect("the key is short");
    assert_eq!(row(&a).cmp(&row(&b)), a.cmp(&b), "{a:?} and {b:?}");
    true
}
