//! The golden vectors that hold this codec and `lib/key.js` to the same bytes for ever.
//!
//! `FLOWDB_BLESS=1 cargo test --lib golden` writes them anew; a difference in an old line is a change of format.

use serde_json::{Value, json};

use super::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keys.json");

fn power_of_two(exponent: usize, nudge: i8) -> BigInt {
    let mut magnitude = vec![1 << (exponent % 8)];
    magnitude.resize(1 + exponent / 8, 0);
    match nudge {
        1 => magnitude.iter_mut().last().into_iter().for_each(|last| *last += 1),
        -1 => {
            magnitude[0] -= 1;
            magnitude[1..].fill(0xff);
        }
        _ => {}
    }
    BigInt::new(false, &magnitude)
}

fn negative(number: &BigInt) -> BigInt {
    BigInt::new(true, number.magnitude())
}

fn numbers() -> Vec<(String, KeyValue)> {
    let magnitudes = [
        ("the smallest subnormal", 5e-324),
        ("the largest subnormal", f64::MIN_POSITIVE.next_down()),
        ("the smallest normal number", f64::MIN_POSITIVE),
        ("a fraction that is not exact", 0.1),
        ("a half", 0.5),
        ("the number before one", 1f64.next_down()),
        ("one", 1.0),
        ("the number after one", 1f64.next_up()),
        ("one and a half", 1.5),
        ("two", 2.0),
        ("three", 3.0),
        ("ten", 10.0),
        ("a hundred", 100.0),
        ("a byte's largest", 255.0),
        ("a thousand", 1000.0),
        ("pi", std::f64::consts::PI),
        ("2^31", 2_147_483_648.0),
        ("2^32 - 1", 4_294_967_295.0),
        ("a time in milliseconds", 1_700_000_000_000.0),
        ("the largest safe integer", 9_007_199_254_740_991.0),
        ("2^53", 9_007_199_254_740_992.0),
        ("the number after 2^53", 9_007_199_254_740_994.0),
        ("2^64", 18_446_744_073_709_551_616.0),
        ("1e300", 1e300),
        ("the largest number", f64::MAX),
        ("infinity", f64::INFINITY),
    ];
    let mut numbers =
        vec![("zero".into(), 0.0.into()), ("minus zero, the same key as zero".into(), (-0.0).into())];
    for (name, number) in magnitudes {
        numbers.push((name.to_string(), number.into()));
        numbers.push((format!("minus {name}"), (-number).into()));
    }
    numbers
}

fn bigints() -> Vec<(String, KeyValue)> {
    let f64_max = BigInt::from_floor(f64::MAX, &[]).unwrap();
    let mut after_f64_max = f64_max.magnitude().to_vec();
    after_f64_max[127] = 1;
    let magnitudes = [
        ("bigint one", BigInt::from(1)),
        ("bigint 255", BigInt::from(255)),
        ("bigint 2^53 - 1", power_of_two(53, -1)),
        ("bigint 2^53", power_of_two(53, 0)),
        ("bigint 2^53 + 1: a remainder", power_of_two(53, 1)),
        ("bigint 2^63 - 1: a remainder", power_of_two(63, -1)),
        ("bigint 2^64", power_of_two(64, 0)),
        ("bigint 2^64 + 1: a remainder", power_of_two(64, 1)),
        ("bigint 2^100 - 1: a remainder of several bytes", power_of_two(100, -1)),
        ("bigint 2^1023 + 1: a remainder of one after a floor of 128 bytes", power_of_two(1023, 1)),
        ("bigint of the largest number", f64_max),
        ("bigint one beyond the largest number", BigInt::new(false, &after_f64_max)),
        ("bigint 2^1024", power_of_two(1024, 0)),
        ("bigint 2^2048 + 1", power_of_two(2048, 1)),
        ("the largest bigint, 2^8192 - 1", power_of_two(8192, -1)),
    ];
    let mut bigints = vec![("bigint zero".into(), BigInt::from(0).into())];
    for (name, number) in magnitudes {
        bigints.push((format!("minus {name}"), negative(&number).into()));
        bigints.push((name.to_string(), number.into()));
    }
    bigints
}

