//! Any bytes as the rows that name keyspaces.

use super::rows::{catalog_key, decode_catalog_key, decode_id, decode_meta, encode_id, encode_meta};
use crate::coding::Choices;
use crate::error::undamaged;

/// Reads `bytes` as such a row. Whether they are one.
///
/// What was decoded comes back when it is encoded again.
pub(crate) fn read_row(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let kind = choices.byte() % 3;
    let value = choices.rest();
    match kind {
        0 => undamaged(decode_meta(value))
            .map(|next| assert_eq!(decode_meta(&encode_meta(next.into())).ok(), Some(next))),
        1 => undamaged(decode_id(value)).map(|id| assert_eq!(decode_id(&encode_id(id)).ok(), Some(id))),
        _ => decode_catalog_key(value).map(|name| assert_eq!(catalog_key(name), value)),
    }
    .is_some()
}
