//! Records, what may change in one, what a series is set to, and when a record expires.

use crate::error::{Code, Error, Result};

/// The expiry of a record that never expires, also in a series with a retention.
pub const NEVER: i64 = i64::MAX;

/// The longest retention and the widest time bucket, in seconds: about 3,170 years.
pub const SECONDS_MAX: u64 = 100_000_000_000;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// What the record is about. At most [`super::RECORD_KEY_BYTES_MAX`] bytes; may be empty.
    pub key: Vec<u8>,
    /// When it was, in microseconds since 1970.
    pub ts: i64,
    /// When it expires, in microseconds since 1970, kept to the millisecond (rounded up). `None` in a record that is
    /// written leaves that to the series' retention, and [`NEVER`] means never; in a record that is read, `None` is never.
    pub expire_at: Option<i64>,
    /// What was recorded.
    pub value: Vec<u8>,
}

impl Record {
    /// A record that expires as its series says.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>, ts: i64, value: impl AsRef<[u8]>) -> Self {
        Self { key: key.as_ref().to_vec(), ts, expire_at: None, value: value.as_ref().to_vec() }
    }
}

/// What to change in a record; `None` leaves it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The expiry, in microseconds since 1970; [`NEVER`] takes it away.
    pub expire_at: Option<i64>,
}

/// What a series is set to when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesOptions {
    /// A record expires so many seconds after its own time, unless it has an expiry of its own. `None` keeps records for
    /// ever. This is what `default_ttl_secs` was in flowdb 0.8. What has expired is not there for readers from that
    /// millisecond on; compaction takes it off the disk by itself.
    pub retention_secs: Option<u64>,
    /// The width of the windows of [`super::Series::downsample`] where none is asked for. Default 3600; 1 to [`SECONDS_MAX`].
    ///
    /// In flowdb 0.8 it was also the grain of the index that pruned a query by time. There is no such grain here: tables
    /// keep the exact times of every block, and the place of a record doesn't depend on any bucket, so that the latest
    /// record of a key is one seek away.
    pub time_bucket_secs: u64,
}

impl Default for SeriesOptions {
    fn default() -> Self {
        Self { retention_secs: None, time_bucket_secs: 3_600 }
    }
}

impl SeriesOptions {
    pub(super) fn check(&self) -> Result<()> {
        let within = |name: &str, seconds: u64| match seconds {
            1..=SECONDS_MAX => Ok(()),
            _ => {
                let message = format!("{name} is {seconds}: it must be from 1 to {SECONDS_MAX}");
                Err(Error::new(Code::InvalidArgument, message))
            }
        };
        self.retention_secs.map_or(Ok(()), |seconds| within("retention_secs", seconds))?;
        within("time_bucket_secs", self.time_bucket_secs)
    }
}

/// The moment `seconds` after `ts`.
pub(super) fn after(ts: i64, seconds: u64) -> i64 {
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(MICROS_PER_SECOND);
    ts.saturating_add(micros)
}

/// An expiry as the engine has it, in milliseconds since 1970: not before the moment that was asked for. One before
/// 1970 is long past, and 0 would mean never.
pub(super) fn expiry_to_ms(expire_at: i64) -> u64 {
    match expire_at {
        NEVER => 0,
        micros => u64::try_from(micros).unwrap_or(0).div_ceil(1_000).max(1),
    }
}

/// As records have it; the engine's 0 is never.
pub(super) fn expiry_from_ms(expires_at: u64) -> Option<i64> {
    let micros = || i64::try_from(expires_at.saturating_mul(1_000)).unwrap_or(NEVER);
    (expires_at != 0).then(micros)
}
