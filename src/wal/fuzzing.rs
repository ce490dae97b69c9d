//! Any bytes as a log.
//!
//! They stand in the file as they are, or are made into records with right checksums, which chance would never find.

use std::path::Path;

use super::reader::{HeaderState, LogReader, LogSalvage, Tail};
use super::{Claims, LogKind, SEGMENT_HEADER_BYTES, SegmentHeader, record_crc};
use crate::coding::Choices;
use crate::error::{Result, undamaged};
use crate::fs::SimFs;

const NUMBER: u64 = 7;

/// Reads `bytes` as a log, in each way. Whether it was one without damage.
///
/// What comes out is the records at the front, in order, up to where the log ends; a log that is cut there has the same
/// ones and a clean end; and who saves what can be saved finds them all.
pub(crate) fn read_log(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let (file, whole_at_front) = match choices.byte() % 2 {
        0 => (choices.rest().to_vec(), 0),
        _ => sealed(&mut choices),
    };
    let Some(Read { records, end, tail }) = undamaged(read(&file, None)).flatten() else {
        salvage(&file);
        return false;
    };
    assert!(records.len() >= whole_at_front, "{} of {whole_at_front} records", records.len());
    assert!(salvage(&file).starts_with(&records), "the records that are read are not those that are saved");
    if let Some(Tail::Torn { at }) = tail {
        assert_eq!(at, end, "the tail is torn where the records end");
    }
    let cut = &file[..usize::try_from(end).expect("a part of what is in memory")];
    for (bytes, limit) in [(cut, None), (&file[..], Some(end))] {
        let again = read(bytes, limit).expect("the records before were whole").expect("the header was whole");
        assert_eq!(
            (again.records, again.tail),
            (records.clone(), Some(Tail::Clean)),
            "cut at {end}, {limit:?}"
        );
    }
    tail == Some(Tail::Clean)
}

/// A record that owns its bytes.
type Owned = (u64, u64, u64, Vec<u8>);

struct Read {
    records: Vec<Owned>,
    /// Where the last of them ends.
    end: u64,
    /// `None` for damage.
    tail: Option<Tail>,
}

/// `None` where not even the header is there.
fn read(file: &[u8], limit: Option<u64>) -> Result<Option<Read>> {
    let (fs, path) = (SimFs::in_memory(), Path::new("/000007.wal"));
    fs.write_file(path, file);
    let mut log = match LogReader::open(&fs, path, LogKind::Wal, NUMBER, limit)? {
        HeaderState::Torn => return Ok(None),
        HeaderState::Whole(log) => log,
    };
    let (mut records, mut next_seqno) = (Vec::new(), log.header().first_seqno);
    while let Some(record) = log.next()? {
        assert_eq!(record.first_seqno, next_seqno, "a gap between records");
        assert!(record.entry_count > 0 && record.durable_seqno < record.first_seqno);
        next_seqno += record.entry_count;
        records.push((record.first_seqno, record.entry_count, record.durable_seqno, record.body.to_vec()));
    }
    let end = log.offset();
    assert!(end >= SEGMENT_HEADER_BYTES as u64 && end <= file.len() as u64);
    Ok(Some(Read { records, end, tail: undamaged(log.finish()) }))
}

/// Every whole record, wherever it stands.
fn salvage(file: &[u8]) -> Vec<Owned> {
    let (fs, path) = (SimFs::in_memory(), Path::new("/000007.wal"));
    fs.write_file(path, file);
    let Some(mut log) = undamaged(LogSalvage::open(&fs, path, LogKind::Wal, NUMBER, None)) else {
        return Vec::new();
    };
    let mut records = Vec::new();
    while let Some(record) =
        log.next().expect("nothing but damage can go wrong in memory, and that is passed over")
    {
        records.push((record.first_seqno, record.entry_count, record.durable_seqno, record.body.to_vec()));
    }
    assert!(log.lost_bytes <= file.len() as u64, "{} of {} bytes are lost", log.lost_bytes, file.len());
    records
}

/// A log with right checksums: records in order, records out of order, and bytes of any kind between them. And how many
/// records in order it begins with.
fn sealed(choices: &mut Choices<'_>) -> (Vec<u8>, usize) {
    let header = SegmentHeader { kind: LogKind::Wal, number: NUMBER, previous: None, first_seqno: 1 };
    let (mut file, mut next_seqno, mut in_order, mut is_whole) = (header.encode(), 1, 0, true);
    while !choices.is_empty() {
        let kind = choices.byte() % 8;
        is_whole &= kind < 4;
        match kind {
            0..4 => {
                let entry_count = 1 + choices.below(4) as u64;
                let durable_seqno = choices.below(next_seqno as usize) as u64;
                let claims = Claims { first_seqno: next_seqno, durable_seqno, entry_count };
                put_record(&mut file, claims, choices.piece(256));
                next_seqno += entry_count;
                in_order += usize::from(is_whole);
            }
            4 | 5 => {
                let [first_seqno, lag, entry_count] = [choices.number(), choices.number(), choices.number()];
                let durable_seqno = first_seqno.saturating_sub(1).saturating_sub(lag);
                let first_seqno = first_seqno.max(1);
                put_record(&mut file, Claims { first_seqno, durable_seqno, entry_count }, choices.piece(256));
            }
            6 => put_payload(&mut file, choices.piece(64)),
            _ => file.extend_from_slice(choices.piece(64)),
        }
    }
    (file, in_order)
}

fn put_record(file: &mut Vec<u8>, claims: Claims, body: &[u8]) {
    let mut payload = Vec::new();
    claims.put(&mut payload);
    payload.extend_from_slice(body);
    put_payload(file, &payload);
}

fn put_payload(file: &mut Vec<u8>, payload: &[u8]) {
    let mut covered = (payload.len() as u32).to_le_bytes().to_vec();
    covered.extend_from_slice(&LogKind::Wal.tag(NUMBER).to_le_bytes());
    covered.extend_from_slice(payload);
    let crc = record_crc(NUMBER, file.len() as u64, &covered);
    file.extend_from_slice(&crc.to_le_bytes());
    file.extend_from_slice(&covered);
}
