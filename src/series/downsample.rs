//! Many records as few numbers: one for each key and window of time, in memory that doesn't grow with either.

use super::{Record, RecordScan};
use crate::error::{Code, Error, Result};

/// How the numbers of a window become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// How many there are.
    Count,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their sum, divided by how many there are.
    Avg,
    /// That of the earliest record.
    First,
    /// That of the latest record.
    Last,
}

/// What the records of one key in one window come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The key of the records.
    pub key: Vec<u8>,
    /// Where the window begins, in microseconds since 1970: a multiple of its width.
    pub start: i64,
    /// How many numbers there are in it, at least one.
    pub count: u64,
    /// What the aggregate makes of them.
    pub value: f64,
}

/// The windows of a query, in the order of its records. Windows without a number are left out. As an iterator it ends
/// after an error.
pub struct Downsample<F> {
    records: RecordScan,
    width: i64,
    aggregate: Aggregate,
    number_of: F,
    left: Option<u64>,
    /// The window at hand.
    open: Option<OpenWindow>,
}

struct OpenWindow {
    key: Vec<u8>,
    start: i64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: (i64, f64),
    last: (i64, f64),
}

impl OpenWindow {
    fn new(record: &Record, start: i64, number: f64) -> Self {
        let at = (record.ts, number);
        Self {
            key: record.key.clone(),
            start,
            count: 1,
            sum: number,
            min: number,
            max: number,
            first: at,
            last: at,
        }
    }

    fn add(&mut self, ts: i64, number: f64) {
        self.count += 1;
        self.sum += number;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        if ts < self.first.0 {
            self.first = (ts, number);
        }
        if ts > self.last.0 {
            self.last = (ts, number);
        }
    }

    fn close(self, aggregate: Aggregate) -> Window {
        let value = match aggregate {
            Aggregate::Count => self.count as f64,
            Aggregate::Sum => self.sum,
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Avg => self.sum / self.count as f64,
            Aggregate::First => self.first.1,
            Aggregate::Last => self.last.1,
        };
        Window { key: self.key, start: self.start, count: self.count, value }
    }
}

impl<F: FnMut(&[u8]) -> Option<f64>> Downsample<F> {
    pub(super) fn new(
        records: RecordScan,
        width: i64,
        aggregate: Aggregate,
        number_of: F,
        left: Option<u64>,
    ) -> Result<Self> {
        if width < 1 {
            let message = format!("downsampling to windows of {width} microseconds: the least is 1");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(Self { records, width, aggregate, number_of, left, open: None })
    }

    fn try_next(&mut self) -> Result<Option<Window>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        while self.records.advance()? {
            let record = self.records.record();
            // NaN is no number: one would make NaN of everything in its window.
            let Some(number) = (self.number_of)(&record.value).filter(|number| !number.is_nan()) else {
                continue;
            };
            let start = window_start(record.ts, self.width);
            match &mut self.open {
                Some(open) if open.start == start && open.key == record.key => open.add(record.ts, number),
                _ => {
                    let begun = OpenWindow::new(record, start, number);
                    if let Some(ended) = self.open.replace(begun) {
                        return Ok(Some(ended.close(self.aggregate)));
                    }
                }
            }
        }
        Ok(self.open.take().map(|ended| ended.close(self.aggregate)))
    }
}

impl<F: FnMut(&[u8]) -> Option<f64>> Iterator for Downsample<F> {
    type Item = Result<Window>;

    fn next(&mut self) -> Option<Self::Item> {
        let window = self.try_next();
        if window.is_err() {
            self.open = None;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        window.transpose()
    }
}

impl<F> std::fmt::Debug for Downsample<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Downsample")
    }
}

/// The start of the window of `width` that `ts` lies in. The first window of all time begins with time.
fn window_start(ts: i64, width: i64) -> i64 {
    ts.div_euclid(width).checked_mul(width).unwrap_or(i64::MIN)
}

/// The number that a value of 8 bytes is: an `f64`, little endian.
#[must_use]
pub fn number_of_f64(value: &[u8]) -> Option<f64> {
    value.try_into().ok().map(f64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_multiples_of_their_width_before_1970_too() {
        assert_eq!([-11, -10, -1, 0, 9, 10].map(|ts| window_start(ts, 10)), [-20, -10, -10, 0, 0, 10]);
        assert_eq!(window_start(i64::MIN, 10), i64::MIN);
        assert_eq!(window_start(i64::MAX, i64::MAX), i64::MAX);
    }

    #[test]
    fn only_eight_bytes_are_a_number() {
        assert_eq!(number_of_f64(&21.5f64.to_le_bytes()), Some(21.5));
        assert_eq!(number_of_f64(b"21.5"), None);
    }
}
