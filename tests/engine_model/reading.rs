//! What a history reads, by every way of reading, and what it should find.

use std::io::Read;
use std::ops::Bound;
use std::rc::Rc;

use flowdb::clock::Clock;
use flowdb::engine::{Direction, ScanRange, Snapshot, TryGet};

use crate::features;
use crate::history::{Entry, History, Key, Model, Row, as_slice};

impl History {
    /// The state to read at: now, or one of the snapshots.
    pub fn view(&mut self) -> (Option<Snapshot>, Rc<Model>) {
        if self.snapshots.is_empty() || self.random.one_in(2) {
            return (None, Rc::clone(&self.model));
        }
        self.saw(features::AT_SNAPSHOT);
        let (snapshot, model) = self.random.pick(&self.snapshots);
        (Some(snapshot.clone()), Rc::clone(model))
    }

    pub fn check_gets(&mut self) {
        let (snapshot, model) = self.view();
        for _ in 0..5 {
            let key = self.key();
            self.check_get(&key, &model, snapshot.as_ref());
        }
    }

    fn check_get(&mut self, key: &[u8], model: &Model, snapshot: Option<&Snapshot>) {
        let now = self.clock.now_ms();
        let expected = model.rows.get(key);
        if expected.is_some_and(|entry| !is_there(entry, now)) {
            self.saw(features::EXPIRED);
        }
        let expected = expected.filter(|entry| is_there(entry, now));
        // First what changes no cache.
        match self.engine.try_get(key, snapshot).unwrap() {
            TryGet::NeedsIo => self.saw(features::NEEDS_IO),
            TryGet::Missing => {
                assert_eq!(expected, None, "try_get {key:?} at {snapshot:?}");
                self.saw(features::TRIED);
            }
            TryGet::Found(found) => {
                let found =
                    Entry { value: found.bytes.into(), expires_at: found.expires_at, seqno: found.seqno };
                assert_eq!(Some(&found), expected, "try_get {key:?} at {snapshot:?}");
                self.saw(features::TRIED);
            }
        }
        let lent = self.engine.get_with(key, snapshot, |found| Entry {
            value: found.bytes.into(),
            expires_at: found.expires_at,
            seqno: found.seqno,
        });
        assert_eq!(lent.unwrap().as_ref(), expected, "get_with {key:?} at {snapshot:?}");
        let got = self.engine.get(key, snapshot).unwrap().map(|found| Entry {
            value: found.bytes.into(),
            expires_at: found.expires_at,
            seqno: found.seqno,
        });
        assert_eq!(got.as_ref(), expected, "get {key:?} at {snapshot:?}");
        self.check_pieces(key, snapshot, expected);
    }

