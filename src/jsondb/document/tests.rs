//! The promises of extraction and insertion, held against serde_json and its parsed values.

use serde_json::{Map, Value, json};

use super::super::key::tests::Random;
use super::naive::expected;
use super::*;

fn extract(json: &str, wanted: &[Wanted<'_>]) -> Vec<Extracted> {
    Extractor::new(wanted).unwrap().extract(json.as_bytes()).unwrap()
}

fn value_at(json: &str, path: &str) -> Extracted {
    extract(json, &[Wanted::Value(path)]).remove(0)
}

fn one(value: impl Into<KeyValue>) -> Extracted {
    Extracted::One(Key::encode(&value.into()).unwrap())
}

fn refusal(json: &[u8]) -> Code {
    Extractor::new(&[Wanted::Value("a.b")]).unwrap().extract(json).unwrap_err().code()
}

const NAMES: [&str; 12] = ["a", "b", "c", "0", "1", "01", "a.b", "__proto__", "", "é", "q\"\\", "😀"];

fn random_document(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth < 5 { 9 } else { 5 }) {
        0 => random.pick(&[Value::Null, true.into(), false.into()]),
        1 => json!(random.below(1000) as f64 / 8.0 - 60.0),
        2 => json!(random.next() as i32),
        3 => json!((random.next() as i32 as f64) * 1e10),
        4 => {
            let len = random.below(4);
            json!(
                (0..len)
                    .map(|_| random.pick(&["a", "\0", "\n", "\"", "\\", "é", "日", "😀", "/"]))
                    .collect::<String>()
            )
        }
        5 | 6 => (0..random.below(4)).map(|_| random_document(random, depth + 1)).collect(),
        _ => {
            let members = (0..random.below(5)).map(|_| {
                let name = random.pick(&NAMES).to_string();
                (name, random_document(random, depth + 1))
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn space(random: &mut Random, out: &mut String) {
    for _ in 0..random.below(6).saturating_sub(3) {
        out.push(random.pick(&[' ', '\t', '\n', '\r']));
    }
}

/// A string in quotes, with more escapes than it needs.
fn write_string(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        let plain = Value::from(char.to_string()).to_string();
        if random.below(4) > 0 {
            out.push_str(if char == '/' { "\\/" } else { &plain[1..plain.len() - 1] });
        } else {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let digits = format!("{unit:04x}");
                out.push_str("\\u");
                out.push_str(&if random.below(2) == 0 { digits } else { digits.to_uppercase() });
            });
        }
    }
    out.push('"');
}

/// The text of a document in one of its many forms: with white space, escapes, and members that later ones of the
/// same name replace.
fn write_document(random: &mut Random, value: &Value, out: &mut String) {
    space(random, out);
    match value {
        Value::String(text) => write_string(random, text, out),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_document(random, element, out);
            }
            space(random, out);
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            let mut is_first = true;
            let mut member = |random: &mut Random, name: &str, value: &Value| {
                out.push_str(if is_first { "" } else { "," });
                is_first = false;
                space(random, out);
                write_string(random, name, out);
                space(random, out);
                out.push(':');
                write_document(random, value, out);
            };
            for name in members.keys() {
                if random.below(6) == 0 {
                    let replaced = random_document(random, 4);
                    member(random, name, &replaced);
                }
            }
            members.iter().for_each(|(name, value)| member(random, name, value));
            space(random, out);
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    space(random, out);
}

/// A path of names that documents have, mostly of the more frequent ones.
fn random_path(random: &mut Random) -> String {
    let names: Vec<_> = NAMES.into_iter().filter(|name| !name.is_empty() && !name.contains('.')).collect();
    let len = random.below(4);
    let mut name = || {
        let frequent = random.below(2) == 0;
        random.pick(if frequent { &names[..4] } else { &names })
    };
    (0..len).map(|_| name()).collect::<Vec<_>>().join(".")
}

#[test]
fn keys_of_random_documents_are_those_of_the_parsed_values() {
    let mut random = Random::seeded();
    let mut usable = 0;
    for _ in 0..5_000 {
        let document = random_document(&mut random, 0);
        let mut text = String::new();
        write_document(&mut random, &document, &mut text);
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            document,
            "the test itself writes wrong text"
        );
        let paths: Vec<_> = (0..6).map(|_| random_path(&mut random)).collect();
        let mut wanted: Vec<_> = paths.iter().map(|path| Wanted::Value(path)).collect();
        wanted.extend(paths.iter().map(|path| Wanted::Entries(path)));
        wanted.extend([Wanted::Compound(&paths[..1]), Wanted::Compound(&paths[1..3]), Wanted::Compound(&[])]);
        let extracted = extract(&text, &wanted);
        for (wanted, extracted) in wanted.iter().zip(extracted) {
            usable += usize::from(matches!(extracted, Extracted::One(_) | Extracted::Many(_)));
            assert_eq!(extracted, expected(&document, *wanted), "{wanted:?} of {text}");
        }
    }
    assert!(usable > 5_000, "the random documents have too little at the random paths: {usable}");
}

#[test]
fn damaged_text_is_refused_wherever_serde_json_refuses_it() {
    let mut random = Random::seeded();
    let extractor = Extractor::new(&[Wanted::Value("a.b"), Wanted::Entries("0")]).unwrap();
    // What JavaScript takes and serde_json does not.
    let only_theirs = ["out of range", "surrogate", "hex escape", "code point"];
    for _ in 0..4_000 {
        let mut text = String::new();
        let document = random_document(&mut random, 0);
        write_document(&mut random, &document, &mut text);
        let mut bytes = text.into_bytes();
        for _ in 0..=random.below(2) {
            let place = random.below(bytes.len() + 1);
            let any = random.next() as u8;
            let byte = random
                .pick(&[any, b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'-', b'.', b'e', b'u']);
            match random.below(3) {
                0 if place < bytes.len() => bytes[place] = byte,
                1 if place < bytes.len() => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
        let shown = String::from_utf8_lossy(&bytes);
        match (serde_json::from_slice::<Value>(&bytes), extractor.extract(&bytes)) {
            (Ok(_), ours) => drop(ours.unwrap_or_else(|error| panic!("refused {shown}: {error}"))),
            (Err(_), Err(error)) => assert_eq!(error.code(), Code::InvalidValue),
            (Err(theirs), Ok(_)) => {
                let theirs = theirs.to_string();
                assert!(only_theirs.iter().any(|known| theirs.contains(known)), "took {shown}: {theirs}");
            }
        }
    }
}

#[test]
fn a_path_goes_through_objects_and_into_arrays() {
    let json = r#"{"user":{"name":"Ann","tags":["x",{"y":[7]}]},"user.name":"literal","0":"zero"}"#;
    assert_eq!(value_at(json, "user.name"), one("Ann"));
    assert_eq!(value_at(json, "user.tags.0"), one("x"));
    assert_eq!(value_at(json, "user.tags.1.y.0"), one(7.0));
    assert_eq!(value_at(json, "0"), one("zero"));
    for missing in
        ["user.age", "user.name.0", "user.tags.2", "user.tags.00", "user.tags.y", "name", "user.tags.1.y.0.z"]
    {
        assert_eq!(value_at(json, missing), Extracted::Missing, "{missing}");
    }
    for unusable in ["", "user", "user.tags", "user.tags.1"] {
        assert_eq!(value_at(json, unusable), Extracted::Unusable, "{unusable}");
    }
    assert_eq!(value_at("[1,[2]]", ""), one([1.0.into(), [2.0.into()].into()]));
}

#[test]
fn a_path_and_a_longer_one_through_it_both_have_their_values() {
    let wanted = ["a", "a.0", "a.0.1", "b"].map(Wanted::Value);
    let expected =
        [one([[1.0.into(), 2.0.into()].into()]), one([1.0.into(), 2.0.into()]), one(2.0), Extracted::Missing];
    assert_eq!(extract(r#"{"a":[[1,2]]}"#, &wanted), expected);
}

#[test]
fn of_two_members_with_one_name_the_last_counts_whole() {
    assert_eq!(value_at(r#"{"a":1,"a":2}"#, "a"), one(2.0));
    assert_eq!(value_at(r#"{"a":1,"\u0061":2}"#, "a"), one(2.0));
    assert_eq!(value_at(r#"{"a":{"b":1},"a":{"c":2}}"#, "a.b"), Extracted::Missing);
    assert_eq!(value_at(r#"{"a":{"b":1},"a":3}"#, "a.b"), Extracted::Missing);
    assert_eq!(value_at(r#"{"__proto__":{"x":1}}"#, "__proto__.x"), one(1.0));
}

#[test]
fn entries_are_sorted_single_and_usable() {
    let entries = |json| extract(json, &[Wanted::Entries("t")]).remove(0);
    let many =
        |keys: &[KeyValue]| Extracted::Many(keys.iter().map(|key| Key::encode(key).unwrap()).collect());
    assert_eq!(
        entries(r#"{"t":["b","a",{},"b",null,[1,{}],[1],1,1.0,true]}"#),
        many(&[KeyValue::Null, true.into(), 1.0.into(), "a".into(), "b".into(), [1.0.into()].into()])
    );
    assert_eq!(entries(r#"{"t":[]}"#), many(&[]));
    assert_eq!(entries(r#"{"t":"x"}"#), one("x"));
    assert_eq!(entries(r#"{"t":{}}"#), Extracted::Unusable);
    assert_eq!(entries("{}"), Extracted::Missing);
}

#[test]
fn a_compound_key_has_all_its_parts_or_is_missing() {
    let paths = ["a", "b.c"].map(String::from);
    let compound = |json| extract(json, &[Wanted::Compound(&paths)]).remove(0);
    assert_eq!(compound(r#"{"b":{"c":null},"a":1}"#), one([1.0.into(), KeyValue::Null]));
    assert_eq!(compound(r#"{"a":1}"#), Extracted::Missing);
    assert_eq!(compound(r#"{"a":{}}"#), Extracted::Missing);
    assert_eq!(compound(r#"{"a":{},"b":{"c":1}}"#), Extracted::Unusable);
}

#[test]
fn numbers_are_read_as_javascript_reads_them() {
    for (text, number) in [
        ("0", 0.0),
        ("-0", 0.0),
        ("-0.0e5", 0.0),
        ("1e400", f64::INFINITY),
        ("-1E+999", f64::NEG_INFINITY),
        ("1e-400", 0.0),
        ("0.1", 0.1),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0),
        ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
        ("179769313486231580793728971405301e276", 1.797_693_134_862_315_8e308),
    ] {
        assert_eq!(value_at(text, ""), one(number), "{text}");
    }
    for malformed in
        ["01", "-", "1.", ".5", "+1", "1e", "1e+", "0x1", "1_0", "--1", "NaN", "Infinity", "-Infinity"]
    {
        assert_eq!(refusal(malformed.as_bytes()), Code::InvalidValue, "{malformed}");
    }
}

#[test]
fn strings_keep_every_code_unit_lone_surrogates_too() {
    let units = |units: &[u16]| one(KeyValue::String(units.to_vec()));
    assert_eq!(value_at(r#""\ud83d\ude00""#, ""), one("😀"));
    assert_eq!(value_at(r#""\uD83D""#, ""), units(&[0xd83d]));
    assert_eq!(value_at(r#""\ude00\ud83d""#, ""), units(&[0xde00, 0xd83d]));
    assert_eq!(value_at(r#""\u0000\"\\\/\b\f\n\r\t😀é""#, ""), one("\0\"\\/\u{8}\u{c}\n\r\t😀é"));
    for malformed in
        [r#""\x41""#, r#""\u12""#, r#""\u+123""#, "\"\n\"", "\"a", "\"\\", "'a'", "\"\\u00e\u{e9}\""]
    {
        assert_eq!(refusal(malformed.as_bytes()), Code::InvalidValue, "{malformed}");
    }
}

#[test]
fn a_byte_that_ends_or_escapes_is_seen_at_every_place_of_a_string() {
    for place in 0..20 {
        for byte in 0..0x80u8 {
            let mut json = b"[\"abcdefghijklmnopqrst\",1]".to_vec();
            json[2 + place] = byte;
            let extracted = Extractor::new(&[Wanted::Value("1"), Wanted::Value("0")]).unwrap().extract(&json);
            let parsed = serde_json::from_slice::<Value>(&json).ok();
            let expected = parsed.map(|parsed| vec![one(1.0), one(parsed[0].as_str().unwrap())]);
            assert_eq!(extracted.ok(), expected, "{byte:02x} at {place}");
        }
    }
}

#[test]
fn text_that_is_not_json_from_end_to_end_is_refused() {
    let texts: [&[u8]; 17] = [
        b"",
        b" ",
        b"{",
        b"[",
        b"{}x",
        b"{} {}",
        b"[1,]",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{\"a\" 1}",
        b"[1 2]",
        b"nul",
        b"\xef\xbb\xbf{}",
        b"\"\xff\"",
        b"{}\0",
        b"[}",
        b"{\"a\":{\"b\":1]}",
    ];
    for text in texts {
        assert_eq!(refusal(text), Code::InvalidValue, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn documents_nest_to_the_limit_and_no_deeper() {
    for wanted in [Wanted::Value("z"), Wanted::Value("0.0.0"), Wanted::Value("a.a.a"), Wanted::Entries("")] {
        let extractor = Extractor::new(&[wanted]).unwrap();
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = DOCUMENT_DEPTH_MAX / (open.starts_with("[{") as usize + 1);
            let nested = |levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(extractor.extract(nested(levels).as_bytes()).is_ok(), "{wanted:?} {open}");
            let error = extractor.extract(nested(levels + 1).as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue);
            assert!(error.message().contains("1000 levels"), "{error}");
            assert!(extractor.extract(nested(1_000_000).as_bytes()).is_err());
            assert!(extractor.extract(open.repeat(1_000_000).as_bytes()).is_err());
        }
    }
    let closed_again = format!("[{}]", vec!["[{\"a\":[]}]"; 2_000].join(","));
    assert_eq!(value_at(&closed_again, "5.0.a"), one([]));
}

#[test]
fn what_is_too_long_or_too_deep_for_a_key_is_unusable_and_no_error() {
    let long = format!(r#"{{"a":"{}","b":[{}1]}}"#, "x".repeat(20_000), "1,".repeat(20_000));
    assert_eq!(value_at(&long, "a"), Extracted::Unusable);
    assert_eq!(value_at(&long, "b"), Extracted::Unusable);
    assert_eq!(extract(&long, &[Wanted::Entries("b")]), [Extracted::Many(vec![Key::from_i64(1)])]);
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(matches!(value_at(&nested(ARRAY_DEPTH_MAX), ""), Extracted::One(_)));
    assert_eq!(value_at(&nested(ARRAY_DEPTH_MAX + 1), ""), Extracted::Unusable);
    let halves = ["a", "b"].map(String::from);
    let half = "x".repeat(9_000);
    let json = json!({ "a": half, "b": half }).to_string();
    assert_eq!(extract(&json, &[Wanted::Compound(&halves)]), [Extracted::TooLong]);
    assert!(matches!(value_at(&json, "a"), Extracted::One(_)));
}

#[test]
fn a_path_with_an_empty_segment_or_too_many_is_refused() {
    let long = vec!["a"; PATH_SEGMENTS_MAX + 1].join(".");
    for path in [".", "a.", ".a", "a..b", &long] {
        assert_eq!(
            Extractor::new(&[Wanted::Value(path)]).unwrap_err().code(),
            Code::InvalidArgument,
            "{path}"
        );
    }
    assert!(Extractor::new(&[Wanted::Value(&long[2..])]).is_ok());
}

#[test]
fn a_generated_key_is_written_where_its_path_says_and_nothing_else_changes() {
    for (json, path, expected) in [
        ("{}", "id", r#"{"id":7}"#),
        (" { } ", "id", r#" {"id":7 } "#),
        (r#"{"a":1}"#, "id", r#"{"a":1,"id":7}"#),
        (r#"{"a" : 1.0 } "#, "id", r#"{"a" : 1.0,"id":7 } "#),
        (r#"{"id":null,"a":1}"#, "id", r#"{"id":7,"a":1}"#),
        (r#"{"id":1,"\u0069d": {"x":1} }"#, "id", r#"{"id":1,"\u0069d": 7 }"#),
        (r#"{"a":{"b":1}}"#, "a.id", r#"{"a":{"b":1,"id":7}}"#),
        (r#"{"a":[1]}"#, "b.c.id", r#"{"a":[1],"b":{"c":{"id":7}}}"#),
        (r#"{"a":{}}"#, "a.b.id", r#"{"a":{"b":{"id":7}}}"#),
        (r#"{"a":1,"a":{}}"#, "a.id", r#"{"a":1,"a":{"id":7}}"#),
        ("{}", "q\"\\.__proto__", r#"{"q\"\\":{"__proto__":7}}"#),
    ] {
        let written = set_top_level_path(json.as_bytes(), path, 7).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected, "{path} of {json}");
    }
}

#[test]
fn a_generated_key_has_no_place_in_what_is_not_an_object() {
    for (json, path) in [
        ("[]", "id"),
        ("1", "id"),
        (r#"{"a":1}"#, "a.id"),
        (r#"{"a":null}"#, "a.b.id"),
        (r#"{"a":[{}]}"#, "a.0.id"),
        (r#"{"a":{},"a":"x"}"#, "a.id"),
    ] {
        let error = set_top_level_path(json.as_bytes(), path, 7).unwrap_err();
        assert_eq!(error.code(), Code::InvalidValue, "{path} of {json}");
    }
    for path in ["", "a..b"] {
        assert_eq!(set_top_level_path(b"{}", path, 7).unwrap_err().code(), Code::InvalidArgument);
    }
}

/// `document` with the number set, the slow way; `None` when there is no place for it.
fn set_in_value(document: &mut Value, segments: &[&str], number: u64) -> Option<()> {
    let members = document.as_object_mut()?;
    let (first, rest) = segments.split_first()?;
    if rest.is_empty() {
        members.insert(first.to_string(), number.into());
        return Some(());
    }
    set_in_value(members.entry(*first).or_insert_with(|| json!({})), rest, number)
}

#[test]
fn a_key_written_into_a_random_document_is_extracted_from_it_and_the_rest_is_as_before() {
    let mut random = Random::seeded();
    let mut written_count = 0;
    for round in 0..5_000 {
        let mut document = random_document(&mut random, 0);
        let mut text = String::new();
        write_document(&mut random, &document, &mut text);
        let path = random_path(&mut random);
        if path.is_empty() {
            continue;
        }
        let segments: Vec<_> = path.split('.').collect();
        match set_top_level_path(text.as_bytes(), &path, round) {
            Ok(written) => {
                set_in_value(&mut document, &segments, round).unwrap();
                assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), document, "{path} of {text}");
                assert_eq!(value_at(&String::from_utf8(written).unwrap(), &path), one(round as f64));
                written_count += 1;
            }
            Err(_) => assert_eq!(set_in_value(&mut document, &segments, round), None, "{path} of {text}"),
        }
    }
    assert!(written_count > 300, "{written_count}");
}
