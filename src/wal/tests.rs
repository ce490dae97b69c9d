//! What logs promise under crashes and damage.

use std::path::Path;

use super::*;
use crate::fs::{CrashOutcome, Fault, FileSystem, SimFs};

const PATH: &str = "/db/000007.wal";
const NUMBER: u64 = 7;

/// A record as it goes in and comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    first_seqno: SeqNo,
    durable_seqno: SeqNo,
    entry_count: u64,
    body: Vec<u8>,
}

impl Owned {
    fn last_seqno(&self) -> SeqNo {
        self.first_seqno + self.entry_count - 1
    }
}

/// How much the records of a test log say to have been durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Everything before each record.
    All,
    /// Nothing.
    None,
    /// Everything before each second record.
    Lagging,
}

const MARKS: [Marks; 3] = [Marks::All, Marks::None, Marks::Lagging];

fn header(number: u64, first_seqno: SeqNo) -> SegmentHeader {
    let previous = (number > 1).then_some(PreviousSegment { number: 1, end_offset: 4_096 });
    SegmentHeader { kind: LogKind::Wal, number, previous, first_seqno }
}

fn records(marks: Marks) -> Vec<Owned> {
    let bodies: [&[u8]; 6] =
        [b"first", b"", b"a body of some length, 0123456789", b"\0\0\0\0", b"x", b"last"];
    let mut out: Vec<Owned> = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let first_seqno = out.last().map_or(100, |record| record.last_seqno() + 1);
        let durable_seqno = match marks {
            Marks::All => first_seqno - 1,
            Marks::None => 0,
            Marks::Lagging => out.iter().rev().nth(1).map_or(99, Owned::last_seqno),
        };
        let entry_count = 1 + 70 * (index as u64 % 2);
        out.push(Owned { first_seqno, durable_seqno, entry_count, body: body.to_vec() });
    }
    out
}

fn disk() -> SimFs {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/db")).unwrap();
    fs
}

fn create(fs: &SimFs, first_seqno: SeqNo) -> LogWriter {
    LogWriter::create(fs, Path::new(PATH), header(NUMBER, first_seqno)).unwrap()
}

fn append(log: &mut LogWriter, record: &Owned) {
    log.append(record.first_seqno, record.durable_seqno, record.entry_count, &record.body).unwrap();
}

/// The bytes of a log of `records`, and where each of them ends (the header first).
fn log_of(records: &[Owned]) -> (Vec<u8>, Vec<u64>) {
    let fs = disk();
    let mut log = create(&fs, records[0].first_seqno);
    let mut ends = vec![log.end_offset()];
    for record in records {
        append(&mut log, record);
        ends.push(log.end_offset());
    }
    (fs.read_file(PATH).unwrap(), ends)
}

fn open(bytes: &[u8], limit: Option<u64>) -> Result<HeaderState> {
    let fs = disk();
    fs.write_file(PATH, bytes);
    LogReader::open(&fs, Path::new(PATH), LogKind::Wal, NUMBER, limit)
}

/// Reads a whole log; one with a torn header is one that is torn from the start.
fn read(bytes: &[u8], limit: Option<u64>) -> Result<(Vec<Owned>, Tail)> {
    let mut log = match open(bytes, limit)? {
        HeaderState::Whole(log) => log,
        HeaderState::Torn => return Ok((Vec::new(), Tail::Torn { at: 0 })),
    };
    let mut out = Vec::new();
    while let Some(record) = log.next()? {
        out.push(Owned {
            first_seqno: record.first_seqno,
            durable_seqno: record.durable_seqno,
            entry_count: record.entry_count,
            body: record.body.to_vec(),
        });
    }
    let tail = log.finish()?;
    assert_eq!(log.last_seqno(), out.last().map_or(log.header().first_seqno - 1, Owned::last_seqno));
    assert_eq!(log.next().unwrap(), None, "a log that has ended stays so");
    Ok((out, tail))
}

#[track_caller]
fn assert_corruption<T: std::fmt::Debug>(result: Result<T>) {
    assert_eq!(result.unwrap_err().code(), Code::Corruption);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        crate::fs::split_mix(&mut self.0) % bound
    }
}

