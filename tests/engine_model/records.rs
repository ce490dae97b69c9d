//! Records in time within a history, beside its other keys: one series, whose rows lie before all of those.

use std::collections::BTreeMap;
use std::rc::Rc;

use flowdb::clock::Clock;
use flowdb::engine::Snapshot;
use flowdb::error::Code;
use flowdb::series::{NEVER, Patch, Query, Record, Series, SeriesDb};

use crate::features;
use crate::history::{History, Key};

const SERIES: &str = "measured";

/// Value and expiry (milliseconds, 0 for never), by key and time.
pub type Records = BTreeMap<(Key, i64), (Rc<[u8]>, u64)>;

/// Whether a query means the record of a key and a time.
type Admits = Box<dyn Fn(&[u8], i64) -> bool>;

/// A query, and what it means in the words of the model.
struct Asked {
    query: Query,
    admits: Admits,
}

impl History {
    /// The series; `None` where there is none yet and none may be created.
    fn series(&self) -> Option<Series> {
        let db = SeriesDb::new(self.engine.clone());
        let opened = if self.engine.is_read_only() { db.open(SERIES) } else { db.open_or_create(SERIES) };
        match opened {
            Err(error) if error.code() == Code::NotFound => None,
            opened => Some(opened.unwrap()),
        }
    }

    fn record_key(&mut self) -> Key {
        let keys: [&[u8]; 7] = [b"", b"a", b"ab", b"a\0", b"b", b"\xff\xff", b"kitchen"];
        self.random.pick(&keys).to_vec()
    }

    fn time(&mut self) -> i64 {
        let time = self.random.below(40) as i64;
        if self.random.one_in(8) { -time } else { time * 1_000 }
    }

    /// Writes, changes or deletes records.
    pub fn write_records(&mut self) {
        let series = self.series().expect("the database can be written");
        match self.random.below(8) {
            0..5 => self.append(&series),
            5 => self.patch(&series),
            6 => {
                let places: Vec<(Key, i64)> =
                    (0..1 + self.random.below(10)).map(|_| (self.record_key(), self.time())).collect();
                series.delete_batch(&places).unwrap();
                let records = &mut Rc::make_mut(&mut self.model).records;
                records.retain(|place, _| !places.contains(place));
            }
            _ => {
                let asked = self.asked();
                series.delete_range(&asked.query).unwrap();
                let records = &mut Rc::make_mut(&mut self.model).records;
                records.retain(|(key, time), _| !(asked.admits)(key, *time));
                self.saw(features::RECORDS_DELETED);
            }
        }
    }

    fn append(&mut self, series: &Series) {
        let mut written = Vec::new();
        for _ in 0..1 + self.random.below(30) {
            let (key, time, value) = (self.record_key(), self.time(), self.value());
            let expires_at = match self.random.below(6) {
                0 => self.clock.now_ms() + 1 + self.random.below(100),
                _ => 0,
            };
            let expire_at = (expires_at != 0).then_some(expires_at as i64 * 1_000);
            written.push(Record { expire_at, ..Record::new(&key, time, &value) });
            let records = &mut Rc::make_mut(&mut self.model).records;
            records.insert((key, time), (value, expires_at));
        }
        series.write_batch(&written).unwrap();
        self.saw(features::RECORDS_WRITTEN);
    }

    fn patch(&mut self, series: &Series) {
        let (place, value, now) = ((self.record_key(), self.time()), self.value(), self.clock.now_ms());
        let expire_at = self.random.one_in(2).then_some(NEVER);
        let patch = Patch { value: Some(value.to_vec()), expire_at };
        let was_there = series.patch_record(&place.0, place.1, &patch).unwrap();
        let records = &mut Rc::make_mut(&mut self.model).records;
        let held = records.get_mut(&place).filter(|(_, expires_at)| is_there(*expires_at, now));
        assert_eq!(was_there, held.is_some(), "patching {place:?}");
        if let Some((held, expires_at)) = held {
            *held = value;
            *expires_at = if expire_at.is_some() { 0 } else { *expires_at };
        }
    }

