//! The promises of the codec, over nasty values and random ones.

use std::cmp::Ordering;

use super::*;

/// A random source that a failing test can be run again with: `FLOWDB_SEED=…`.
pub(in crate::jsondb) struct Random(u64);

impl Random {
    /// Takes the seed from the environment, or the time, and prints it for the case that the test fails.
    pub(in crate::jsondb) fn seeded() -> Self {
        let given = std::env::var("FLOWDB_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
        });
        println!("FLOWDB_SEED={seed}");
        Self(seed)
    }

    pub(in crate::jsondb) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(in crate::jsondb) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(in crate::jsondb) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn list<T>(&mut self, len_max: usize, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(len_max + 1)).map(|_| each(self)).collect()
    }
}

fn power_of_two(exponent: usize) -> BigInt {
    let mut magnitude = vec![1 << (exponent % 8)];
    magnitude.resize(1 + exponent / 8, 0);
    BigInt::new(false, &magnitude)
}

/// `number` with its magnitude one up or down in place `place` of base 256, where that carries no farther.
fn nudged(number: &BigInt, place: usize, up: bool) -> BigInt {
    let mut magnitude = vec![0];
    magnitude.extend_from_slice(number.magnitude());
    let mut index = magnitude.len().saturating_sub(1 + place);
    loop {
        magnitude[index] =
            if up { magnitude[index].wrapping_add(1) } else { magnitude[index].wrapping_sub(1) };
        let carries = magnitude[index] == if up { 0 } else { 0xff };
        if !carries || index == 0 {
            return BigInt::new(number.is_negative(), &magnitude);
        }
        index -= 1;
    }
}

fn nasty_numbers() -> Vec<f64> {
    let two_53 = 9_007_199_254_740_992.0;
    let mut numbers = vec![0.0, -0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 10.0, 255.0, 256.0, 1e21, 1e300, 127.0, 128.0];
    numbers.extend([f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, 5e-324, 2.2e-308, f64::EPSILON]);
    numbers.extend([two_53 - 1.0, two_53, two_53 + 2.0, 2.0 * two_53, 1.844_674_407_370_955_2e19]);
    for number in numbers.clone() {
        numbers.extend([-number, number.next_up(), number.next_down()]);
    }
    numbers.retain(|number| !number.is_nan());
    numbers
}

fn nasty_bigints() -> Vec<BigInt> {
    let mut bigints = vec![BigInt::from(0), BigInt::from(1), BigInt::from(5), BigInt::from(255)];
    for exponent in [52, 53, 54, 55, 63, 64, 65, 100, 107, 1022, 1023, 1024, 1025, 2000, 8190] {
        let power = power_of_two(exponent);
        bigints.extend([nudged(&power, 0, false), nudged(&power, 0, true), power]);
    }
    let f64_max = BigInt::from_floor(f64::MAX, &[]).unwrap();
    bigints.extend([
        nudged(&f64_max, 0, true),
        nudged(&f64_max, 0, false),
        nudged(&f64_max, 121, true),
        f64_max,
    ]);
    bigints.push(BigInt::new(false, &[0xff; BIGINT_BYTES_MAX]));
    let negative: Vec<_> = bigints.iter().map(|number| BigInt::new(true, number.magnitude())).collect();
    bigints.extend(negative);
    bigints
}

fn nasty_strings() -> Vec<Vec<u16>> {
    let mut strings: Vec<Vec<u16>> =
        ["", "a", "ab", "b", "\0", "\0\0", "\u{1}", "\u{2}", "a\0", "a\0b", "a\u{1}"]
            .iter()
            .chain(&[
                "\u{7f}",
                "\u{80}",
                "\u{7ff}",
                "\u{800}",
                "\u{d7ff}",
                "\u{e000}",
                "\u{ffff}",
                "\u{10000}",
                "😀",
            ])
            .chain(&["é", "e\u{301}", "日本", "\u{10ffff}"])
            .map(|text| text.encode_utf16().collect())
            .collect();
    strings.extend([vec![0xd800], vec![0xdfff], vec![0xdc00, 0xd800], vec![0xd83d], vec![0xd83d, 0x61]]);
    strings
}