/// The seeds of a randomised test: `FLOWDB_SEED` alone where it is set, else `count` of them.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("FLOWDB_SEED") {
        Ok(seed) => vec![seed.parse().expect("FLOWDB_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn records_come_back_as_they_went_in() {
    for marks in MARKS {
        let records = records(marks);
        let (bytes, ends) = log_of(&records);

        for limit in [None, ends.last().copied()] {
            assert_eq!(read(&bytes, limit).unwrap(), (records.clone(), Tail::Clean), "{marks:?} {limit:?}");
        }
    }
}

#[test]
fn the_header_comes_back_as_it_went_in() {
    for header in [header(NUMBER, 1), SegmentHeader { previous: None, ..header(NUMBER, SEQNO_MAX) }] {
        let fs = disk();
        LogWriter::create(&fs, Path::new(PATH), header).unwrap();

        let HeaderState::Whole(mut log) = open(&fs.read_file(PATH).unwrap(), None).unwrap() else {
            panic!("a whole header is not torn");
        };

        assert_eq!(*log.header(), header);
        assert_eq!(log.finish().unwrap(), Tail::Clean);
        assert_eq!(log.last_seqno(), header.first_seqno - 1);
    }
}

#[test]
fn long_records_come_back_between_short_ones() {
    let mut out = Vec::new();
    for (index, len) in
        [3usize, 64 << 10, (64 << 10) - 7, 5 << 20, 0, 200_000, 65_535].into_iter().enumerate()
    {
        let body = (0..len).map(|at| (at * 31 + index) as u8).collect();
        let first_seqno = 1 + index as u64;
        out.push(Owned { first_seqno, durable_seqno: index as u64, entry_count: 1, body });
    }
    let (bytes, _) = log_of(&out);

    assert_eq!(read(&bytes, None).unwrap(), (out.clone(), Tail::Clean));
    // Damage in the longest record, which spans many chunks, is found; so are the records behind it.
    let mut damaged = bytes;
    damaged[3 << 20] ^= 1;
    assert_corruption(read(&damaged, None));
}

#[test]
fn a_group_is_one_record_and_one_append() {
    let (fs, other) = (disk(), disk());
    let mut log = create(&fs, 1);
    let before = fs.operations();

    log.append_parts(1, 0, 3, &[b"ab", b"", b"cde"]).unwrap();

    assert_eq!(fs.operations(), before + 1);
    create(&other, 1).append(1, 0, 3, b"abcde").unwrap();
    assert_eq!(fs.read_file(PATH), other.read_file(PATH));
}

#[test]
fn buffered_records_reach_the_file_in_order_with_the_next_write() {
    let fs = disk();
    let mut log = create(&fs, 1);

    log.buffer(1, 0, 1, b"one").unwrap();
    log.buffer_parts(2, 0, 2, &[b"two", b"three"]).unwrap();
    let pending = log.pending_bytes() as u64;
    let (end, last, next) = (log.end_offset(), log.last_seqno(), log.next_seqno());
    assert_eq!((end, last, next), (SEGMENT_HEADER_BYTES as u64, 0, 4), "nothing is in the file yet");
    assert_eq!(fs.read_file(PATH).unwrap().len(), SEGMENT_HEADER_BYTES);
    log.write_pending().unwrap();
    log.write_pending().unwrap();
    assert_eq!((log.end_offset(), log.last_seqno(), log.pending_bytes()), (end + pending, 3, 0));
    log.buffer(4, 0, 1, b"four").unwrap();
    log.append(5, 3, 1, b"five").unwrap();

    let bytes = fs.read_file(PATH).unwrap();
    assert_eq!(bytes.len() as u64, log.end_offset());
    let bodies: Vec<Vec<u8>> = read(&bytes, None).unwrap().0.into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"twothree", b"four", b"five"]);
}

#[test]
fn a_body_that_is_written_from_where_it_lies_makes_the_same_log() {
    let (fs, other) = (disk(), disk());
    let (mut log, mut copying) = (create(&fs, 1), create(&other, 1));
    let body = vec![7; 100_000];

    log.buffer(1, 0, 1, b"before").unwrap();
    log.buffer_head(2, 0, 3, &body).unwrap();
    assert_eq!(log.buffer(5, 0, 1, b"too early").unwrap_err().code(), Code::Internal);
    assert_eq!(log.write_pending().unwrap_err().code(), Code::Internal);
    assert_eq!(log.write_with(&body[1..]).unwrap_err().code(), Code::Internal);
    log.write_with(&body).unwrap();
    log.buffer_head(5, 4, 1, &body).unwrap();
    log.write_ahead_of_sync(&body).unwrap();
    log.append(6, 5, 1, b"behind").unwrap();

    copying.append(1, 0, 1, b"before").unwrap();
    copying.append(2, 0, 3, &body).unwrap();
    copying.append(5, 4, 1, &body).unwrap();
    copying.append(6, 5, 1, b"behind").unwrap();
    assert_eq!(fs.read_file(PATH), other.read_file(PATH));
    assert_eq!((log.end_offset(), log.last_seqno()), (copying.end_offset(), 6));
}

