//! Any bytes as encoded keys, and as values that keys are made of.

use crate::coding::Choices;
use crate::jsondb::key::{BigInt, Key, KeyRange, KeyValue, compare_values, skip};

/// Reads `bytes` as an encoded key, and makes two keys of them. Whether the bytes were a key.
///
/// A key has one encoding, means what it was made of, and keys sort as their values do.
pub(crate) fn read_keys(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let (a, b) = (value(&mut choices, 0), value(&mut choices, 0));
    if let (Ok(first), Ok(second)) = (Key::encode(&a), Key::encode(&b)) {
        assert_eq!(first.cmp(&second), compare_values(&a, &b), "{a:?} and {b:?}");
        comes_back(&first, &a);
        comes_back(&second, &b);
        let pair = Key::from_parts([&first, &second]);
        assert!(pair.is_err() || pair.is_ok_and(|pair| pair.parts() == Some(vec![first.clone(), second])));
        if let Ok(range) = KeyRange::prefix(first.clone()) {
            assert!(range.contains(&first), "a key begins with itself");
        }
    }
    let mut input = bytes;
    let skipped = skip(&mut input);
    assert!(skipped.map_or(input == bytes, |key| [key, input].concat() == bytes));
    let Ok(key) = Key::from_encoded(skipped.unwrap_or(bytes)) else {
        assert!(skipped.is_none(), "what was passed over is no key");
        return false;
    };
    let value = key.decode().expect("it has been checked");
    assert_eq!(Key::encode(&value).ok().as_ref(), Some(&key), "{value:?} has two encodings");
    true
}

fn comes_back(key: &Key, value: &KeyValue) {
    let decoded = key.decode().expect("it has just been encoded");
    assert!(compare_values(&decoded, value).is_eq(), "{decoded:?} was {value:?}");
    assert_eq!(Key::from_encoded(key.as_bytes()).ok().as_ref(), Some(key), "{value:?}");
}

/// A value of any type; often one that is next to another.
fn value(choices: &mut Choices<'_>, depth: usize) -> KeyValue {
    match choices.byte() % 10 {
        0 => KeyValue::Null,
        1 => KeyValue::Bool(choices.byte().is_multiple_of(2)),
        2 => KeyValue::Number(f64::from_bits(choices.number())),
        3 => KeyValue::Number(f64::from(choices.byte()) - 128.0),
        4 => KeyValue::BigInt(BigInt::new(choices.byte() % 2 == 1, choices.piece(40))),
        5 => KeyValue::Date((f64::from_bits(choices.number()) % 9e15).trunc()),
        6 => KeyValue::String(choices.piece(20).iter().map(|byte| u16::from(*byte)).collect()),
        7 => {
            let (pairs, _) = choices.piece(40).as_chunks::<2>();
            KeyValue::String(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
        }
        8 => KeyValue::Binary(choices.piece(20).to_vec()),
        _ if depth < 40 => {
            KeyValue::Array((0..choices.below(4)).map(|_| value(choices, depth + 1)).collect())
        }
        _ => KeyValue::Null,
    }
}