fn strings() -> Vec<(String, KeyValue)> {
    let texts = [
        ("the empty string", ""),
        ("NUL", "\0"),
        ("NUL NUL", "\0\0"),
        ("NUL a", "\0a"),
        ("U+0001", "\u{1}"),
        ("U+0002, the first that is not escaped", "\u{2}"),
        ("a space", " "),
        ("a digit", "1"),
        ("a", "a"),
        ("a NUL", "a\0"),
        ("a NUL b", "a\0b"),
        ("a U+0001", "a\u{1}"),
        ("aa", "aa"),
        ("ab", "ab"),
        ("an id", "user:1"),
        ("U+007F, the last of one byte", "\u{7f}"),
        ("U+0080, the first of two bytes", "\u{80}"),
        ("e with an accent, composed", "é"),
        ("e with an accent, decomposed", "e\u{301}"),
        ("U+07FF, the last of two bytes", "\u{7ff}"),
        ("U+0800, the first of three bytes", "\u{800}"),
        ("Japanese", "日本語"),
        ("U+D7FF, the last before the surrogates", "\u{d7ff}"),
        ("U+10000, a pair of surrogates", "\u{10000}"),
        ("an emoji, before U+E000 by code unit", "😀"),
        ("U+10FFFF", "\u{10ffff}"),
        ("U+E000, the first after the surrogates", "\u{e000}"),
        ("U+FFFF", "\u{ffff}"),
    ];
    let lone: [(&str, &[u16]); 4] = [
        ("a lone high surrogate", &[0xd800]),
        ("a lone high surrogate before a letter", &[0xd83d, 0x61]),
        ("a lone low surrogate", &[0xdfff]),
        ("surrogates the wrong way round", &[0xdc00, 0xd800]),
    ];
    let texts = texts.into_iter().map(|(name, text)| (format!("string: {name}"), text.into()));
    let lone =
        lone.into_iter().map(|(name, units)| (format!("string: {name}"), KeyValue::String(units.to_vec())));
    texts.chain(lone).collect()
}

