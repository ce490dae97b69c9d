//! What random work does not reach: orders, ties, lexical ranges, weights, steps of scans, chance.

use std::collections::BTreeMap;

use flowdb::error::Result;
use flowdb::structures::{
    Aggregate, Limit, ScanOptions, ScoreBound, SetOperation, SetOptions, SortedOperation, SortedRange,
    StructureTransaction, TextBound, Type, ZAddOptions,
};

use crate::support::{open, pairs, text, texts, update};

fn add(tx: &mut StructureTransaction, key: &[u8], members: &[(f64, &[u8])]) -> Result<()> {
    tx.z_add(key, members, ZAddOptions::default()).map(drop)
}

#[test]
fn members_of_the_same_score_are_in_the_order_of_their_bytes() {
    let structures = open();
    update(&structures, |tx| {
        add(tx, b"z", &[(0.0, b"b"), (-0.0, b"a"), (0.0, b"\xff"), (0.0, b""), (-1.0, b"z")])?;
        let all = tx.z_range(b"z", SortedRange::Rank(0, -1), false, Limit::NONE)?;
        let members: Vec<&[u8]> = all.iter().map(|one| one.member.as_slice()).collect();
        assert_eq!(members, [&b"z"[..], b"", b"a", b"b", b"\xff"]);
        Ok(())
    });
}

#[test]
fn lexical_ranges_go_by_the_bytes_of_members() {
    let structures = open();
    update(&structures, |tx| {
        add(tx, b"z", &[(0.0, b"a"), (0.0, b"b"), (0.0, b"ba"), (0.0, b"c"), (0.0, b"d")])?;
        let mut read = |min, max, reverse, limit| {
            let found = tx.z_range(b"z", SortedRange::Lex(min, max), reverse, limit).unwrap();
            pairs(found).into_iter().map(|(member, _)| member).collect::<Vec<_>>().join(" ")
        };
        let (from_b, to_c) = (TextBound::Included(b"b"), TextBound::Included(b"c"));
        assert_eq!(read(from_b, to_c, false, Limit::NONE), "b ba c");
        assert_eq!(read(TextBound::Excluded(b"b"), TextBound::Excluded(b"c"), false, Limit::NONE), "ba");
        assert_eq!(read(TextBound::First, TextBound::Last, true, Limit::NONE), "d c ba b a");
        assert_eq!(read(TextBound::Last, TextBound::First, false, Limit::NONE), "");
        assert_eq!(read(from_b, TextBound::Last, true, Limit { offset: 1, count: 2 }), "c ba");
        assert_eq!(tx.z_count(b"z", SortedRange::Lex(from_b, TextBound::Last))?, 4);
        assert_eq!(tx.z_rem_range(b"z", SortedRange::Lex(TextBound::First, from_b))?, 2);
        assert_eq!(tx.z_card(b"z")?, 3);
        Ok(())
    });
}

#[test]
fn scores_can_be_infinite_and_bounds_can_leave_them_out() {
    let structures = open();
    update(&structures, |tx| {
        add(tx, b"z", &[(f64::NEG_INFINITY, b"a"), (0.0, b"b"), (f64::INFINITY, b"c")])?;
        let all =
            SortedRange::Score(ScoreBound::Included(f64::NEG_INFINITY), ScoreBound::Included(f64::INFINITY));
        let finite =
            SortedRange::Score(ScoreBound::Excluded(f64::NEG_INFINITY), ScoreBound::Excluded(f64::INFINITY));
        assert_eq!((tx.z_count(b"z", all)?, tx.z_count(b"z", finite)?), (3, 1));
        assert_eq!(tx.z_incr_by(b"z", 1.0, b"c")?, f64::INFINITY);
        Ok(())
    });
}

