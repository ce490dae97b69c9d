//! Documents, in this FlowDB and in the crate `flowdb` 0.8.3, on the same work:
//! `cargo run --release --bin documents [-- --seconds 1 --rounds 3 --documents 10000 --dir /tmp --only PART --ours]`.
//!
//! Both take and give values of serde_json. Every line is measured for one engine and then for the other, in the other
//! order in each second round, and medians and ratios are printed as Markdown. Documents of about 230 bytes have a key, a
//! unique index and one for ranges. Every answer is checked: the share of wrong ones stands beside a figure of 0.8.3, and one
//! of ours ends the run. `--only` leaves out the lines without `PART` in their name, and `--ours` the other engine: for profiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engines::clock::{Clock, median};
use flowdb::config::{Config, SyncMode};
use flowdb::jsondb::{Collection, IndexOptions, JsonDb, KeyPath, StoreOptions};
use flowdb_083::jsondb::{JsonDB as JsonDb083, StoreSchema, TransactionMode};
use serde_json::{Value, json};

const BATCH: u64 = 100;
const WRITERS: u64 = 64;
/// The relaxed modes sync so seldom.
const SYNC_INTERVAL_MS: u64 = 1_000;
/// A range has so many documents.
const RANGE: u64 = 10;
/// Ranks are from here on.
const RANK_FIRST: u64 = 100_000;
const STORE: &str = "people";
const NUMBERED: &str = "events";

fn main() {
    let options = Options::read();
    let mut figures: BTreeMap<(usize, bool), Vec<Figure>> = BTreeMap::new();
    for round in 0..options.rounds {
        let [strict, relaxed, filled] =
            [On::Strict, On::Relaxed, On::Filled].map(|on| Pair::open(&options, on));
        for is_ours in [true, false] {
            if options.measures(is_ours) {
                filled.of(is_ours).fill(options.documents);
            }
        }
        for (at, line) in LINES.iter().enumerate().filter(|(_, line)| line.name.contains(&options.only)) {
            let pair = match line.on {
                On::Strict => &strict,
                On::Relaxed => &relaxed,
                On::Filled => &filled,
            };
            for is_ours in [round.is_multiple_of(2), !round.is_multiple_of(2)] {
                if !options.measures(is_ours) {
                    continue;
                }
                let figure = (line.run)(pair.of(is_ours), &options);
                let name = if is_ours { "FlowDB" } else { "FlowDB 0.8.3" };
                eprintln!("round {round}, {}, {name}: {figure:?}", line.name);
                assert!(!is_ours || figure.wrong == 0.0, "a wrong answer of ours: {}", line.name);
                figures.entry((at, is_ours)).or_default().push(figure);
            }
        }
        drop((strict, relaxed, filled));
        let _ = std::fs::remove_dir_all(&options.dir);
    }
    if options.measures(false) {
        print(&options, &figures);
    }
}

/// What one run of a line gave.
#[derive(Debug, Clone, Copy)]
struct Figure {
    /// Operations a second.
    rate: f64,
    /// The share of answers that were wrong.
    wrong: f64,
}

struct Options {
    seconds: f64,
    rounds: u64,
    documents: u64,
    dir: PathBuf,
    only: String,
    is_ours_alone: bool,
}

impl Options {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let value = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
        let number = |name: &str, usual: f64| {
            value(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
        };
        let dir = value("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
        let options = Self {
            seconds: number("--seconds", 1.0),
            rounds: number("--rounds", 3.0) as u64,
            documents: number("--documents", 10_000.0) as u64,
            dir: dir.join(format!("flowdb-documents-{}", std::process::id())),
            only: value("--only").cloned().unwrap_or_default(),
            is_ours_alone: words.iter().any(|word| word == "--ours"),
        };
        assert!((RANGE..=800_000).contains(&options.documents), "--documents takes {RANGE} to 800000");
        options
    }

    fn measures(&self, is_ours: bool) -> bool {
        is_ours || !self.is_ours_alone
    }
}

/// A line of the table.
struct Line {
    name: &'static str,
    on: On,
    run: fn(&dyn Documents, &Options) -> Figure,
}

/// The databases of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// Each write is synced.
    Strict,
    /// Each write is in the log, which is synced now and then.
    Relaxed,
    /// As that, with the documents that are read.
    Filled,
}

