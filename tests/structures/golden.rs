//! The worked example of docs/format/structures.md: these rows, byte by byte.

use flowdb::engine::{Direction, ScanRange};
use flowdb::structures::{Expiry, Moment, SetOptions, ZAddOptions};

use crate::support::{open_with_clock, update};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_rows_are_those_of_the_format() {
    let (structures, _) = open_with_clock();
    update(&structures, |tx| {
        let expiry = Expiry::Moment(Moment::At(1_700_000_060_000));
        tx.set(b"t", b"hi", &SetOptions { expiry, ..SetOptions::default() })?;
        tx.h_set(b"h", &[(b"f", b"v")])?;
        tx.s_add(b"s", &[b"m", b"n"])?;
        tx.z_add(b"z", &[(1.5, b"m")], ZAddOptions::default())?;
        tx.r_push(b"l", &[b"e"])?;
        tx.select(1)?;
        tx.set(b"t", &[b'x'; 1_025], &SetOptions::default())
    });

    let range = ScanRange::between(vec![0x0a], vec![0x0f]);
    let mut scan = structures.db().engine().scan(range, Direction::Forward, None).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        let value = scan.value();
        let shown = if value.len() > 99 { format!("{} bytes", value.len()) } else { hex(value) };
        rows.push(format!("{} = {shown}", hex(scan.key())));
    }

    let wanted = [
        "0a00 = 01818004",
        "0a01000068 = 0300000000000101",
        "0a0100006c = 06000000000004018000000000000000",
        "0a01000073 = 0400000000000202",
        "0a01000074 = 016869",
        "0a0100007a = 05000000000003010000",
        "0a01000174 = 020000000000058108",
        "0a020000018bcfe65260000074 = 01000000000000",
        "0b00000000000166 = 76",
        "0b0000000000026d = 00",
        "0b0000000000026e = 01",
        "0b0000000000036d = bff8000000000000",
        "0b000000000005 = 1025 bytes",
        "0c000000000003bff80000000000006d = ",
        "0e0000000000020000000000000000 = 6d",
        "0e0000000000020000000000000001 = 6e",
        "0e0000000000048000000000000000 = 65",
    ];
    assert_eq!(rows, wanted);
}

#[test]
fn a_row_that_is_damaged_is_told_and_breaks_nothing_else() {
    use flowdb::engine::{CommitOptions, WriteBatch};
    use flowdb::error::Code;

    let (structures, _) = open_with_clock();
    update(&structures, |tx| {
        tx.s_add(b"s", &[b"m", b"n"])?;
        tx.r_push(b"l", &[b"e", b"f"])?;
        tx.z_add(b"z", &[(1.5, b"m")], ZAddOptions::default())?;
        tx.h_set(b"h", &[(b"f", b"v")])
    });
    let mut batch = WriteBatch::new();
    // A header, the place of a member, an element, a score.
    batch.put(&[0x0a, 1, 0, 0, b'h'], &[9]).unwrap();
    batch.put(&[0x0b, 0, 0, 0, 0, 0, 1, b'm'], &[7]).unwrap();
    batch.delete(&[0x0e, 0, 0, 0, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    batch.put(&[0x0b, 0, 0, 0, 0, 0, 3, b'm'], &[1, 2]).unwrap();
    structures.db().engine().commit(batch, CommitOptions::default()).unwrap();

    let mut tx = structures.begin(flowdb::jsondb::Mode::ReadWrite).unwrap();
    for code in [
        tx.h_get(b"h", b"f").unwrap_err().code(),
        tx.s_rem(b"s", &[b"m"]).unwrap_err().code(),
        tx.l_range(b"l", 0, -1).unwrap_err().code(),
        tx.r_pop(b"l").unwrap_err().code(),
        tx.z_rank(b"z", b"m").unwrap_err().code(),
    ] {
        assert_eq!(code, Code::Corruption);
    }
    assert_eq!(tx.l_pop(b"l").unwrap().unwrap(), b"e");
    assert!(tx.s_is_member(b"s", b"n").unwrap());
}
