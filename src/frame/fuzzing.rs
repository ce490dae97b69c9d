//! Any bytes as what is packed, and as what is unpacked.

use super::{
    Effort, LZ4_EXPANSION_MAX, Packing, compress, find_end, lz4, open, trailer, unpack_behind, verify,
};
use crate::coding::{Choices, put_varint};

/// Packs `bytes` in every way, and unpacks them as if they had been packed. Whether they could be unpacked.
///
/// What is packed comes back, also by a decoder that is not ours; what is unpacked is bounded by what it is unpacked from.
pub(crate) fn pack_and_unpack(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let (len, payload) = (choices.below(1 << 16), choices.rest());
    comes_back(payload);
    let mut stored = Vec::new();
    put_varint(&mut stored, len as u64);
    stored.extend_from_slice(payload);
    let is_frame = unpacks(payload) | unpacks(&stored);
    let mut out = vec![7];
    if unpack_behind(&stored, Packing::Lz4, len, &mut out).is_ok() {
        assert_eq!(out.len(), 1 + len);
    }
    is_frame
}

fn comes_back(payload: &[u8]) {
    let mut block = Vec::new();
    lz4::pack(payload, &mut block);
    let unpacked = lz4_flex::block::decompress(&block, payload.len()).expect("it has just been packed");
    assert_eq!(unpacked, payload);
    for effort in [Effort::Quick, Effort::Thorough] {
        let mut scratch = Vec::new();
        if let Some(stored) = compress(payload, effort, &mut scratch) {
            assert_eq!(open(7, 9, &framed(stored, Packing::Lz4)).as_deref(), Ok(payload), "{effort:?}");
        }
    }
    let frame = framed(payload, Packing::Raw);
    assert_eq!(open(7, 9, &frame).as_deref(), Ok(payload));
    assert!(
        open(8, 9, &frame).is_err() && open(7, 10, &frame).is_err(),
        "it passed for a block from elsewhere"
    );
    // Whoever looks for its end finds it, or the end of a shorter block.
    let end = find_end(7, 9, &frame, &mut 0);
    assert!(payload.is_empty() || end.is_some_and(|end| verify(7, 9, &frame[..end]).is_ok()));
}

fn unpacks(stored: &[u8]) -> bool {
    match open(7, 9, &framed(stored, Packing::Lz4)) {
        Ok(payload) => {
            assert!(payload.len() <= stored.len() * LZ4_EXPANSION_MAX);
            true
        }
        Err(_) => false,
    }
}

fn framed(stored: &[u8], packing: Packing) -> Vec<u8> {
    [stored, &trailer(7, 9, stored, packing)].concat()
}