    /// Some query, in either direction, without a limit.
    fn asked(&mut self) -> Asked {
        let (low, high) = (self.record_key(), self.record_key());
        let (from, to) = (self.time(), self.time());
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        let (from, to) = (from.min(to), from.max(to));
        let (query, admits): (Query, Admits) = match self.random.below(6) {
            0 => (Query::key(&low), Box::new(move |key, _| key == low)),
            1 => (Query::prefix(&low), Box::new(move |key, _| key.starts_with(&low))),
            2 => {
                let query = Query::key_range(low.clone()..high.clone());
                (query, Box::new(move |key, _| low.as_slice() <= key && key < high.as_slice()))
            }
            3 => (Query::time_range(from..=to), Box::new(move |_, time| from <= time && time <= to)),
            4 => {
                let query = Query::prefix_time_range(&low, from..to);
                (query, Box::new(move |key, time| key.starts_with(&low) && from <= time && time < to))
            }
            _ => (Query::key(&low).within(from..), Box::new(move |key, time| key == low && from <= time)),
        };
        Asked { query, admits }
    }

    /// Reads records by every way of reading, as of some moment.
    pub fn check_records(&mut self) {
        let (snapshot, model) = self.view();
        let snapshot = snapshot.as_ref();
        // At a snapshot from before the series was created, its handle sees no records.
        let Some(series) = self.series() else {
            assert!(model.records.is_empty(), "the series of {} records is gone", model.records.len());
            return;
        };
        let now = self.clock.now_ms();
        for _ in 0..3 {
            let (key, time) = (self.record_key(), self.time());
            let held = model.records.get(&(key.clone(), time));
            let held = held.filter(|(_, expires_at)| is_there(*expires_at, now));
            let expected = held.map(|held| record(&key, time, held));
            assert_eq!(series.get(&key, time, snapshot).unwrap(), expected, "{key:?} {time} at {snapshot:?}");
            let of_key = model.records.range((key.clone(), i64::MIN)..=(key.clone(), i64::MAX));
            let latest = of_key.rev().find(|(_, (_, expires_at))| is_there(*expires_at, now));
            let latest = latest.map(|((key, time), held)| record(key, *time, held));
            assert_eq!(series.get_latest(&key, snapshot).unwrap(), latest, "{key:?} at {snapshot:?}");
        }
        let asked = self.asked();
        self.check_query(&series, asked, &model.records, snapshot);
        self.saw(features::RECORDS_READ);
    }

    fn check_query(&mut self, series: &Series, asked: Asked, records: &Records, snapshot: Option<&Snapshot>) {
        let now = self.clock.now_ms();
        let mut query = asked.query;
        let mut expected: Vec<Record> = records
            .iter()
            .filter(|((key, time), (_, expires_at))| (asked.admits)(key, *time) && is_there(*expires_at, now))
            .map(|((key, time), held)| record(key, *time, held))
            .collect();
        if self.random.one_in(2) {
            query = query.reverse();
            expected.reverse();
        }
        if self.random.one_in(3) {
            let limit = self.random.below(10);
            query = query.limit(limit);
            expected.truncate(limit as usize);
        }
        let found: Result<Vec<Record>, _> = series.scan(&query, snapshot).unwrap().collect();
        assert_eq!(found.unwrap(), expected, "{query:?} at {snapshot:?}");
    }

    /// Every record that is there now.
    pub fn check_all_records(&mut self) {
        let model = Rc::clone(&self.model);
        match self.series() {
            Some(series) => {
                let asked = Asked { query: Query::all(), admits: Box::new(|_, _| true) };
                self.check_query(&series, asked, &model.records, None);
            }
            None => assert!(model.records.is_empty()),
        }
    }
}

fn is_there(expires_at: u64, now: u64) -> bool {
    expires_at == 0 || expires_at > now
}

fn record(key: &[u8], ts: i64, (value, expires_at): &(Rc<[u8]>, u64)) -> Record {
    let expire_at = (*expires_at != 0).then_some(*expires_at as i64 * 1_000);
    Record { key: key.to_vec(), ts, expire_at, value: value.to_vec() }
}