fn others() -> Vec<(String, KeyValue)> {
    let binary = |bytes: &[u8]| KeyValue::Binary(bytes.to_vec());
    let empty = || KeyValue::Array(vec![]);
    let deepest = (1..ARRAY_DEPTH_MAX).fold(empty(), |inner, _| [inner].into());
    let named = [
        ("null", KeyValue::Null),
        ("false", false.into()),
        ("true", true.into()),
        ("the earliest date", KeyValue::Date(-8.64e15)),
        ("a date before 1970", KeyValue::Date(-1.0)),
        ("the start of 1970", KeyValue::Date(0.0)),
        ("a millisecond later", KeyValue::Date(1.0)),
        ("a date of our days", KeyValue::Date(1_700_000_000_000.0)),
        ("the latest date", KeyValue::Date(8.64e15)),
        ("no bytes", binary(&[])),
        ("a zero byte", binary(&[0])),
        ("two zero bytes", binary(&[0, 0])),
        ("a zero and a one", binary(&[0, 1])),
        ("a zero and 255", binary(&[0, 255])),
        ("a one", binary(&[1])),
        ("ASCII bytes", binary(b"flow")),
        ("255", binary(&[255])),
        ("255 and a zero", binary(&[255, 0])),
        ("all bytes", binary(&(0..=255).collect::<Vec<_>>())),
        ("the empty array", empty()),
        ("an array of null", [KeyValue::Null].into()),
        ("an array of two nulls", [KeyValue::Null, KeyValue::Null].into()),
        ("an array of a number", [1.0.into()].into()),
        ("an array of two numbers", [1.0.into(), 2.0.into()].into()),
        ("an array of a bigint", [BigInt::from(1).into()].into()),
        (
            "an array of a bigint with a remainder and a number",
            [power_of_two(64, 1).into(), 1.0.into()].into(),
        ),
        ("an array of a date", [KeyValue::Date(0.0)].into()),
        ("an array of the empty string", ["".into()].into()),
        ("an array of two empty strings", ["".into(), "".into()].into()),
        ("an array of NUL", ["\0".into()].into()),
        ("an array of a string", ["a".into()].into()),
        ("an array of a string and null", ["a".into(), KeyValue::Null].into()),
        ("an array of two strings", ["a".into(), "b".into()].into()),
        ("an array of the two strings joined", ["ab".into()].into()),
        ("an array of no bytes", [binary(&[])].into()),
        ("an array of a zero byte and true", [binary(&[0]), true.into()].into()),
        ("an array of the empty array", [empty()].into()),
        ("an array of two empty arrays", [empty(), empty()].into()),
        ("an array of an array and a number", [[1.0.into()].into(), 2.0.into()].into()),
        (
            "an array of every type",
            [KeyValue::Null, true.into(), 1.0.into(), "a".into(), binary(&[1]), empty()].into(),
        ),
        ("the deepest array", deepest),
    ];
    named.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn to_tagged(value: &KeyValue) -> Value {
    match value {
        KeyValue::Null => json!({ "null": true }),
        KeyValue::Bool(value) => json!({ "boolean": value }),
        KeyValue::Number(number) if number.is_infinite() => {
            json!({ "number": if *number > 0.0 { "Infinity" } else { "-Infinity" } })
        }
        KeyValue::Number(number) => json!({ "number": format!("{number:?}") }),
        KeyValue::BigInt(number) => {
            json!({ "bigint": format!("{}{}", if number.is_negative() { "-" } else { "" }, hex(number.magnitude())) })
        }
        KeyValue::Date(ms) => json!({ "date": format!("{ms}") }),
        KeyValue::String(units) => match String::from_utf16(units) {
            Ok(text) => json!({ "string": text }),
            Err(_) => json!({ "units": units }),
        },
        KeyValue::Binary(bytes) => json!({ "binary": hex(bytes) }),
        KeyValue::Array(elements) => json!({ "array": elements.iter().map(to_tagged).collect::<Vec<_>>() }),
    }
}

fn from_tagged(tagged: &Value) -> KeyValue {
    let (tag, content) = tagged.as_object().unwrap().iter().next().unwrap();
    let text = content.as_str().unwrap_or_default();
    match tag.as_str() {
        "null" => KeyValue::Null,
        "boolean" => KeyValue::Bool(content.as_bool().unwrap()),
        "number" => KeyValue::Number(text.parse().unwrap()),
        "bigint" => BigInt::new(text.starts_with('-'), &unhex(text.trim_start_matches('-'))).into(),
        "date" => KeyValue::Date(text.parse().unwrap()),
        "string" => text.into(),
        "units" => KeyValue::String(
            content.as_array().unwrap().iter().map(|unit| unit.as_u64().unwrap() as u16).collect(),
        ),
        "binary" => KeyValue::Binary(unhex(text)),
        "array" => KeyValue::Array(content.as_array().unwrap().iter().map(from_tagged).collect()),
        _ => panic!("unknown tag {tag}"),
    }
}

/// One vector a line, in key order.
fn render() -> String {
    let mut vectors: Vec<_> = [numbers(), bigints(), strings(), others()]
        .concat()
        .into_iter()
        .map(|(description, value)| (Key::encode(&value).unwrap(), description, value))
        .collect();
    vectors.sort_by(|a, b| a.0.cmp(&b.0));
    let lines: Vec<_> = vectors
        .iter()
        .map(|(key, description, value)| {
            let (description, value) = (json!(description), to_tagged(value));
            format!(
                "  {{ \"description\": {description}, \"value\": {value}, \"hex\": \"{}\" }}",
                hex(key.as_bytes())
            )
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[test]
fn golden_vectors_encode_and_decode_as_ever() {
    if std::env::var_os("FLOWDB_BLESS").is_some() {
        std::fs::write(PATH, render()).unwrap();
    }
    let text = std::fs::read_to_string(PATH).unwrap();
    assert!(
        text == render(),
        "a listed value is missing or has new bytes; FLOWDB_BLESS=1 writes the file anew"
    );
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(vectors.len() >= 120, "{}", vectors.len());
    let mut previous: Option<(KeyValue, Key)> = None;
    for vector in &vectors {
        let (description, value) = (&vector["description"], from_tagged(&vector["value"]));
        let key = Key::from_encoded(unhex(vector["hex"].as_str().unwrap())).unwrap();
        assert_eq!(Key::encode(&value).unwrap(), key, "{description}");
        assert_eq!(key.decode().unwrap(), value, "{description}");
        if let Some((previous_value, previous_key)) = previous {
            assert!(previous_key <= key, "{description}");
            assert_eq!(compare_values(&previous_value, &value), previous_key.cmp(&key), "{description}");
        }
        previous = Some((value, key));
    }
}