fn nasty_scalars() -> Vec<KeyValue> {
    let mut values = vec![KeyValue::Null, KeyValue::Bool(false), KeyValue::Bool(true)];
    values.extend(nasty_numbers().into_iter().map(KeyValue::Number));
    values.extend(nasty_bigints().into_iter().map(KeyValue::BigInt));
    values.extend([0.0, -1.0, 1.0, 8.64e15, -8.64e15, 1_700_000_000_000.0].map(KeyValue::Date));
    values.extend(nasty_strings().into_iter().map(KeyValue::String));
    let binaries: [&[u8]; 9] = [&[], &[0], &[0, 0], &[0, 255], &[1], &[0, 1], &[255], &[255, 0], &[254, 255]];
    values.extend(binaries.map(|bytes| KeyValue::Binary(bytes.to_vec())));
    values
}

fn nasty_values() -> Vec<KeyValue> {
    let mut values = nasty_scalars();
    let arrays: Vec<_> = values.iter().map(|value| KeyValue::from([value.clone()])).collect();
    values.extend(arrays);
    let empty = KeyValue::Array(vec![]);
    values.extend([empty.clone(), [empty.clone()].into(), [empty.clone(), empty.clone()].into()]);
    values.extend([
        ["a".into(), "b".into()].into(),
        ["ab".into()].into(),
        ["a".into(), KeyValue::Null].into(),
    ]);
    values.extend([[[1.0.into()].into(), 2.0.into()].into(), [[1.0.into(), 2.0.into()].into()].into()]);
    values.push(nested(ARRAY_DEPTH_MAX));
    values.push(nested(ARRAY_DEPTH_MAX - 1));
    values
}

/// `depth` arrays, each but the last the only element of the one around it.
fn nested(depth: usize) -> KeyValue {
    (1..depth).fold(KeyValue::Array(vec![]), |inner, _| [inner].into())
}

pub(in crate::jsondb) fn random_value(random: &mut Random, depth: usize) -> KeyValue {
    match random.below(if depth < 4 { 9 } else { 7 }) {
        0 => random.pick(&nasty_scalars()),
        1 => {
            let number = f64::from_bits(random.next());
            KeyValue::Number(if number.is_nan() { 0.0 } else { number })
        }
        2 => KeyValue::Number(random.below(100) as f64 / 4.0 - 10.0),
        3 => {
            let near = random.pick(&nasty_bigints());
            let (place, up) = (random.below(8), random.below(2) == 0);
            let number = nudged(&near, place, up);
            KeyValue::BigInt(if number.magnitude().len() > BIGINT_BYTES_MAX { near } else { number })
        }
        4 => KeyValue::Date(random.below(1 << 53) as f64 % 8.64e15),
        5 => KeyValue::String(random.list(4, |random| match random.below(3) {
            0 => random.next() as u16,
            1 => random.pick(&[0, 1, 2, 0x7f, 0x80, 0x7ff, 0x800, 0xd800, 0xdfff, 0xffff]),
            _ => u16::from(b'a') + random.below(3) as u16,
        })),
        6 => KeyValue::Binary(random.list(4, |random| {
            let any = random.next() as u8;
            random.pick(&[0, 1, 254, 255, any])
        })),
        _ => KeyValue::Array(random.list(4, |random| random_value(random, depth + 1))),
    }
}

fn assert_round_trip(value: &KeyValue) -> Key {
    let key = Key::encode(value).unwrap();
    let decoded = key.decode().unwrap();
    assert_eq!(&decoded, value);
    assert_eq!(Key::encode(&decoded).unwrap(), key, "{value} has two encodings");
    assert_eq!(Key::from_encoded(key.as_bytes()).unwrap(), key, "{value}");
    key
}