#[test]
fn a_record_whose_body_did_not_follow_its_head_is_a_torn_tail() {
    for partial in [false, true] {
        let fs = disk();
        let mut log = create(&fs, 1);
        log.append(1, 0, 1, b"before").unwrap();
        let body = vec![7; 100_000];
        log.buffer_head(2, 1, 1, &body).unwrap();
        let kind = std::io::ErrorKind::StorageFull;
        fs.fail_at(fs.operations() + 1, Fault { partial, ..Fault::once(kind) });

        assert_eq!(log.write_with(&body).unwrap_err().io_cause().map(std::io::Error::kind), Some(kind));

        assert_eq!(log.append(2, 1, 1, b"again").unwrap_err().code(), Code::Poisoned);
        let bytes = fs.read_file(PATH).unwrap();
        assert!(bytes.len() as u64 > log.end_offset(), "the head is there");
        let (found, tail) = read(&bytes, None).unwrap();
        assert_eq!(found.len(), 1);
        assert_ne!(tail, Tail::Clean);
    }
}

#[test]
fn every_flipped_bit_gives_a_prefix_that_lacks_nothing_durable_or_corruption() {
    for marks in MARKS {
        let records = records(marks);
        let (bytes, ends) = log_of(&records);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let whole = ends.iter().filter(|&&end| end <= at as u64).count();
                let context = format!("{marks:?}, byte {at}, bit {bit}");

                assert_corruption(read(&damaged, ends.last().copied()));
                match read(&damaged, None) {
                    Ok((found, tail)) => {
                        assert!(whole > 0, "{context}: a damaged header passed");
                        assert_eq!(found, records[..whole - 1], "{context}");
                        assert_eq!(tail, Tail::Torn { at: ends[whole - 1] }, "{context}");
                        let next = records[whole - 1].first_seqno;
                        let behind = &records[whole..];
                        assert!(behind.iter().all(|record| record.durable_seqno < next), "{context}: lost");
                    }
                    Err(error) => {
                        assert_eq!(error.code(), Code::Corruption, "{context}");
                        assert!(whole == 0 || marks != Marks::None, "{context}: a torn tail was refused");
                    }
                }
            }
        }
    }
}

#[test]
fn every_truncation_gives_the_whole_records_before_it() {
    for marks in MARKS {
        let records = records(marks);
        let (bytes, ends) = log_of(&records);
        for len in 0..bytes.len() {
            let cut = &bytes[..len];

            assert_corruption(read(cut, ends.last().copied()));
            let (found, tail) = read(cut, None).unwrap();
            let whole = ends.iter().filter(|&&end| end <= len as u64).count();
            assert_eq!(found, records[..whole.saturating_sub(1)], "{marks:?} {len}");
            let is_clean = ends.contains(&(len as u64));
            let at = whole.checked_sub(1).map_or(0, |index| ends[index]);
            assert_eq!(tail, if is_clean { Tail::Clean } else { Tail::Torn { at } }, "{marks:?} {len}");
        }
    }
}

#[test]
fn random_damage_never_hides_what_was_durable() {
    for seed in seeds(3_000) {
        let mut random = Random(seed);
        let marks = MARKS[random.below(3) as usize];
        let records = records(marks);
        let (mut bytes, ends) = log_of(&records);
        let from = random.below(bytes.len() as u64) as usize;
        let len = 1 + random.below((bytes.len() - from).min(40) as u64) as usize;
        let kind = random.below(3);
        for byte in &mut bytes[from..from + len] {
            *byte = if kind == 0 { 0 } else { random.below(256) as u8 };
        }
        if kind == 2 {
            bytes.drain(from..from + len);
        }

        let Ok((found, _)) = read(&bytes, None) else { continue };

        assert!(records.starts_with(&found), "seed {seed}: not a prefix");
        // Only records behind the damage can bear witness, and only where they were not moved.
        let damage_end = (from + len) as u64;
        let unharmed = |index: &usize| kind != 2 && ends[*index] >= damage_end;
        let proven = (0..records.len()).filter(unharmed).map(|index| records[index].durable_seqno).max();
        let last = found.last().map_or(99, Owned::last_seqno);
        assert!(last >= proven.unwrap_or(0), "seed {seed}: {proven:?} was durable, {last} was read");
    }
}