const LINES: &[Line] = &[
    Line { name: "single puts, strict", on: On::Strict, run: single_puts },
    Line { name: "64 writers of single puts, strict", on: On::Strict, run: many_writers },
    Line { name: "batches of 100, strict (documents)", on: On::Strict, run: batches },
    Line { name: "auto-increment, strict", on: On::Strict, run: numbered_puts },
    Line { name: "single puts, relaxed", on: On::Relaxed, run: single_puts },
    Line { name: "batches of 100, relaxed (documents)", on: On::Relaxed, run: batches },
    Line { name: "auto-increment, relaxed", on: On::Relaxed, run: numbered_puts },
    Line { name: "point reads", on: On::Filled, run: point_reads },
    Line { name: "unique index reads", on: On::Filled, run: unique_reads },
    Line { name: "ranged index reads of 10", on: On::Filled, run: ranged_reads },
];

/// What both can do. Failures end the run.
trait Documents: Sync {
    fn put(&self, document: &Value);
    fn put_batch(&self, documents: &[Value]);
    /// Puts a document without a key, and gives the number that it got.
    fn put_numbered(&self, document: &Value) -> Option<u64>;
    fn get(&self, id: u64) -> Option<Value>;
    fn by_email(&self, email: &str) -> Vec<Value>;
    /// From the first rank to before the second.
    fn by_rank(&self, from: u64, to: u64) -> Vec<Value>;

    fn fill(&self, count: u64) {
        (0..count).for_each(|number| self.put(&document(number)));
    }
}

/// Numbers of documents that are put, apart from those that are read.
static NEXT: AtomicU64 = AtomicU64::new(1 << 32);

fn new_documents(count: u64) -> Vec<Value> {
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    (first..first + count).map(document).collect()
}

fn email(number: u64) -> String {
    format!("person{number}@example.com")
}

fn document(number: u64) -> Value {
    json!({
        "id": number,
        "email": email(number),
        "rank": RANK_FIRST + number,
        "name": format!("Person {number}"),
        "active": number % 3 == 0,
        "about": "Some lines about this person, as long as they are in many programs: who they are, and where.",
        "tags": ["reader", "writer"],
    })
}

fn single_puts(store: &dyn Documents, options: &Options) -> Figure {
    measure(
        options,
        |count| new_documents(count),
        |document| {
            store.put(document);
            true
        },
    )
}

fn batches(store: &dyn Documents, options: &Options) -> Figure {
    let batches = |count| (0..count).map(|_| new_documents(BATCH)).collect();
    let figure = measure(options, batches, |batch: &Vec<Value>| {
        store.put_batch(batch);
        true
    });
    Figure { rate: figure.rate * BATCH as f64, ..figure }
}

fn numbered_puts(store: &dyn Documents, options: &Options) -> Figure {
    let mut last = 0;
    let events = |count| (0..count).map(|number| json!({ "kind": "opened", "by": number })).collect();
    measure(options, events, |event: &Value| {
        let before = last;
        last = store.put_numbered(event).unwrap_or(0);
        last > before
    })
}

