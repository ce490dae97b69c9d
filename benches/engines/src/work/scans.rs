//! Reading rows in order.

use super::{Context, Line, Miss, Outcome, Scale, rate, same};
use crate::clock::Clock;
use crate::data::{GROUP, KEY_BYTES, PREFIX_BYTES, Random, head, key};
use crate::stores::{Rows, Scan, Store};

const SEEK_10: Line = rate("seek + 10", "rows");
const SEEK_200: Line = rate("seek + 200", "rows");
const REVERSE: Line = rate("seek + 200 in reverse", "rows");
const PREFIX: Line = rate("prefix scan of 200", "rows");
const FULL: Line = rate("full scan", "rows");
const FULL_REVERSE: Line = rate("full scan in reverse", "rows");

pub const LINES: [&Line; 6] = [&SEEK_10, &SEEK_200, &REVERSE, &PREFIX, &FULL, &FULL_REVERSE];

/// The most seconds of one kind of scan.
const SECONDS: f64 = 2.0;

/// All scans, of a database whose values are of one generation.
pub fn run(context: &Context, store: &dyn Store, generation: u64) {
    let scale = context.scale;
    let backwards = || match store.scans_backwards() {
        true => Ok(()),
        false => Err(Miss::Lacking("its scans go forwards only")),
    };
    let seeks = |count, limit, reverse| seeks(store, scale, generation, (count, limit, reverse));
    context.measure(&SEEK_10, || seeks(40_000, 10, false));
    context.measure(&SEEK_200, || seeks(4_000, 200, false));
    context.measure(&REVERSE, || backwards().and_then(|()| seeks(4_000, 200, true)));
    context.measure(&PREFIX, || prefixes(store, scale, generation));
    context.measure(&FULL, || full(store, scale, generation, false));
    context.measure(&FULL_REVERSE, || backwards().and_then(|()| full(store, scale, generation, true)));
}

/// What a scan of the keys with these numbers gives.
pub fn expected(scale: Scale, generation: u64, numbers: std::ops::Range<u64>) -> Rows {
    let rows = numbers.end - numbers.start;
    Rows {
        rows,
        bytes: rows * (KEY_BYTES + scale.value_bytes) as u64,
        heads: numbers.fold(0, |sum: u64, number| sum.wrapping_add(head(number, generation))),
    }
}

/// A scan with what it should give, made before the clock starts.
struct Planned {
    start: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    limit: u64,
    reverse: bool,
    expected: Rows,
}

impl Planned {
    fn scan(&self) -> Scan<'_> {
        let Self { start, end, limit, reverse, .. } = self;
        Scan { start: start.as_deref(), end: end.as_deref(), limit: *limit, reverse: *reverse }
    }
}

/// From a random key on, or backwards from before it.
fn seeks(
    store: &dyn Store,
    scale: Scale,
    generation: u64,
    (count, limit, reverse): (u64, u64, bool),
) -> Outcome<f64> {
    let mut random = Random(limit);
    scan_many(store, count, || {
        let at = limit + random.below(scale.entries - 2 * limit);
        let bound = Some(key(at).to_vec());
        let (start, end, numbers) =
            if reverse { (None, bound, at - limit..at) } else { (bound, None, at..at + limit) };
        Planned { start, end, limit, reverse, expected: expected(scale, generation, numbers) }
    })
}

/// The rows of a random prefix.
fn prefixes(store: &dyn Store, scale: Scale, generation: u64) -> Outcome<f64> {
    let mut random = Random(GROUP);
    let prefix = |number: u64| Some(key(number)[..PREFIX_BYTES].to_vec());
    scan_many(store, 4_000, || {
        let first = random.below(scale.entries / GROUP) * GROUP;
        let expected = expected(scale, generation, first..first + GROUP);
        let (start, end) = (prefix(first), prefix(first + GROUP));
        Planned { start, end, limit: u64::MAX, reverse: false, expected }
    })
}

/// Does `count` scans, and returns the rows a second.
fn scan_many(store: &dyn Store, count: u64, mut next: impl FnMut() -> Planned) -> Outcome<f64> {
    let mut clock = Clock::new(SECONDS);
    let mut reader = store.reader();
    let mut rows = 0;
    loop {
        let block = clock.block(count);
        if block == 0 {
            return Ok(clock.rate() * rows as f64 / clock.operations() as f64);
        }
        let planned: Vec<Planned> = (0..block).map(|_| next()).collect();
        let wrong = clock.time(block, || {
            let mut found = planned.iter().map(|planned| (planned, reader.scan(planned.scan())));
            found.find(|(planned, found)| *found != planned.expected)
        });
        if let Some((planned, found)) = wrong {
            same(&format!("a scan of {} rows", planned.expected.rows), &found, &planned.expected)?;
        }
        rows += planned.iter().map(|planned| planned.expected.rows).sum::<u64>();
    }
}

/// Every row, three times or for two seconds.
fn full(store: &dyn Store, scale: Scale, generation: u64, reverse: bool) -> Outcome<f64> {
    let expected = expected(scale, generation, 0..scale.entries);
    scan_many(store, 3, || Planned { start: None, end: None, limit: u64::MAX, reverse, expected })
}