#[test]
fn a_lost_page_in_the_middle_is_corruption_only_where_it_had_been_synced() {
    for marks in MARKS {
        let records = records(marks);
        let (mut bytes, ends) = log_of(&records);
        bytes[ends[2] as usize..ends[3] as usize].fill(0);

        match read(&bytes, None) {
            Ok((found, tail)) => {
                assert_eq!(marks, Marks::None);
                assert_eq!((found, tail), (records[..2].to_vec(), Tail::Torn { at: ends[2] }));
            }
            Err(error) => assert_eq!((error.code(), marks != Marks::None), (Code::Corruption, true)),
        }
    }
}

#[test]
fn a_witness_is_found_wherever_it_lies_between_two_reads() {
    for body_len in (64 << 10) - 100..(64 << 10) + 10 {
        let first = Owned { first_seqno: 1, durable_seqno: 0, entry_count: 1, body: vec![7; body_len] };
        let witness = Owned { first_seqno: 2, durable_seqno: 1, entry_count: 1, body: Vec::new() };
        let (mut bytes, _) = log_of(&[first, witness]);
        bytes[1_000] ^= 1;

        assert_corruption(read(&bytes, None));
    }
}

#[test]
fn a_stale_tail_of_another_file_is_not_taken_for_live_records() {
    let records = records(Marks::All);
    let (mut bytes, ends) = log_of(&records);
    let fs = disk();
    let path = Path::new("/db/000009.wal");
    let mut other = LogWriter::create(&fs, path, header(9, 100)).unwrap();
    for record in &records {
        append(&mut other, record);
    }
    let stale = fs.read_file(path).unwrap();
    assert_eq!(stale.len(), bytes.len());

    bytes.truncate(ends[2] as usize);
    bytes.extend_from_slice(&stale[ends[2] as usize..]);

    assert_eq!(read(&bytes, None).unwrap(), (records[..2].to_vec(), Tail::Torn { at: ends[2] }));
}

#[test]
fn a_record_that_was_moved_is_not_taken_for_a_live_one() {
    // The same file number and the seqno that comes next: only the offset is wrong.
    let record =
        |first_seqno| Owned { first_seqno, durable_seqno: 0, entry_count: 1, body: b"body".to_vec() };
    let (mut bytes, ends) = log_of(&[record(1)]);
    let (other, _) = log_of(&[record(2)]);

    bytes.extend_from_slice(&other[SEGMENT_HEADER_BYTES..]);

    assert_eq!(read(&bytes, None).unwrap(), (vec![record(1)], Tail::Torn { at: ends[1] }));
}

#[test]
fn a_valid_record_whose_seqno_does_not_follow_ends_the_log() {
    for (durable_seqno, is_damage) in [(5, true), (1, false)] {
        let record = |first_seqno, durable_seqno| Owned {
            first_seqno,
            durable_seqno,
            entry_count: 1,
            body: b"body".to_vec(),
        };
        let (mut bytes, ends) = log_of(&[record(1, 0), record(2, 1)]);
        let (other, other_ends) = log_of(&[record(5, 4), record(6, durable_seqno)]);
        assert_eq!(ends, other_ends);

        bytes.truncate(ends[1] as usize);
        bytes.extend_from_slice(&other[ends[1] as usize..]);

        assert_corruption(read(&bytes, Some(ends[2])));
        if is_damage {
            assert_corruption(read(&bytes, None));
        } else {
            assert_eq!(read(&bytes, None).unwrap(), (vec![record(1, 0)], Tail::Torn { at: ends[1] }));
        }
    }
}