    /// A slice is a slice of the whole value, and a reader reads all of it.
    fn check_pieces(&mut self, key: &[u8], snapshot: Option<&Snapshot>, expected: Option<&Entry>) {
        let (offset, len) = (self.random.below(70) as usize, self.random.below(70) as usize);
        let slice = self.engine.get_slice(key, offset as u64, len, snapshot).unwrap();
        let reader = self.engine.open_value(key, snapshot).unwrap();
        let Some(Entry { value, expires_at, seqno }) = expected else {
            assert!(slice.is_none() && reader.is_none(), "{key:?} is not there");
            return;
        };
        let (slice, mut reader) = (slice.unwrap(), reader.unwrap());
        let start = offset.min(value.len());
        let end = (offset + len).clamp(start, value.len());
        assert_eq!(slice.bytes, value[start..end], "{key:?} {offset} {len}");
        assert_eq!((slice.value_len, reader.len()), (value.len() as u64, value.len() as u64));
        assert_eq!(reader.expires_at(), *expires_at);
        assert!(
            [*seqno, 0].contains(&reader.seqno()),
            "{key:?} of {seqno} is said to be of {}",
            reader.seqno()
        );
        if reader.seqno() == 0 {
            self.saw(features::SETTLED);
        }
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read[..], value[..], "{key:?} by a reader");
        self.saw(features::SLICE);
    }

    /// A bound at a key, or just beside one, or none.
    pub fn bound(&mut self) -> Bound<Key> {
        let mut key = self.key();
        match self.random.below(8) {
            0 => key.push(0),
            1 if key.len() > self.key_prefix().len() => {
                key.pop();
            }
            _ => {}
        }
        match self.random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    }

    fn direction(&mut self) -> Direction {
        if self.random.one_in(2) { Direction::Forward } else { Direction::Reverse }
    }

    fn range(&mut self) -> ScanRange {
        match self.random.below(12) {
            0 => ScanRange::all(),
            1 => {
                let mut prefix = self.key();
                prefix.truncate(self.key_prefix().len() + 1 + self.random.below(3) as usize);
                ScanRange::prefix(prefix)
            }
            2 => ScanRange::between(self.key(), self.key()),
            _ => ScanRange { start: self.bound(), end: self.bound() },
        }
    }

    /// `range` without the rows of records, of which this model does not say how they look.
    fn without_records(&self, range: ScanRange) -> ScanRange {
        match range.start {
            Bound::Unbounded if self.has_records => {
                ScanRange { start: Bound::Included(self.key_prefix().to_vec()), ..range }
            }
            _ => range,
        }
    }

    pub fn check_scan(&mut self) {
        let (range, direction) = (self.range(), self.direction());
        let (snapshot, model) = self.view();
        let stop_after = if self.random.one_in(3) { self.random.below(10) as usize } else { usize::MAX };
        self.check_rows(range, direction, snapshot.as_ref(), &model, stop_after);
    }

    /// Every row that is there now.
    pub fn check_whole(&mut self) {
        let (direction, model) = (self.direction(), Rc::clone(&self.model));
        self.check_rows(ScanRange::all(), direction, None, &model, usize::MAX);
        if self.has_records {
            self.check_all_records();
        }
    }

    fn check_rows(
        &mut self,
        range: ScanRange,
        direction: Direction,
        snapshot: Option<&Snapshot>,
        model: &Model,
        stop_after: usize,
    ) {
        let range = self.without_records(range);
        self.saw(&features::scan(direction, &range.start, &range.end));
        let mut expected = rows(model, &range, direction, self.clock.now_ms()).into_iter();
        let mut scan = self.engine.scan(range.clone(), direction, snapshot).unwrap();
        for at in 0..stop_after {
            let wanted = expected.next();
            let seen = scan.advance().unwrap().then(|| row_of(&scan));
            assert_eq!(seen, wanted, "row {at} of a {direction:?} scan of {range:?} at {snapshot:?}");
            if seen.is_none() {
                break;
            }
        }
    }

    pub fn open_scan(&mut self) {
        let (range, direction) = (self.range(), self.direction());
        let range = self.without_records(range);
        let (snapshot, model) = self.view();
        let expected = rows(&model, &range, direction, self.clock.now_ms());
        let scan = self.engine.scan(range, direction, snapshot.as_ref()).unwrap();
        self.scans.push((scan, expected.into()));
    }

    /// A scan gives what was there when it was opened, whatever has been written, compacted or has expired since.
    pub fn go_on_with_a_scan(&mut self) {
        let Some((mut scan, mut rows)) = self.scans.pop() else { return };
        self.saw(features::LONG_LIVED_SCAN);
        for _ in 0..self.random.below(40) {
            let expected = rows.pop_front();
            let seen = scan.advance().unwrap().then(|| row_of(&scan));
            assert_eq!(seen, expected, "a scan that stayed open");
            if seen.is_none() {
                return;
            }
        }
        let index = self.random.below(self.scans.len() as u64 + 1) as usize;
        self.scans.insert(index, (scan, rows));
    }

    /// The sizes of parts add up to the size of the whole, which is that of all tables and what they lead to.
    pub fn check_sizes(&mut self) {
        let mut cuts: Vec<Key> = (0..1 + self.random.below(5)).map(|_| self.key()).collect();
        cuts.sort_unstable();
        let size = |start: &Bound<Key>, end: &Bound<Key>| {
            self.engine.approximate_size(as_slice(start), as_slice(end)).unwrap()
        };
        let mut start = Bound::Unbounded;
        let (mut sum, mut up_to_last) = (0, 0);
        for cut in cuts {
            let end = Bound::Excluded(cut.clone());
            sum += size(&start, &end);
            let up_to = size(&Bound::Unbounded, &end);
            assert!(up_to >= up_to_last, "a longer range is not smaller: {end:?}");
            assert_eq!(up_to, sum, "the parts of what lies before {end:?}");
            (up_to_last, start) = (up_to, Bound::Included(cut));
        }
        sum += size(&start, &Bound::Unbounded);
        let stats = self.engine.stats();
        assert_eq!(sum, stats.table_bytes() + stats.value_file_live_bytes);
        self.saw(features::SIZES);
    }
}

fn row_of(scan: &flowdb::engine::Scan) -> Row {
    let row = scan.row();
    assert_eq!((row.key, row.value), (scan.key(), scan.value()));
    assert_eq!((row.expires_at, row.seqno), (scan.expires_at(), scan.seqno()));
    let entry = Entry { value: row.value.into(), expires_at: row.expires_at, seqno: row.seqno };
    (row.key.to_vec(), entry)
}

fn is_there(entry: &Entry, now: u64) -> bool {
    entry.expires_at == 0 || entry.expires_at > now
}

/// The rows of `model` that a scan should give.
pub fn rows(model: &Model, range: &ScanRange, direction: Direction, now: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = model
        .rows
        .iter()
        .filter(|(key, entry)| {
            is_above(key, &range.start) && is_below(key, &range.end) && is_there(entry, now)
        })
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    if direction == Direction::Reverse {
        rows.reverse();
    }
    rows
}

fn is_above(key: &Key, start: &Bound<Key>) -> bool {
    match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    }
}

fn is_below(key: &Key, end: &Bound<Key>) -> bool {
    match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    }
}