fn assert_order(a: &(KeyValue, Key), b: &(KeyValue, Key)) {
    let expected = compare_values(&a.0, &b.0);
    assert_eq!(a.1.cmp(&b.1), expected, "{} and {}: {:02x?} and {:02x?}", a.0, b.0, a.1.0, b.1.0);
    let is_prefix = a.1.0.starts_with(&b.1.0) || b.1.0.starts_with(&a.1.0);
    assert!(!is_prefix || expected.is_eq(), "{} and {}: one encoding begins with the other", a.0, b.0);
}

#[test]
fn encodings_of_nasty_values_come_back_and_sort_as_the_values_do() {
    let pairs: Vec<_> =
        nasty_values().into_iter().map(|value| (value.clone(), assert_round_trip(&value))).collect();
    for a in &pairs {
        for b in &pairs {
            assert_order(a, b);
        }
    }
}

#[test]
fn encodings_of_random_values_come_back_and_sort_as_the_values_do() {
    let mut random = Random::seeded();
    for _ in 0..40 {
        let pairs: Vec<_> = (0..80)
            .map(|_| random_value(&mut random, 0))
            .map(|value| (value.clone(), assert_round_trip(&value)))
            .collect();
        for a in &pairs {
            for b in &pairs {
                assert_order(a, b);
            }
        }
    }
}

#[test]
fn the_reference_order_is_a_total_order() {
    let mut values = nasty_values();
    values.sort_by(compare_values);
    for (index, a) in values.iter().enumerate() {
        for b in &values[index..] {
            assert_ne!(compare_values(a, b), Ordering::Greater, "{a} and {b}");
            assert_eq!(compare_values(a, b), compare_values(b, a).reverse(), "{a} and {b}");
        }
    }
}

#[test]
fn text_has_the_key_of_its_code_units() {
    for units in nasty_strings() {
        if let Ok(text) = String::from_utf16(&units) {
            assert_eq!(
                Key::from_str(&text).unwrap(),
                Key::encode(&KeyValue::String(units)).unwrap(),
                "{text:?}"
            );
        }
    }
    for (char, len_max) in [("a", ENCODED_KEY_BYTES_MAX - 2), ("é", ENCODED_KEY_BYTES_MAX / 2 - 1)] {
        assert_eq!(Key::from_str(&char.repeat(len_max)).unwrap().0.len(), ENCODED_KEY_BYTES_MAX);
        assert_eq!(Key::from_str(&char.repeat(len_max + 1)).unwrap_err().code(), Code::InvalidKey);
    }
}

#[test]
fn a_string_ends_where_it_ends_whatever_stands_at_which_place_in_it() {
    for len in 0..40 {
        for at in 0..len {
            for special in [0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0xd800] {
                let mut units = vec![u16::from(b'a'); len];
                units[at] = special;
                let key = Key::encode(&KeyValue::String(units)).unwrap();
                let row = [key.as_bytes(), &[1; 9]].concat();
                let mut rest = &row[..];
                assert_eq!(skip(&mut rest), Some(key.as_bytes()), "{special} at {at} of {len}");
                assert_eq!(rest, [1; 9]);
                let bytes = key.as_bytes();
                (0..bytes.len()).for_each(|end| assert_eq!(skip(&mut &bytes[..end]), None));
            }
        }
    }
}

#[test]
fn numbers_and_bigints_of_one_value_are_two_keys_and_minus_zero_is_zero() {
    let number = Key::from_f64(5.0).unwrap();
    let bigint = Key::encode(&BigInt::from(5).into()).unwrap();
    assert!(number < bigint && bigint < Key::from_f64(5.0_f64.next_up()).unwrap());
    assert_eq!(Key::from_f64(-0.0).unwrap(), Key::from_f64(0.0).unwrap());
    assert!(Key::from_f64(-0.0).unwrap().decode().unwrap() == KeyValue::Number(0.0));
    let Ok(KeyValue::Number(zero)) = Key::from_f64(-0.0).unwrap().decode() else { panic!("not a number") };
    assert!(zero.is_sign_positive());
}