#[test]
fn stored_sorted_sets_have_weighted_scores_and_take_plain_sets_as_well() {
    let structures = open();
    update(&structures, |tx| {
        add(tx, b"x", &[(1.0, b"a"), (2.0, b"b"), (f64::INFINITY, b"i")])?;
        add(tx, b"y", &[(10.0, b"b"), (20.0, b"c"), (f64::NEG_INFINITY, b"i")])?;
        tx.s_add(b"s", &[b"b"])?;
        let keys: [&[u8]; 3] = [b"x", b"y", b"s"];
        tx.z_store(SortedOperation::Union, b"to", &keys, &[2.0, 3.0, 0.5], Aggregate::Sum)?;
        let read = |tx: &mut StructureTransaction| {
            tx.z_range(b"to", SortedRange::Rank(0, -1), false, Limit::NONE).map(pairs)
        };
        let named = |pairs: &[(&str, f64)]| -> Vec<(String, f64)> {
            pairs.iter().map(|(member, score)| ((*member).to_owned(), *score)).collect()
        };
        assert_eq!(read(tx)?, named(&[("i", 0.0), ("a", 2.0), ("b", 34.5), ("c", 60.0)]));
        tx.z_store(SortedOperation::Inter, b"to", &keys, &[], Aggregate::Max)?;
        assert_eq!(read(tx)?, named(&[("b", 10.0)]));
        // An infinity times nothing is nothing.
        tx.z_store(SortedOperation::Union, b"to", &keys[..1], &[0.0], Aggregate::Min)?;
        assert_eq!(read(tx)?, named(&[("a", 0.0), ("b", 0.0), ("i", 0.0)]));
        assert_eq!(tx.z_store(SortedOperation::Diff, b"to", &[b"s", b"s"], &[], Aggregate::Sum)?, 0);
        assert_eq!(tx.exists(&[b"to"])?, 0);
        Ok(())
    });
}

#[test]
fn sets_are_stored_in_the_place_of_anything_one_of_them_too() {
    let structures = open();
    update(&structures, |tx| {
        tx.s_add(b"x", &[b"a", b"b", b"c"])?;
        tx.s_add(b"y", &[b"b", b"c", b"d"])?;
        tx.set(b"to", b"text", &SetOptions::default())?;
        assert_eq!(texts(tx.s_combine(SetOperation::Diff, &[b"x", b"y", b"none"])?), ["a"]);
        assert_eq!(tx.s_store(SetOperation::Union, b"to", &[b"x", b"y"])?, 4);
        assert_eq!(tx.s_inter_card(&[b"x", b"to"], 2)?, 2);
        assert_eq!(tx.s_store(SetOperation::Inter, b"x", &[b"x", b"y"])?, 2);
        assert_eq!(texts(tx.s_members(b"x")?), ["b", "c"]);
        assert_eq!(tx.s_store(SetOperation::Inter, b"x", &[b"x", b"none"])?, 0);
        assert_eq!(tx.exists(&[b"x"])?, 0);
        Ok(())
    });
}

/// Each of 20 members is drawn about as often as another, small sets and large ones alike.
#[test]
fn every_member_is_drawn_as_likely_as_another() {
    let structures = open().seeded(42);
    let members: Vec<Vec<u8>> = (0..20u8).map(|number| vec![number; 1 + usize::from(number)]).collect();
    let names: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    update(&structures, |tx| {
        tx.s_add(b"s", &names)?;
        // The places have been moved about.
        tx.s_add(b"s", &[b"x", b"y"])?;
        tx.s_rem(b"s", &[b"x", names[3], b"y", names[7]])?;
        tx.s_add(b"s", &[names[7], names[3]])
    });
    let mut drawn: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for member in structures.view(|tx| tx.s_rand_member(b"s", -40_000)).unwrap() {
        *drawn.entry(member).or_default() += 1;
    }
    assert_eq!(drawn.len(), 20);
    assert!(drawn.values().all(|count| (1_700..2_300).contains(count)), "{drawn:?}");
    let mut popped = BTreeMap::<Vec<u8>, u32>::new();
    for _ in 0..4_000 {
        let mut tx = structures.begin(flowdb::jsondb::Mode::ReadWrite).unwrap();
        for member in tx.s_pop(b"s", 2).unwrap() {
            *popped.entry(member).or_default() += 1;
        }
    }
    assert!(popped.values().all(|count| (300..500).contains(count)), "{popped:?}");
}