#[test]
fn what_lies_beyond_the_end_of_a_sealed_log_is_not_looked_at() {
    let records = records(Marks::All);
    let (bytes, ends) = log_of(&records);

    for (index, &end) in ends.iter().enumerate() {
        assert_eq!(read(&bytes, Some(end)).unwrap(), (records[..index].to_vec(), Tail::Clean));
    }
    let mut longer = bytes;
    longer.extend_from_slice(b"the part of a write that failed");
    assert_eq!(read(&longer, ends.last().copied()).unwrap(), (records, Tail::Clean));
}

#[test]
fn a_sealed_log_that_does_not_reach_its_end_in_whole_records_is_corruption() {
    let (bytes, ends) = log_of(&records(Marks::None));

    for limit in 0..bytes.len() as u64 + 20 {
        if !ends.contains(&limit) {
            assert_corruption(read(&bytes, Some(limit)));
        }
    }
}

#[test]
fn a_log_whose_creation_was_torn_is_told_from_a_damaged_one() {
    let is_torn = |bytes: &[u8]| matches!(open(bytes, None), Ok(HeaderState::Torn));
    let header = header(NUMBER, 1).encode();

    for kept in 0..header.len() {
        let mut torn = header[..kept].to_vec();
        assert!(is_torn(&torn), "cut at {kept}");
        torn.resize(header.len(), 0);
        assert!(is_torn(&torn), "zeros from {kept}");
    }
    assert!(is_torn(&[0; 10_000]));
    assert!(!is_torn(&header));

    // With records behind it, a damaged header is damage, zeros included.
    let (mut bytes, _) = log_of(&records(Marks::None));
    bytes[..SEGMENT_HEADER_BYTES].fill(0);
    assert_corruption(read(&bytes, None));
}

#[test]
fn a_log_under_another_number_or_of_another_kind_is_corruption() {
    let (bytes, _) = log_of(&records(Marks::All));
    let fs = disk();
    fs.write_file(PATH, &bytes);

    for (kind, number) in [(LogKind::Wal, 8), (LogKind::Manifest, NUMBER)] {
        let opened = LogReader::open(&fs, Path::new(PATH), kind, number, None);
        assert_corruption(opened.map(|_| ()));
    }
}

#[test]
fn a_log_of_a_newer_format_is_refused_as_such() {
    let mut bytes = header(NUMBER, 1).encode();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..SEGMENT_HEADER_BYTES - 4]);
    bytes[SEGMENT_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());

    assert_eq!(read(&bytes, None).unwrap_err().code(), Code::Version);
}

#[test]
fn bytes_made_to_look_like_records_cost_bounded_work() {
    // Every twelve bytes a header whose record reaches far, says that everything was durable, and has no valid
    // checksum: checking them all would read terabytes.
    let (mut bytes, _) = log_of(&records(Marks::None));
    let mut forged = Vec::new();
    for _ in 0..100_000 {
        forged.extend_from_slice(&[0xff; 4]);
        forged.extend_from_slice(&600_000u32.to_le_bytes());
        forged.extend_from_slice(&LogKind::Wal.tag(NUMBER).to_le_bytes());
        forged.extend_from_slice(&[0xff, 0x7f, 0, 1]);
    }
    bytes.extend_from_slice(&forged);

    assert_corruption(read(&bytes, None));
}

#[test]
fn a_value_that_holds_the_bytes_of_a_log_is_not_taken_for_one() {
    let (inner, _) = log_of(&records(Marks::All));
    let first = Owned { first_seqno: 1, durable_seqno: 0, entry_count: 1, body: b"whole".to_vec() };
    let second = Owned { first_seqno: 2, durable_seqno: 1, entry_count: 1, body: inner };
    let (bytes, ends) = log_of(&[first.clone(), second]);

    let torn = &bytes[..bytes.len() - 1];

    assert_eq!(read(torn, None).unwrap(), (vec![first], Tail::Torn { at: ends[1] }));
}

#[test]
fn an_existing_file_is_never_written_over() {
    let fs = disk();
    fs.write_file(PATH, b"precious");

    let created = LogWriter::create(&fs, Path::new(PATH), header(NUMBER, 1));

    assert_eq!(created.err().map(|error| error.code()), Some(Code::Io));
    assert_eq!(fs.read_file(PATH).unwrap(), b"precious");
}