#[test]
fn small_keys_are_small() {
    for (key, len) in [
        (Key::from_f64(0.0).unwrap(), 2),
        (Key::from_f64(1.0).unwrap(), 3),
        (Key::from_i64(1000), 4),
        (Key::from_i64(123_456), 5),
        (Key::from_str("user:1").unwrap(), 8),
        (Key::encode(&[KeyValue::Null].into()).unwrap(), 3),
    ] {
        assert_eq!(key.as_bytes().len(), len, "{key:?}: {:02x?}", key.0);
    }
}

/// Whatever a disk or a caller says is a key that encodes to itself, or refused.
fn assert_strict(bytes: &[u8]) {
    match Key::from_encoded(bytes) {
        Ok(key) => {
            let value =
                key.decode().unwrap_or_else(|_| panic!("{bytes:02x?} was accepted but means nothing"));
            assert_eq!(Key::encode(&value).unwrap().0, bytes, "a second encoding of {value}");
        }
        Err(error) => {
            assert_eq!(error.code(), Code::InvalidKey);
            assert!(Key(bytes.to_vec()).decode().is_err(), "{bytes:02x?} was refused but decodes");
        }
    }
}

#[test]
fn every_mutation_of_an_encoding_is_another_canonical_key_or_refused() {
    let mut random = Random::seeded();
    let mut values = nasty_values();
    values.extend((0..200).map(|_| random_value(&mut random, 0)));
    for value in values {
        let bytes = Key::encode(&value).unwrap().into_bytes();
        let places = if bytes.len() <= 64 { 0..bytes.len() } else { 0..24 };
        for place in places {
            for byte in 0..=255 {
                let mut mutated = bytes.clone();
                mutated[place] = byte;
                assert_strict(&mutated);
            }
            assert_strict(&bytes[..place]);
            let mut shortened = bytes.clone();
            shortened.remove(place);
            assert_strict(&shortened);
            let mut lengthened = bytes.clone();
            lengthened.insert(place, random.next() as u8);
            assert_strict(&lengthened);
        }
        assert_strict(&[&bytes[..], &[0]].concat());
    }
}

#[test]
fn random_bytes_are_a_canonical_key_or_refused() {
    let mut random = Random::seeded();
    let tags = [NULL, FALSE, TRUE, NUMBER, DATE, STRING, BINARY, ARRAY, ARRAY_END, 1, 2, 0xff];
    for _ in 0..100_000 {
        let bytes = random.list(16, |random| {
            let any = random.next() as u8;
            let tag = random.pick(&tags);
            random.pick(&[any, tag])
        });
        assert_strict(&bytes);
    }
}

#[test]
fn second_encodings_are_refused() {
    let zeros_dropped = Key::from_f64(1.0).unwrap();
    assert_eq!(zeros_dropped.0, [0x30, 0xbf, 0xf8]);
    for (bytes, why) in [
        (&[0x30, 0xbf, 0xf9, 0x00][..], "a zero group behind the last bit"),
        (&[0x30, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80], "-0"),
        (&[0x30, 0x81], "a number cut short"),
        (&[0x30, 0xff, 0xfc], "NaN"),
        (&[0x50, 0xc1, 0xbf, 0x00], "an overlong two-byte unit"),
        (&[0x50, 0xe0, 0x9f, 0xbf, 0x00], "an overlong three-byte unit"),
        (&[0x50, 0x01, 0x03, 0x00], "an unknown escape"),
        (&[0x60, 0x00, 0x01, 0x00, 0x00], "an unknown binary escape"),
    ] {
        assert!(Key::from_encoded(bytes).is_err(), "{why}");
    }
}

#[test]
fn keys_are_taken_one_by_one_from_a_row_key() {
    let mut random = Random::seeded();
    for _ in 0..200 {
        let keys: Vec<_> = (0..3).map(|_| Key::encode(&random_value(&mut random, 0)).unwrap()).collect();
        let row: Vec<u8> = keys.iter().flat_map(|key| key.0.clone()).chain([0xee]).collect();
        let mut input = &row[..];
        for key in &keys {
            assert_eq!(skip(&mut input), Some(&key.0[..]));
        }
        assert_eq!(input, [0xee]);
        assert_eq!((skip(&mut input), input), (None, &[0xee][..]), "a refusal must take nothing");
    }
}

