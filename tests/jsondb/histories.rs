//! A checker of histories: random transactions of several threads, and whether what they read can be.
//!
//! Commits have one order, that of their seqnos. So for a history without anomalies, running the committed transactions
//! again one after the other on a model has to give exactly what each of them read: at serializable isolation with
//! everything that was committed before it, at snapshot isolation with what its snapshot shows. Time goes on between
//! operations, and each notes the time at which it ran. At snapshot isolation the first committer has to win, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::error::{Code, Result};
use flowdb::jsondb::{Expires, Isolation, JsonDb, Key, KeyRange, Mode, PutOptions, Transaction};
use parking_lot::RwLock;
use serde_json::{Value, json as j};

use crate::support::{Random, content, index_on, json, key, keyed_by, limits, multi_entry_on, unique_on};

const IDS: u64 = 6;
const THREADS: u64 = 4;
const TRANSACTIONS: u64 = 5;

/// One operation, as it can be run again.
#[derive(Debug, Clone)]
enum Operation {
    Get(u64),
    Range(u64, u64),
    Index(&'static str, u64, u64),
    Count,
    Put(Value, Expires),
    Add(Value),
    PutIfVersion(u64, Value),
    Delete(u64),
    Touch(u64, Expires),
    Clear,
}

/// What an operation gave: documents as text with their versions, or a number.
type Seen = std::result::Result<Vec<String>, &'static str>;

/// An operation with the time at which it ran and what it gave.
#[derive(Debug)]
struct Step {
    operation: Operation,
    now_ms: u64,
    seen: Seen,
}

#[derive(Debug)]
struct Committed {
    snapshot: u64,
    /// `None` where it wrote nothing.
    seqno: Option<u64>,
    steps: Vec<Step>,
}

fn document(random: &mut Random) -> Value {
    let tags: Vec<u64> = (0..random.below(3)).map(|_| random.below(4)).collect();
    j!({ "id": random.below(IDS), "n": random.below(4), "u": random.below(20), "tags": tags, "w": random.below(1 << 20) })
}

fn expiry(random: &mut Random, now_ms: u64) -> Expires {
    match random.below(4) {
        0 => Expires::At(now_ms + random.below(8)),
        1 => Expires::At(now_ms + 30),
        _ => Expires::Never,
    }
}

fn operation(random: &mut Random, now_ms: u64) -> Operation {
    let (from, to) = (random.below(IDS), random.below(IDS));
    match random.below(20) {
        0..=4 => Operation::Get(from),
        5 | 6 => Operation::Range(from.min(to), from.max(to)),
        7..=9 => {
            let (index, ends) = [("by_n", 4), ("by_u", 20), ("by_tag", 4)][random.below(3) as usize];
            let (from, to) = (random.below(ends), random.below(ends));
            Operation::Index(index, from.min(to), from.max(to))
        }
        10 => Operation::Count,
        11..=14 => Operation::Put(document(random), expiry(random, now_ms)),
        15 => Operation::Add(document(random)),
        16 => Operation::PutIfVersion(random.below(3), document(random)),
        17 => Operation::Delete(from),
        18 => Operation::Touch(from, expiry(random, now_ms)),
        _ if random.below(4) == 0 => Operation::Clear,
        _ => Operation::Get(to),
    }
}

fn id_key(id: u64) -> Key {
    key(id as f64)
}

fn shown(version: u64, expires_at: u64, value: &Value) -> String {
    format!("{version} {expires_at} {value}")
}

fn flag(flag: bool) -> Vec<String> {
    vec![flag.to_string()]
}

/// Runs an operation in the database.
fn run(tx: &mut Transaction, operation: &Operation) -> Seen {
    let page = |tx: &mut Transaction, index, from, to| -> Result<Vec<String>> {
        let range = KeyRange::bound(id_key(from), id_key(to), false, false).unwrap();
        let page = tx.page("items", index, &range, Direction::Forward, None, limits(1_000))?;
        Ok(page.rows.iter().map(|row| shown(row.version, row.expires_at, &content(row))).collect())
    };
    let put = |tx: &mut Transaction, value: &Value, options| {
        tx.put_with("items", None, json(value), options).map(|_| Vec::new())
    };
    let result = match operation {
        Operation::Get(id) => tx.get("items", &id_key(*id)).map(|row| {
            row.iter().map(|row| shown(row.version, row.expires_at, &content(row))).collect::<Vec<_>>()
        }),
        Operation::Range(from, to) => page(tx, None, *from, *to),
        Operation::Index(index, from, to) => page(tx, Some(index), *from, *to),
        Operation::Count => tx.count("items", &KeyRange::all()).map(|count| vec![count.to_string()]),
        Operation::Put(value, expires) => {
            put(tx, value, PutOptions { expires: *expires, ..PutOptions::default() })
        }
        Operation::Add(value) => put(tx, value, PutOptions { if_absent: true, ..PutOptions::default() }),
        Operation::PutIfVersion(version, value) => {
            put(tx, value, PutOptions { if_version: Some(*version), ..PutOptions::default() })
        }
        Operation::Delete(id) => tx.delete("items", &id_key(*id)).map(flag),
        Operation::Touch(id, expires) => tx.touch("items", &id_key(*id), *expires).map(flag),
        Operation::Clear => tx.clear("items").map(|()| Vec::new()),
    };
    result.map_err(|error| match error.code() {
        Code::Constraint => "constraint",
        // While it is being made.
        Code::NotFound => "no index",
        Code::Corruption => "corruption",
        code => panic!("{code:?}: {error}"),
    })
}

/// The documents as they are in the model.
///
/// Under each id are its lives: the newest, and before it those that ended by expiry. A transaction whose snapshot is
/// older than the newest one, and which runs while the one before it lasts, still finds that one's key in a unique index.
#[derive(Debug, Clone, Default)]
struct Model(BTreeMap<u64, Vec<Stored>>);

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    value: Value,
    version: u64,
    expires_at: u64,
}

