//! What is too long, too many or none is a typed error that changes nothing.

use flowdb::error::Code;
use flowdb::structures::{
    DATABASES_MAX, PATTERN_BYTES_MAX, STRING_BYTES_MAX, STRUCTURE_KEY_BYTES_MAX, ScanOptions, SetOptions,
    ZAddOptions,
};

use crate::support::{code_of, open, update};

#[test]
fn the_longest_names_are_taken_and_longer_ones_refused() {
    let structures = open();
    let longest = vec![0xff; STRUCTURE_KEY_BYTES_MAX];
    let longer = vec![0xff; STRUCTURE_KEY_BYTES_MAX + 1];
    update(&structures, |tx| {
        tx.select(DATABASES_MAX - 1)?;
        tx.h_set(b"h", &[(&longest, b"v")])?;
        tx.s_add(&longest, &[&longest])?;
        // Enough that members begin parts.
        let mut names: Vec<Vec<u8>> = (0..1_500u32).map(|number| number.to_be_bytes().to_vec()).collect();
        names.push(longest.clone());
        let members: Vec<(f64, &[u8])> = names.iter().map(|name| (f64::INFINITY, &name[..])).collect();
        tx.z_add(b"z", &members, ZAddOptions::default())?;
        assert_eq!(tx.z_rank(b"z", &longest)?, Some(1_500));
        assert_eq!(tx.keys(b"*")?, [&b"h"[..], b"z", &longest]);
        assert_eq!(tx.s_members(&longest)?, [&longest[..]]);
        Ok(())
    });
    for code in [
        code_of(&structures, |tx| tx.get(&longer)),
        code_of(&structures, |tx| tx.h_set(b"h", &[(&longer, b"v")])),
        code_of(&structures, |tx| tx.s_add(b"s", &[&longer])),
        code_of(&structures, |tx| tx.s_is_member(b"s", &longer)),
        code_of(&structures, |tx| tx.z_add(b"s", &[(1.0, &longer)], ZAddOptions::default())),
    ] {
        assert_eq!(code, Code::InvalidKey);
    }
}

#[test]
fn a_string_that_would_become_too_long_is_refused_before_it_is_made() {
    let structures = open();
    update(&structures, |tx| tx.append(b"k", b"12345"));
    let too_far = STRING_BYTES_MAX as u64;
    assert_eq!(code_of(&structures, |tx| tx.set_range(b"k", too_far, b"1")), Code::InvalidValue);
    assert_eq!(code_of(&structures, |tx| tx.set_range(b"k", u64::MAX, b"1")), Code::InvalidValue);
    assert_eq!(structures.view(|tx| tx.str_len(b"k")).unwrap(), 5);
}

#[test]
fn numbers_out_of_range_are_refused_and_change_nothing() {
    let structures = open();
    update(&structures, |tx| {
        tx.set(b"max", i64::MAX.to_string().as_bytes(), &SetOptions::default())?;
        tx.set(b"word", b" 1", &SetOptions::default())?;
        tx.z_add(b"z", &[(f64::INFINITY, b"m")], ZAddOptions::default())?;
        tx.h_set(b"h", &[(b"f", b"x")])
    });
    for code in [
        code_of(&structures, |tx| tx.incr_by(b"max", 1)),
        code_of(&structures, |tx| tx.decr_by(b"max", i64::MIN)),
        code_of(&structures, |tx| tx.incr_by(b"word", 1)),
        code_of(&structures, |tx| tx.incr_by_float(b"word", 1.0)),
        code_of(&structures, |tx| tx.incr_by_float(b"none", f64::INFINITY)),
        code_of(&structures, |tx| tx.incr_by_float(b"none", f64::NAN)),
        code_of(&structures, |tx| tx.h_incr_by(b"h", b"f", 1)),
        code_of(&structures, |tx| tx.h_incr_by_float(b"h", b"f", 1.0)),
        code_of(&structures, |tx| tx.z_incr_by(b"z", f64::NEG_INFINITY, b"m")),
        code_of(&structures, |tx| tx.z_incr_by(b"z", f64::NAN, b"m")),
    ] {
        assert_eq!(code, Code::InvalidValue);
    }
    assert_eq!(structures.view(|tx| tx.exists(&[b"none"])).unwrap(), 0);
}

#[test]
fn arguments_out_of_range_are_refused() {
    let structures = open();
    let none = ScanOptions { count: 0, ..ScanOptions::default() };
    let pattern = vec![b'a'; PATTERN_BYTES_MAX + 1];
    let (nx, gt) =
        (ZAddOptions { nx: true, ..Default::default() }, ZAddOptions { gt: true, ..Default::default() });
    for code in [
        code_of(&structures, |tx| tx.select(DATABASES_MAX)),
        code_of(&structures, |tx| tx.scan(None, &none)),
        code_of(&structures, |tx| tx.keys(&pattern)),
        code_of(&structures, |tx| tx.z_add(b"z", &[], ZAddOptions { xx: true, ..nx })),
        code_of(&structures, |tx| tx.z_add(b"z", &[], ZAddOptions { lt: true, ..gt })),
        code_of(&structures, |tx| {
            tx.s_add(b"s", &[b"m"])?;
            tx.s_rand_member(b"s", i64::MIN)
        }),
    ] {
        assert_eq!(code, Code::InvalidArgument);
    }
}