#[test]
fn what_has_no_place_in_the_order_is_refused() {
    for value in [
        KeyValue::Number(f64::NAN),
        KeyValue::Date(f64::NAN),
        KeyValue::Date(f64::INFINITY),
        KeyValue::Date(0.5),
        KeyValue::Date(8.64e15 + 1.0),
        power_of_two(8192).into(),
        nested(ARRAY_DEPTH_MAX + 1),
        [KeyValue::Null, KeyValue::Number(f64::NAN)].into(),
    ] {
        assert_eq!(Key::encode(&value).unwrap_err().code(), Code::InvalidKey, "{value}");
    }
    assert!(Key::encode(&nested(ARRAY_DEPTH_MAX)).is_ok());
}

#[test]
fn a_key_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    let text = |len| KeyValue::String(vec![b'a'.into(); len]);
    let binary = |len| KeyValue::Binary(vec![7; len]);
    let array = |len| KeyValue::Array(vec![KeyValue::Null; len]);
    for (fits, too_long) in [
        (text(ENCODED_KEY_BYTES_MAX - 2), text(ENCODED_KEY_BYTES_MAX - 1)),
        (binary(ENCODED_KEY_BYTES_MAX - 3), binary(ENCODED_KEY_BYTES_MAX - 2)),
        (array(ENCODED_KEY_BYTES_MAX - 2), array(ENCODED_KEY_BYTES_MAX - 1)),
    ] {
        let key = Key::encode(&fits).unwrap();
        assert_eq!(key.0.len(), ENCODED_KEY_BYTES_MAX);
        assert!(Key::from_encoded(key.0.clone()).is_ok());
        assert_eq!(Key::encode(&too_long).unwrap_err().code(), Code::InvalidKey);
        let mut longer = key.0;
        longer.insert(1, if longer[0] == ARRAY { NULL } else { b'a' });
        assert!(Key::from_encoded(longer).is_err());
    }
}

#[test]
fn an_array_is_built_from_and_split_into_the_keys_of_its_elements() {
    let parts = [Key::from_str("a").unwrap(), Key::from_i64(7), Key::encode(&nested(31)).unwrap()];
    let array = Key::from_parts(&parts).unwrap();
    assert_eq!(array, Key::encode(&["a".into(), 7.0.into(), nested(31)].into()).unwrap());
    assert_eq!(array.parts().unwrap(), parts);
    assert_eq!(Key::from_parts([]).unwrap().parts(), Some(vec![]));
    assert_eq!(Key::from_i64(7).parts(), None);
    assert!(Key::from_parts([&Key::encode(&nested(32)).unwrap()]).is_err(), "33 deep");
    let long = Key::from_str(&"a".repeat(9000)).unwrap();
    assert!(Key::from_parts([&long, &long]).is_err(), "too long");
}

#[test]
fn whole_numbers_beyond_the_exact_range_of_an_f64_become_bigints() {
    for number in [0, 1, -1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN] {
        let key = Key::from_i64(number);
        assert_eq!(key, Key::encode(&number.into()).unwrap());
        let is_exact = number.unsigned_abs() < 1 << 53;
        assert_eq!(matches!(key.decode().unwrap(), KeyValue::Number(_)), is_exact, "{number}");
    }
}

#[test]
fn a_key_prints_its_value_shortly() {
    let key = |value: KeyValue| format!("{:?}", Key::encode(&value).unwrap());
    assert_eq!(key(["a".into(), 1.5.into(), KeyValue::Null].into()), r#"Key(["a", 1.5, null])"#);
    assert_eq!(key(BigInt::from(255).into()), "Key(0xffn)");
    let long = key("é".repeat(1000).as_str().into());
    assert!(long.chars().count() < 100 && long.ends_with("…)"), "{long}");
    assert_eq!(format!("{:?}", Key(vec![0x51])), "Key(position [51])");
}