#[test]
fn a_created_log_survives_a_power_loss_and_an_unfinished_one_is_torn_or_absent() {
    let ops = |fs: &SimFs| {
        let created = LogWriter::create(fs, Path::new(PATH), header(NUMBER, 1));
        (created.is_ok(), fs.operations())
    };
    let before = disk().operations();
    let after = ops(&disk()).1;
    let random = seeds(60).into_iter().map(CrashOutcome::Random);
    let sure = [CrashOutcome::ProcessOnly, CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced];
    for outcome in sure.into_iter().chain(random) {
        for crash_at in before..=after {
            let fs = disk();
            fs.crash_at(crash_at);
            let created = ops(&fs).0;

            let fs = fs.after_crash(outcome);

            let bytes = fs.read_file(PATH);
            assert!(bytes.is_some() || !created, "{outcome:?} {crash_at}: the log is gone");
            let Some(bytes) = bytes else { continue };
            let state = open(&bytes, None).unwrap();
            assert!(matches!(state, HeaderState::Whole(_)) || !created, "{outcome:?} {crash_at}: torn");
        }
    }
}

#[test]
fn synced_records_are_written_over_zeros_and_the_rest_of_them_is_a_torn_end() {
    let fs = disk();
    let mut log = create(&fs, 1);
    let mut lengths = Vec::new();
    for seqno in 1..=3_000 {
        log.buffer(seqno, seqno - 1, 1, &[7; 100]).unwrap();
        log.write_ahead_of_sync(&[]).unwrap();
        log.sync_handle().sync().unwrap();
        let len = fs.read_file(PATH).unwrap().len() as u64;
        assert!(len - log.end_offset() <= log.end_offset().clamp(64 << 10, 1 << 20) + (64 << 10), "{len}");
        lengths.push(len);
    }
    lengths.dedup();
    assert!(lengths.len() < 8, "the length changes a few times: {lengths:?}");

    let bytes = fs.after_crash(CrashOutcome::LoseUnsynced).read_file(PATH).unwrap();
    let (found, tail) = read(&bytes, None).unwrap();
    assert_eq!((found.len(), tail), (3_000, Tail::Torn { at: log.end_offset() }));
    assert_eq!(read(&bytes, Some(log.end_offset())).unwrap().1, Tail::Clean);
    // The same strictness as without zeros: what is known to have been durable is missed.
    let mut damaged = bytes.clone();
    damaged[log.end_offset() as usize - 200] ^= 1;
    assert_corruption(read(&damaged, None));
    assert_corruption(read(&bytes[..log.end_offset() as usize - 1], Some(log.end_offset())));
}

#[test]
fn records_without_a_sync_and_large_ones_have_no_zeros_before_them() {
    let fs = disk();
    let mut log = create(&fs, 1);
    log.append(1, 0, 1, b"without a sync").unwrap();
    log.buffer(2, 0, 1, &[7; 100_000]).unwrap();
    log.write_ahead_of_sync(&[]).unwrap();

    assert_eq!(fs.read_file(PATH).unwrap().len() as u64, log.end_offset());
}

#[test]
fn a_disk_without_room_for_zeros_takes_the_records() {
    let fs = disk();
    let mut log = create(&fs, 1);
    fs.set_capacity(2_000);
    for seqno in 1..=10 {
        log.buffer(seqno, seqno - 1, 1, &[7; 100]).unwrap();
        log.write_ahead_of_sync(&[]).unwrap();
    }

    assert_eq!(read(&fs.read_file(PATH).unwrap(), None).unwrap().0.len(), 10);
}

#[test]
fn a_crash_leaves_a_prefix_with_everything_synced_and_never_corruption() {
    for seed in seeds(2_000) {
        let mut random = Random(seed);
        let fs = disk();
        let mut log = create(&fs, 1);
        let (mut written, mut durable) = (Vec::new(), 0);
        fs.crash_at(fs.operations() + random.below(40));
        loop {
            let first_seqno = log.next_seqno();
            let len_max = if random.below(2) == 0 { 20 } else { 6_000 };
            let (byte, len) = (random.below(256) as u8, random.below(len_max) as usize);
            let body = vec![byte; len];
            let entry_count = 1 + random.below(3);
            let record = Owned { first_seqno, durable_seqno: durable, entry_count, body };
            written.push(record.clone());
            let buffered = log.buffer(first_seqno, durable, record.entry_count, &record.body);
            assert!(buffered.is_ok(), "seed {seed}");
            let in_place = random.below(2) == 0;
            let written = match random.below(3) {
                0 => Ok(()),
                _ if in_place => log.write_ahead_of_sync(&[]),
                _ => log.write_pending(),
            };
            if written.is_err() {
                break;
            }
            if random.below(3) == 0 {
                let last = log.last_seqno();
                if log.sync_handle().sync().is_err() {
                    break;
                }
                durable = last;
            }
        }

        let after = fs.after_crash(CrashOutcome::Random(seed));

        let (found, _) = read(&after.read_file(PATH).unwrap(), None).unwrap_or_else(|error| {
            panic!("seed {seed}: an honest crash was called damage: {error:?}");
        });
        assert!(written.starts_with(&found), "seed {seed}: not a prefix");
        let last = found.last().map_or(0, Owned::last_seqno);
        assert!(last >= durable, "seed {seed}: {durable} was durable, {last} was read");
    }
}

