//! The six core workloads of YCSB (Cooper et al. 2010), by one thread, with keys from a Zipf distribution of 0.99.

use super::writes::{SECOND, load};
use super::{Context, Line, Outcome, Scale, rate, same};
use crate::clock::Clock;
use crate::data::{self, Block, Random, Zipf, key};
use crate::stores::{Reader, Scan, Store};

const A: Line = rate("YCSB A: half reads, half updates", "operations");
const B: Line = rate("YCSB B: 95 % reads, 5 % updates", "operations");
const C: Line = rate("YCSB C: reads", "operations");
const D: Line = rate("YCSB D: 95 % reads of the latest, 5 % inserts", "operations");
const E: Line = rate("YCSB E: 95 % scans of 1 to 100, 5 % inserts", "operations");
const F: Line = rate("YCSB F: half reads, half read-modify-writes", "operations");

pub const LINES: &[&Line] = &[&A, &B, &C, &D, &E, &F];

/// Operations of a workload, unless its time is over.
const OPERATIONS: u64 = 200_000;

/// The most seconds of a workload.
const SECONDS: f64 = 2.0;

const SCAN_ROWS_MAX: u64 = 100;

/// What an operation that is not a read is.
#[derive(Clone, Copy)]
enum Other {
    None,
    Update,
    Insert,
    ReadModifyWrite,
}

/// A workload.
#[derive(Clone, Copy)]
struct Mix {
    /// Percent of reads, or of scans.
    reads: u64,
    other: Other,
    scans: bool,
    latest: bool,
}

/// An operation, made before the clock starts. Writes take the next entry of the block.
enum Operation {
    Read(u64),
    Scan(u64, u64),
    Write,
    ReadModifyWrite(u64),
}

pub fn run(context: &Context) {
    let store = context.create("ycsb", context.warm());
    let store = store.as_ref();
    load(store, context.scale.entries, context.scale.value_bytes);
    store.settle();
    let mut state = State {
        scale: context.scale,
        entries: context.scale.entries,
        zipf: Zipf::new(context.scale.entries, 0.99),
        random: Random(8),
    };
    let reads = |reads, other| Mix { reads, other, scans: false, latest: false };
    // Not settled in between; those that insert come last, as its authors advise.
    context.measure(&A, || state.run(store, reads(50, Other::Update)));
    context.measure(&B, || state.run(store, reads(95, Other::Update)));
    context.measure(&C, || state.run(store, reads(100, Other::None)));
    context.measure(&F, || state.run(store, reads(50, Other::ReadModifyWrite)));
    context.measure(&D, || state.run(store, Mix { latest: true, ..reads(95, Other::Insert) }));
    context.measure(&E, || state.run(store, Mix { scans: true, ..reads(95, Other::Insert) }));
}

struct State {
    scale: Scale,
    /// Entries by now.
    entries: u64,
    zipf: Zipf,
    random: Random,
}

impl State {
    /// Prepares operations, and the entries that they write.
    fn prepare(&mut self, mix: Mix, count: u64, block: &mut Block) -> Vec<Operation> {
        let mut written = Vec::new();
        let operations = (0..count).map(|_| self.one(mix, &mut written)).collect();
        block.fill(written.into_iter(), SECOND);
        operations
    }

    fn one(&mut self, mix: Mix, written: &mut Vec<u64>) -> Operation {
        let is_read = self.random.below(100) < mix.reads;
        if !is_read && matches!(mix.other, Other::Insert) {
            written.push(self.entries);
            self.entries += 1;
            return Operation::Write;
        }
        let number = self.number(mix);
        match mix.other {
            _ if is_read && mix.scans => Operation::Scan(number, 1 + self.random.below(SCAN_ROWS_MAX)),
            _ if is_read => Operation::Read(number),
            Other::ReadModifyWrite => {
                written.push(number);
                Operation::ReadModifyWrite(number)
            }
            _ => {
                written.push(number);
                Operation::Write
            }
        }
    }

    fn number(&mut self, mix: Mix) -> u64 {
        let rank = self.zipf.rank(self.random.unit());
        // The hot keys are spread over all keys, or are the last ones.
        if mix.latest { self.entries - 1 - rank } else { data::mix(rank) % self.scale.entries }
    }

    fn run(&mut self, store: &dyn Store, mix: Mix) -> Outcome<f64> {
        let mut clock = Clock::new(SECONDS);
        let mut block = Block::new(self.scale.value_bytes, 9);
        loop {
            let count = clock.block(OPERATIONS);
            if count == 0 {
                return Ok(clock.rate());
            }
            let entries_before = self.entries;
            let operations = self.prepare(mix, count, &mut block);
            clock.time(count, || self.execute(store, &operations, &block, entries_before))?;
        }
    }

    fn execute(
        &self,
        store: &dyn Store,
        operations: &[Operation],
        block: &Block,
        mut entries: u64,
    ) -> Outcome<()> {
        let mut batches = block.batches(1);
        let mut write = || store.write(batches.next().expect("an entry for each write"), false);
        // A view is kept until the next write, which later reads have to see.
        let mut view: Option<Box<dyn Reader + '_>> = None;
        for operation in operations {
            let reader = match operation {
                Operation::Write => {
                    view = None;
                    write();
                    // Updates don't add a row; workloads of updates have no scans.
                    entries += 1;
                    continue;
                }
                _ => view.get_or_insert_with(|| store.reader()),
            };
            match operation {
                Operation::Read(number) | Operation::ReadModifyWrite(number) => {
                    let found = reader.get(&key(*number)).map(|value| value.bytes);
                    same("a read", &found, &Some(self.scale.value_bytes))?;
                }
                Operation::Scan(number, limit) => {
                    let scan = Scan { start: Some(&key(*number)), limit: *limit, ..Scan::ALL };
                    let rows = reader.scan(scan).rows;
                    same("rows of a scan", &rows, &(*limit).min(entries - number))?;
                }
                Operation::Write => {}
            }
            if matches!(operation, Operation::ReadModifyWrite(_)) {
                view = None;
                write();
            }
        }
        Ok(())
    }
}