fn many_writers(store: &dyn Documents, options: &Options) -> Figure {
    let limit = Duration::from_secs_f64(options.seconds);
    let count = AtomicU64::new(0);
    let documents: Vec<Vec<Value>> = (0..WRITERS).map(|_| new_documents(4_000)).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for documents in &documents {
            scope.spawn(|| {
                for document in documents.iter().take_while(|_| started.elapsed() < limit) {
                    store.put(document);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Figure { rate: count.into_inner() as f64 / started.elapsed().as_secs_f64(), wrong: 0.0 }
}

fn point_reads(store: &dyn Documents, options: &Options) -> Figure {
    let mut random = Numbers(7);
    measure(
        options,
        |count| random.take(count, options.documents),
        |&number| store.get(number).is_some_and(|found| found["id"] == number),
    )
}

fn unique_reads(store: &dyn Documents, options: &Options) -> Figure {
    let mut random = Numbers(8);
    let emails = |count| {
        random.take(count, options.documents).into_iter().map(|number| (number, email(number))).collect()
    };
    measure(options, emails, |(number, email): &(u64, String)| {
        let found = store.by_email(email);
        found.len() == 1 && found[0]["id"] == *number
    })
}

fn ranged_reads(store: &dyn Documents, options: &Options) -> Figure {
    let mut random = Numbers(9);
    measure(
        options,
        |count| random.take(count, options.documents - RANGE + 1),
        |&number| {
            let found = store.by_rank(RANK_FIRST + number, RANK_FIRST + number + RANGE);
            found.len() as u64 == RANGE && found[0]["id"] == number
        },
    )
}

/// Does `work` with what `make` gives, which is not on the clock. It says whether the answer was right.
fn measure<T>(
    options: &Options,
    mut make: impl FnMut(u64) -> Vec<T>,
    mut work: impl FnMut(&T) -> bool,
) -> Figure {
    let mut clock = Clock::new(options.seconds);
    let mut wrong = 0_u64;
    loop {
        let count = clock.block(u64::MAX);
        if count == 0 {
            return Figure { rate: clock.rate(), wrong: wrong as f64 / clock.operations() as f64 };
        }
        let inputs = make(count);
        clock.time(count, || inputs.iter().for_each(|input| wrong += u64::from(!work(input))));
    }
}

/// A linear congruence (Knuth's), which is random enough to choose what is read.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: u64, below: u64) -> Vec<u64> {
        let next = |state: u64| {
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        (0..count)
            .map(|_| {
                self.0 = next(self.0);
                (self.0 >> 33) % below
            })
            .collect()
    }
}

/// One database of each.
struct Pair {
    ours: Ours,
    theirs: Theirs,
}

impl Pair {
    fn open(options: &Options, on: On) -> Self {
        let dir = |name: &str| options.dir.join(format!("{name}-{on:?}"));
        let strict = on == On::Strict;
        Self { ours: Ours::open(&dir("ours"), strict), theirs: Theirs::open(&dir("theirs"), strict) }
    }

    fn of(&self, is_ours: bool) -> &dyn Documents {
        if is_ours { &self.ours } else { &self.theirs }
    }
}

struct Ours {
    people: Collection<Value>,
    events: Collection<Value>,
}

impl Ours {
    fn open(dir: &Path, strict: bool) -> Self {
        let mode = if strict { SyncMode::Always } else { SyncMode::Interval(SYNC_INTERVAL_MS) };
        let db = JsonDb::open(Config { wal_sync_mode: mode, ..Config::new(dir) }).expect("opening");
        let path = |path: &str| KeyPath::One(path.to_owned());
        for (store, auto_increment) in [(STORE, false), (NUMBERED, true)] {
            let options = StoreOptions { key_path: Some(path("id")), auto_increment };
            db.create_object_store(store, options).expect("creating a store");
        }
        for (index, unique) in [("email", true), ("rank", false)] {
            let options = IndexOptions { key_path: path(index), unique, multi_entry: false };
            db.create_index(STORE, index, options).expect("creating an index");
        }
        let collection = |store| db.collection(store).expect("a store that was just created");
        Self { people: collection(STORE), events: collection(NUMBERED) }
    }
}

impl Documents for Ours {
    fn put(&self, document: &Value) {
        self.people.put(document).expect("putting");
    }

    fn put_batch(&self, documents: &[Value]) {
        self.people.put_many(documents).expect("putting a batch");
    }

    fn put_numbered(&self, document: &Value) -> Option<u64> {
        let key = self.events.put(document).expect("putting");
        match key.decode().expect("a key") {
            flowdb::jsondb::KeyValue::Number(number) => Some(number as u64),
            _ => None,
        }
    }

    fn get(&self, id: u64) -> Option<Value> {
        self.people.get(id).expect("reading")
    }

    fn by_email(&self, email: &str) -> Vec<Value> {
        self.people.get_all_by_index("email", email).expect("reading")
    }

    fn by_rank(&self, from: u64, to: u64) -> Vec<Value> {
        let walk = self.people.range_by_index("rank", from..to).expect("reading");
        walk.collect::<Result<_, _>>().expect("reading")
    }
}

struct Theirs(JsonDb083);

impl Theirs {
    fn open(dir: &Path, strict: bool) -> Self {
        let mode = if strict {
            flowdb_083::SyncMode::Always
        } else {
            flowdb_083::SyncMode::IntervalMs(SYNC_INTERVAL_MS)
        };
        let config =
            flowdb_083::Config { data_dir: dir.to_path_buf(), wal_sync_mode: mode, ..Default::default() };
        let db = JsonDb083::open(config).expect("opening 0.8.3");
        let people = StoreSchema::new(STORE, "id").with_index("email", &["email"], true).with_index(
            "rank",
            &["rank"],
            false,
        );
        db.apply_store(&people).expect("creating a store of 0.8.3");
        let events = StoreSchema::new(NUMBERED, "id").with_auto_increment();
        db.apply_store(&events).expect("creating a store of 0.8.3");
        Self(db)
    }
}

impl Documents for Theirs {
    fn put(&self, document: &Value) {
        self.0.put(STORE, document.clone()).expect("putting into 0.8.3");
    }

    fn put_batch(&self, documents: &[Value]) {
        let mut transaction =
            self.0.transaction(&[STORE], TransactionMode::ReadWrite).expect("a transaction of 0.8.3");
        for document in documents {
            transaction.put(STORE, document.clone()).expect("putting into 0.8.3");
        }
        transaction.commit().expect("committing in 0.8.3");
    }

    fn put_numbered(&self, document: &Value) -> Option<u64> {
        self.0.put_auto(NUMBERED, document.clone()).expect("putting into 0.8.3").as_u64()
    }

    fn get(&self, id: u64) -> Option<Value> {
        self.0.get(STORE, &json!(id)).expect("reading from 0.8.3")
    }

    fn by_email(&self, email: &str) -> Vec<Value> {
        self.0.get_by_index(STORE, "email", &json!(email)).expect("reading from 0.8.3")
    }

    fn by_rank(&self, from: u64, to: u64) -> Vec<Value> {
        self.0.range_by_index(STORE, "rank", &json!(from), &json!(to)).expect("reading from 0.8.3")
    }
}

fn print(options: &Options, figures: &BTreeMap<(usize, bool), Vec<Figure>>) {
    println!(
        "Medians of {} rounds of {} s for each line, {} documents to read.\n",
        options.rounds, options.seconds, options.documents
    );
    println!("| a second | FlowDB | FlowDB 0.8.3 | ratio |\n|---|--:|--:|--:|");
    let middle = |at: usize, is_ours: bool| {
        let of = |part: fn(&Figure) -> f64| {
            median(&figures[&(at, is_ours)].iter().map(part).collect::<Vec<f64>>())
        };
        Figure { rate: of(|figure| figure.rate), wrong: of(|figure| figure.wrong) }
    };
    for (at, line) in LINES.iter().enumerate().filter(|&(at, _)| figures.contains_key(&(at, true))) {
        let (ours, theirs) = (middle(at, true), middle(at, false));
        let wrong = if theirs.wrong > 0.0 {
            format!(" ({:.0} % wrong)", theirs.wrong * 100.0)
        } else {
            String::new()
        };
        let ratio = ours.rate / theirs.rate;
        println!("| {} | {:.0} | {:.0}{wrong} | {ratio:.1} |", line.name, ours.rate, theirs.rate);
    }
    if ![0, 1].iter().all(|&at| figures.contains_key(&(at, true))) {
        return;
    }
    let times = |is_ours| middle(1, is_ours).rate / middle(0, is_ours).rate;
    println!("\n64 writers against one: {:.1} times, 0.8.3 {:.1} times.", times(true), times(false));
}