#[test]
fn a_write_that_fails_ends_the_writer_and_leaves_a_log_that_can_be_sealed() {
    for partial in [false, true] {
        let fs = disk();
        let mut log = create(&fs, 1);
        log.append(1, 0, 1, b"before").unwrap();
        let end = log.end_offset();
        fs.fail_at(fs.operations(), Fault { partial, ..Fault::once(std::io::ErrorKind::StorageFull) });

        let failed = log.append(2, 1, 1, &[7; 500]).unwrap_err();

        assert_eq!(failed.io_cause().map(std::io::Error::kind), Some(std::io::ErrorKind::StorageFull));
        let refused = log.append(2, 1, 1, b"again").unwrap_err();
        assert_eq!(refused.code(), Code::Poisoned);
        assert!(refused.cause().is_some(), "the first failure is the cause of the later ones");
        assert_eq!(log.write_pending().unwrap_err().code(), Code::Poisoned);
        assert_eq!((log.end_offset(), log.last_seqno()), (end, 1));
        let (found, tail) = read(&fs.read_file(PATH).unwrap(), Some(end)).unwrap();
        assert_eq!((found.len(), tail), (1, Tail::Clean));
    }
}

#[test]
fn a_body_over_the_limit_is_refused_and_harms_nothing() {
    let fs = disk();
    let mut log = create(&fs, 1);
    let part = vec![0u8; 1 << 20];
    let parts = vec![&part[..]; (RECORD_BODY_BYTES_MAX >> 20) + 1];

    let refused = log.append_parts(1, 0, 1, &parts).unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!((log.pending_bytes(), log.next_seqno()), (0, 1));
    log.append(1, 0, 1, b"small").unwrap();
    assert_eq!(read(&fs.read_file(PATH).unwrap(), None).unwrap().0.len(), 1);
}

#[test]
fn a_record_that_recovery_would_refuse_is_not_written() {
    let fs = disk();
    let mut log = create(&fs, 5);

    for (first_seqno, durable_seqno, entry_count) in
        [(4, 0, 1), (6, 0, 1), (5, 5, 1), (5, 0, 0), (5, 0, SEQNO_MAX), (5, 0, u64::MAX)]
    {
        let refused = log.append(first_seqno, durable_seqno, entry_count, b"body").unwrap_err();
        assert_eq!(refused.code(), Code::Internal);
    }
    let wrong = SegmentHeader { first_seqno: 0, ..header(NUMBER, 1) };
    assert!(LogWriter::create(&fs, Path::new("/db/000010.wal"), wrong).is_err());
    log.append(5, 4, 1, b"body").unwrap();
}

/// The worked example of docs/format/log.md.
#[test]
fn the_format_is_frozen() {
    let fs = disk();
    let previous = Some(PreviousSegment { number: 5, end_offset: 1_000 });
    let header = SegmentHeader { kind: LogKind::Wal, number: 7, previous, first_seqno: 300 };
    let mut log = LogWriter::create(&fs, Path::new(PATH), header).unwrap();
    log.append(300, 299, 2, b"abc").unwrap();

    let bytes = fs.read_file(PATH).unwrap();

    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let wanted = [
        "46 6c 6f 77 57 41 4c 0a 01 00 00 00 00 00 00 00",
        "07 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00",
        "e8 03 00 00 00 00 00 00 2c 01 00 00 00 00 00 00",
        "1b 9a 35 71",
        "a8 b9 03 08 07 00 00 00 a4 e7 4b 9d ac 02 00 02",
        "61 62 63",
    ];
    assert_eq!(hex.join(" "), wanted.join(" "));
}
