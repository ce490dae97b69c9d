//! The workloads, in families. A family runs on one engine in a process of its own, and its lines come from one
//! database or a few. Every read checks that it found what it should.

mod base;
mod busy;
mod fill;
mod large;
mod memtable;
mod points;
mod ranges;
mod replay;
mod scans;
mod synced;
mod writes;
mod ycsb;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::stores::{self, Setup, Store};

pub use replay::write_and_die;

/// A line of the table: one figure of each engine.
pub struct Line {
    /// What is done.
    pub name: &'static str,
    /// In what it is counted.
    pub unit: Unit,
}

/// In what a line is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many of something a second.
    PerSecond(&'static str),
    /// Something that should be small.
    Cost(&'static str),
}

impl Unit {
    /// As the table has it.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::PerSecond(what) => format!("{what}/s"),
            Self::Cost(what) => what.to_owned(),
        }
    }
}

const fn rate(name: &'static str, what: &'static str) -> Line {
    Line { name, unit: Unit::PerSecond(what) }
}

const fn cost(name: &'static str, what: &'static str) -> Line {
    Line { name, unit: Unit::Cost(what) }
}

/// Lines that come from one process.
pub struct Family {
    /// What `--only` may select it by.
    pub name: &'static str,
    /// Its lines in the order of the table.
    pub lines: &'static [&'static Line],
    run: fn(&Context),
}

/// All families, in the order of the table.
pub const FAMILIES: &[Family] = &[
    Family { name: "fill", lines: fill::LINES, run: fill::run },
    Family { name: "synced", lines: synced::LINES, run: synced::run },
    Family { name: "base", lines: base::LINES, run: base::run },
    Family { name: "memtable", lines: memtable::LINES, run: memtable::run },
    Family { name: "busy", lines: busy::LINES, run: busy::run },
    Family { name: "ranges", lines: ranges::LINES, run: ranges::run },
    Family { name: "replay", lines: replay::LINES, run: replay::run },
    Family { name: "large", lines: large::LINES, run: large::run },
    Family { name: "ycsb", lines: ycsb::LINES, run: ycsb::run },
];

/// How much there is to do.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Entries of the database.
    pub entries: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
}

/// Why a line has no figure.
pub enum Miss {
    /// The engine gave a wrong answer.
    Wrong(String),
    /// It has no such thing.
    Lacking(&'static str),
}

/// A figure, or why there is none.
pub type Outcome<T> = Result<T, Miss>;

/// `Wrong`, saying what was expected, unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome<()> {
    if found == expected {
        return Ok(());
    }
    Err(Miss::Wrong(format!("{what}: {found:?} instead of {expected:?}")))
}

/// What a family is given.
pub struct Context {
    /// The name of the engine.
    pub engine: String,
    /// Where it may write.
    pub dir: PathBuf,
    /// How much there is to do.
    pub scale: Scale,
    /// Parts of the names of the families or lines that are wanted; all where there is none.
    pub only: Vec<String>,
}

/// What the first panic of the work that is being attempted said.
static PANIC: Mutex<String> = Mutex::new(String::new());

impl Context {
    /// Runs the family called `name`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn run(&self, name: &str) {
        std::panic::set_hook(Box::new(|panic| {
            let mut first = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_empty() {
                *first = panic.to_string();
            }
        }));
        let family = FAMILIES.iter().find(|family| family.name == name).expect("a family");
        // What an engine does while it fills a database that no line is about may fail, too.
        if let Err(message) = self.attempt(|| (family.run)(self)) {
            for line in family.lines.iter().filter(|line| self.wants(family, line)) {
                self.say(line, "failed", &message.as_str().into());
            }
        }
    }

    /// Whether the figure of `line` is asked for.
    #[must_use]
    pub fn wants(&self, family: &Family, line: &Line) -> bool {
        let matches =
            |part: &String| family.name.contains(part.as_str()) || line.name.contains(part.as_str());
        self.only.is_empty() || self.only.iter().any(matches)
    }

    /// Whether the figure of any of `lines` is asked for.
    fn wants_any(&self, lines: &[&Line]) -> bool {
        let is_among = |line: &&&Line| lines.iter().any(|one| one.name == line.name);
        FAMILIES
            .iter()
            .any(|family| family.lines.iter().filter(is_among).any(|line| self.wants(family, line)))
    }

    /// Opens a new database.
    fn create(&self, part: &str, setup: Setup) -> Box<dyn Store> {
        let dir = self.dir.join(part);
        let _ = std::fs::remove_dir_all(&dir);
        stores::open(&self.engine, &dir, setup)
    }

    /// A cache for twice the data, and no less than 512 MiB.
    fn warm(&self) -> Setup {
        let cache_bytes = (2 * self.data_bytes()).max(512 << 20) as usize;
        Setup { cache_bytes, synced: false, ascending: false, short_cache: false }
    }

    /// Bytes of all keys and values.
    fn data_bytes(&self) -> u64 {
        self.scale.entries * (crate::data::KEY_BYTES + self.scale.value_bytes) as u64
    }

    /// Does `work` and reports the figure that it gives, if it is asked for.
    fn measure(&self, line: &'static Line, work: impl FnOnce() -> Outcome<f64>) {
        if !self.wants_any(&[line]) {
            return;
        }
        match self.attempt(work) {
            Ok(Ok(value)) => self.say(line, "value", &value.into()),
            Ok(Err(Miss::Wrong(message))) => self.say(line, "wrong", &message.into()),
            Ok(Err(Miss::Lacking(message))) => self.say(line, "lacking", &message.into()),
            Err(message) => self.say(line, "failed", &message.into()),
        }
    }

    /// Reports a figure that was measured together with others.
    fn report(&self, line: &'static Line, value: f64) {
        self.measure(line, || Ok(value));
    }

    /// What a panic says becomes the reason why there is no figure.
    fn attempt<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|_| std::mem::take(&mut *PANIC.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn say(&self, line: &Line, key: &str, value: &serde_json::Value) {
        println!(
            "{}",
            serde_json::json!({ "engine": self.engine, "workload": line.name, "unit": line.unit.text(), key: value })
        );
    }
}