impl Stored {
    fn lives(&self, now_ms: u64) -> bool {
        self.expires_at == 0 || self.expires_at > now_ms
    }
}

impl Model {
    fn there(&self, now_ms: u64) -> impl Iterator<Item = (u64, &Stored)> {
        let newest = self.0.iter().filter_map(|(id, lives)| lives.last().map(|stored| (*id, stored)));
        newest.filter(move |(_, stored)| stored.lives(now_ms))
    }

    fn get(&self, id: u64, now_ms: u64) -> Option<&Stored> {
        self.there(now_ms).find(|(at, _)| *at == id).map(|(_, stored)| stored)
    }

    /// Does what an operation should do, and gives what it should give.
    fn run(&mut self, operation: &Operation, now_ms: u64) -> Seen {
        let show = |stored: &Stored| shown(stored.version, stored.expires_at, &stored.value);
        match operation {
            Operation::Get(id) => Ok(self.get(*id, now_ms).map(show).into_iter().collect()),
            Operation::Range(from, to) => Ok(self
                .there(now_ms)
                .filter(|(id, _)| (from..=to).contains(&id))
                .map(|(_, s)| show(s))
                .collect()),
            Operation::Index(index, from, to) => {
                let mut rows = Vec::new();
                for (id, stored) in self.there(now_ms) {
                    let field = &stored.value[match *index {
                        "by_tag" => "tags",
                        name => &name[3..],
                    }];
                    let keys: BTreeSet<u64> = match field {
                        Value::Array(tags) => tags.iter().map(|tag| tag.as_u64().unwrap()).collect(),
                        one => BTreeSet::from([one.as_u64().unwrap()]),
                    };
                    rows.extend(
                        keys.into_iter().filter(|k| (from..=to).contains(&k)).map(|k| (k, id, show(stored))),
                    );
                }
                rows.sort();
                Ok(rows.into_iter().map(|(_, _, text)| text).collect())
            }
            Operation::Count => Ok(vec![self.there(now_ms).count().to_string()]),
            Operation::Put(value, expires) => self.put(value, *expires, now_ms),
            Operation::Add(value) => {
                let id = value["id"].as_u64().unwrap();
                if self.get(id, now_ms).is_some() {
                    return Err("constraint");
                }
                self.put(value, Expires::Never, now_ms)
            }
            Operation::PutIfVersion(version, value) => {
                let id = value["id"].as_u64().unwrap();
                if self.get(id, now_ms).map_or(0, |stored| stored.version) != *version {
                    return Err("constraint");
                }
                self.put(value, Expires::Never, now_ms)
            }
            Operation::Delete(id) => Ok(flag(self.remove(*id, now_ms))),
            Operation::Touch(id, expires) => {
                let Some(stored) = self.get(*id, now_ms).cloned() else { return Ok(flag(false)) };
                let expires_at = moment(*expires);
                if expires_at != 0 && expires_at <= now_ms {
                    self.remove(*id, now_ms);
                } else {
                    self.replace(*id, Stored { expires_at, ..stored }, now_ms);
                }
                Ok(flag(true))
            }
            Operation::Clear => {
                self.0.clear();
                Ok(Vec::new())
            }
        }
    }