#[test]
fn steps_of_a_scan_give_everything_once_also_while_others_come_and_go() {
    let structures = open();
    let names: Vec<Vec<u8>> = (0..100u32).map(|number| format!("k:{number:03}").into_bytes()).collect();
    update(&structures, |tx| {
        names.iter().try_for_each(|name| tx.h_set(b"hash", &[(name, b"v")]).map(drop))?;
        names.iter().try_for_each(|name| tx.s_add(b"set", &[name]).map(drop))?;
        names.iter().try_for_each(|name| add(tx, b"sorted", &[(7.0, name)]))?;
        names.iter().try_for_each(|name| tx.incr_by(name, 1).map(drop))
    });
    let options = ScanOptions { pattern: Some(b"k:*0"), count: 7, kind: None };
    let mut found = vec![Vec::new(); 4];
    let mut after: [Option<Vec<u8>>; 4] = Default::default();
    let mut done = [false; 4];
    while !done.iter().all(|done| *done) {
        for at in 0..4 {
            if done[at] {
                continue;
            }
            let from = after[at].clone();
            let (names, next) = update(&structures, |tx| {
                let from = from.as_deref();
                Ok(match at {
                    0 => {
                        let page = tx.h_scan(b"hash", from, &options)?;
                        (page.found.into_iter().map(|(field, _)| field).collect(), page.next)
                    }
                    1 => {
                        let page = tx.s_scan(b"set", from, &options)?;
                        (page.found, page.next)
                    }
                    2 => {
                        let page = tx.z_scan(b"sorted", from, &options)?;
                        (page.found.into_iter().map(|one| one.member).collect(), page.next)
                    }
                    _ => {
                        let page = tx.scan(from, &options)?;
                        (page.found, page.next)
                    }
                })
            });
            let names: Vec<Vec<u8>> = names;
            found[at].extend(names);
            done[at] = next.is_none();
            after[at] = next;
        }
        // Others come before and behind what is looked at, and go.
        update(&structures, |tx| {
            tx.h_set(b"hash", &[(b"k:0", b"new")])?;
            tx.s_rem(b"set", &[b"k:099"])?;
            tx.incr_by(b"a", 1)
        });
    }
    let wanted: Vec<Vec<u8>> = names.iter().filter(|name| name.ends_with(b"0")).cloned().collect();
    for found in found {
        assert_eq!(found, wanted);
    }
}

#[test]
fn keys_can_be_found_by_what_they_hold() {
    let structures = open();
    update(&structures, |tx| {
        tx.incr_by(b"a", 1)?;
        tx.s_add(b"b", &[b"m"])?;
        tx.r_push(b"c", &[b"m"])?;
        let options = ScanOptions { kind: Some(Type::Set), ..ScanOptions::default() };
        assert_eq!(texts(tx.scan(None, &options)?.found), ["b"]);
        assert!(tx.exists_as(Type::Set, b"b")? && !tx.exists_as(Type::Set, b"c")?);
        assert_eq!(tx.type_of(b"c")?.map(Type::name), Some("list"));
        Ok(())
    });
}

#[test]
fn strings_on_both_sides_of_what_a_header_holds_come_back() {
    let structures = open();
    for len in [0, 1, 1_023, 1_024, 1_025, 5_000, 3] {
        let value = vec![b'v'; len];
        update(&structures, |tx| tx.set(b"k", &value, &SetOptions::default()));
        structures
            .view(|tx| {
                assert_eq!(tx.get(b"k")?.unwrap(), value);
                assert_eq!(tx.str_len(b"k")?, len as u64);
                assert_eq!(tx.get_range(b"k", 0, -1)?, value);
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(text(update(&structures, |tx| tx.get_set(b"k", b"new"))).unwrap(), "vvv");
}