    fn put(&mut self, value: &Value, expires: Expires, now_ms: u64) -> Seen {
        let id = value["id"].as_u64().unwrap();
        let expires_at = moment(expires);
        let version = self.get(id, now_ms).map_or(0, |stored| stored.version) + 1;
        if expires_at != 0 && expires_at <= now_ms {
            self.remove(id, now_ms);
            return Ok(Vec::new());
        }
        let has_it = |stored: &Stored| stored.lives(now_ms) && stored.value["u"] == value["u"];
        if self.0.iter().any(|(other, lives)| *other != id && lives.iter().any(has_it)) {
            return Err("constraint");
        }
        self.replace(id, Stored { value: value.clone(), version, expires_at }, now_ms);
        Ok(Vec::new())
    }

    /// Ends the life under `id`, unless time has, and says whether there was one.
    fn remove(&mut self, id: u64, now_ms: u64) -> bool {
        let lives = self.0.entry(id).or_default();
        lives.pop_if(|stored| stored.lives(now_ms)).is_some()
    }

    fn replace(&mut self, id: u64, stored: Stored, now_ms: u64) {
        self.remove(id, now_ms);
        self.0.entry(id).or_default().push(stored);
    }
}

fn moment(expires: Expires) -> u64 {
    match expires {
        Expires::At(moment) => moment,
        _ => 0,
    }
}

/// The first anomaly in a history, if there is one.
fn anomaly(mut history: Vec<Committed>, isolation: Isolation) -> Option<String> {
    // One that wrote nothing saw its snapshot.
    history.sort_by_key(|tx| (tx.seqno.unwrap_or(tx.snapshot), tx.seqno.is_none()));
    let mut states = BTreeMap::from([(0, Model::default())]);
    let at =
        |states: &BTreeMap<u64, Model>, seqno: u64| states.range(..=seqno).next_back().unwrap().1.clone();
    let mut written: Vec<(u64, BTreeSet<u64>)> = Vec::new();
    for (place, tx) in history.iter().enumerate() {
        let seen_by = match (isolation, tx.seqno) {
            (Isolation::Serializable, Some(seqno)) => seqno,
            _ => tx.snapshot,
        };
        let mut model = at(&states, seen_by);
        // What it wrote goes on top of what others wrote elsewhere.
        let mut after = tx.seqno.map(|seqno| at(&states, seqno));
        let mut ours = BTreeSet::new();
        for step in &tx.steps {
            let before = model.clone();
            let expected = model.run(&step.operation, step.now_ms);
            if expected != step.seen && step.seen != Err("no index") {
                return Some(format!(
                    "{step:?} of transaction {place} should have seen {expected:?}: {tx:#?}"
                ));
            }
            ours.extend((0..IDS).filter(|id| model.get(*id, step.now_ms) != before.get(*id, step.now_ms)));
            if step.seen.is_ok()
                && let Some(after) = &mut after
                && after.run(&step.operation, step.now_ms).is_err()
            {
                return Some(format!("{step:?} of transaction {place} broke a constraint: {tx:#?}"));
            }
        }
        let (Some(seqno), Some(after)) = (tx.seqno, after) else { continue };
        let mut later = written.iter().filter(|(at, _)| *at > tx.snapshot);
        if isolation == Isolation::Snapshot
            && let Some((at, _)) = later.find(|(_, theirs)| !theirs.is_disjoint(&ours))
        {
            return Some(format!("transaction {place} wrote what the one at {at} had written: {tx:#?}"));
        }
        written.push((seqno, ours));
        states.insert(seqno, after);
    }
    None
}

/// What is wrong with the transactions on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weakness {
    None,
    /// What was read is not checked.
    ReadsForgotten,
}

/// Runs random transactions on several threads, while time goes on, and gives those that committed.
fn history(random: &mut Random, isolation: Isolation, weakness: Weakness) -> Vec<Committed> {
    let clock = Arc::new(ManualClock::new(1_000));
    let config = Config { clock: clock.clone(), auto_background: false, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    if random.below(2) == 0 {
        db.create_index("items", "by_n", index_on("n")).unwrap();
    }
    // Held for writing while the clock is moved, so that each operation has one time.
    let time = RwLock::new(());
    let is_done = AtomicBool::new(false);
    let seeds: Vec<u64> = (0..THREADS).map(|_| random.next()).collect();
    let seed_aside = random.next();
    std::thread::scope(|scope| {
        let worker = |seed: u64| {
            let (db, clock, time) = (&db, &clock, &time);
            move || {
                let mut random = Random::seeded(seed);
                (0..TRANSACTIONS)
                    .filter_map(|_| transaction(db, clock, time, &mut random, isolation, weakness))
                    .collect::<Vec<_>>()
            }
        };
        let workers: Vec<_> = seeds.into_iter().map(|seed| scope.spawn(worker(seed))).collect();
        let aside = scope.spawn(|| go_on_aside(&db, &clock, &time, &is_done, seed_aside));
        let history = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        is_done.store(true, Ordering::Relaxed);
        aside.join().unwrap();
        history
    })
}

/// Lets time pass, purges, and makes and drops indexes.
fn go_on_aside(db: &JsonDb, clock: &ManualClock, time: &RwLock<()>, is_done: &AtomicBool, seed: u64) {
    let mut random = Random::seeded(seed);
    while !is_done.load(Ordering::Relaxed) {
        match random.below(8) {
            0 => _ = db.purge_expired(None),
            1 if random.below(4) == 0 => _ = db.create_index("items", "by_tag", multi_entry_on("tags")),
            1 if random.below(4) == 0 => _ = db.delete_index("items", "by_tag"),
            1 => _ = db.create_index("items", "by_n", index_on("n")),
            _ => {
                let _moves = time.write();
                clock.advance(random.below(3));
            }
        }
        std::thread::yield_now();
    }
}

/// One random transaction; `None` where it did not commit.
fn transaction(
    db: &JsonDb,
    clock: &ManualClock,
    time: &RwLock<()>,
    random: &mut Random,
    isolation: Isolation,
    weakness: Weakness,
) -> Option<Committed> {
    let mut tx = db.begin_with(&["items"], Mode::ReadWrite, isolation).unwrap();
    let snapshot = tx.snapshot_seqno();
    let mut steps = Vec::new();
    for _ in 0..=random.below(5) {
        let _stands = time.read();
        let now_ms = clock.now_ms();
        let operation = operation(random, now_ms);
        let seen = run(&mut tx, &operation);
        steps.push(Step { operation, now_ms, seen });
        if random.below(3) == 0 {
            std::thread::yield_now();
        }
    }
    if weakness == Weakness::ReadsForgotten {
        tx.forget_reads_for_tests();
    }
    match tx.commit_at(None) {
        Ok(seqno) => Some(Committed { snapshot, seqno, steps }),
        Err(error) if error.code() == Code::Conflict => None,
        Err(error) => panic!("{error}"),
    }
}

fn histories(default: u64) -> u64 {
    std::env::var("FLOWDB_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

fn find_none(test: &str, isolation: Isolation) {
    let mut random = Random::from_env(test);
    let (mut committed, mut tried) = (0, 0);
    for turn in 0..histories(2_000) {
        let history = history(&mut random, isolation, Weakness::None);
        committed += history.len() as u64;
        tried += THREADS * TRANSACTIONS;
        if let Some(anomaly) = anomaly(history, isolation) {
            panic!("history {turn}: {anomaly}");
        }
    }
    println!("{committed} of {tried} transactions committed");
    // Where all commit, they were not concurrent; where few do, little was checked.
    assert!(committed > tried / 4 && committed < tried, "{committed} of {tried} committed");
}

#[test]
fn no_history_has_an_anomaly_at_serializable_isolation() {
    find_none("no_history_has_an_anomaly_at_serializable_isolation", Isolation::Serializable);
}

#[test]
fn no_history_has_more_than_write_skew_at_snapshot_isolation() {
    find_none("no_history_has_more_than_write_skew_at_snapshot_isolation", Isolation::Snapshot);
}

/// The checker is worth something: without the check at the commit it finds anomalies at both isolations, and what
/// snapshot isolation allows is an anomaly to it at the other.
#[test]
fn the_checker_finds_what_a_weaker_check_lets_through() {
    let mut random = Random::from_env("the_checker_finds_what_a_weaker_check_lets_through");
    let mut finds = |ran: Isolation, weakness, checked: Isolation| {
        (0..histories(2_000)).any(|_| anomaly(history(&mut random, ran, weakness), checked).is_some())
    };

    assert!(finds(Isolation::Serializable, Weakness::ReadsForgotten, Isolation::Serializable));
    assert!(finds(Isolation::Snapshot, Weakness::ReadsForgotten, Isolation::Snapshot));
    assert!(finds(Isolation::Snapshot, Weakness::None, Isolation::Serializable));
}
