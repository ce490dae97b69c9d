//! The settings of a database as they come from JavaScript.

use napi_derive::napi;

use crate::config::{Compression, Config, SyncMode};
use crate::error::{Code, Error, Result};

/// Settings for `open`. `lib/options.js` has checked names and types; limits are checked by [`Config::check`].
#[napi(object)]
pub struct OpenOptions {
    /// The directory, absolute; not used in memory.
    pub data_dir: String,
    /// Keep everything in memory.
    pub in_memory: Option<bool>,
    /// Write nothing; there must be a database.
    pub read_only: Option<bool>,
    /// Create the database where there is none.
    pub create_if_missing: Option<bool>,
    /// `strict`, `relaxed` or `none`.
    pub durability: Option<String>,
    /// For `relaxed`, in milliseconds.
    pub sync_interval_ms: Option<f64>,
    /// In bytes.
    pub memtable_size_bytes: Option<f64>,
    /// How many sealed memtables may wait.
    pub max_frozen_memtables: Option<f64>,
    /// In bytes.
    pub block_size: Option<f64>,
    /// In bytes.
    pub table_size_bytes: Option<f64>,
    /// In bytes.
    pub block_cache_capacity_bytes: Option<f64>,
    /// Bits of filter for each key.
    pub bloom_bits_per_key: Option<f64>,
    /// `lz4` or `none`.
    pub compression: Option<String>,
    /// Tables in level 0 that make a compaction.
    pub compaction_threshold: Option<f64>,
    /// In bytes.
    pub level_size_bytes: Option<f64>,
}

/// How often the log is synced with `relaxed`, unless the caller says.
const SYNC_INTERVAL_MS: f64 = 100.0;

impl OpenOptions {
    /// The settings with the engine's defaults where nothing is said.
    pub(crate) fn into_config(self) -> Result<Config> {
        let mut config = Config::new(self.data_dir);
        config.in_memory = self.in_memory.unwrap_or(config.in_memory);
        config.read_only = self.read_only.unwrap_or(config.read_only);
        config.create_if_missing = self.create_if_missing.unwrap_or(config.create_if_missing);
        config.wal_sync_mode = match self.durability.as_deref() {
            None | Some("strict") => SyncMode::Always,
            Some("relaxed") => SyncMode::Interval(whole(self.sync_interval_ms.unwrap_or(SYNC_INTERVAL_MS))),
            Some("none") => SyncMode::Never,
            Some(word) => return Err(unknown("durability", word)),
        };
        config.compression = match self.compression.as_deref() {
            None | Some("lz4") => Compression::Lz4,
            Some("none") => Compression::None,
            Some(word) => return Err(unknown("compression", word)),
        };
        set(&mut config.memtable_size_bytes, self.memtable_size_bytes);
        set(&mut config.max_frozen_memtables, self.max_frozen_memtables);
        set(&mut config.block_size, self.block_size);
        set(&mut config.table_size_bytes, self.table_size_bytes);
        set(&mut config.block_cache_capacity_bytes, self.block_cache_capacity_bytes);
        set(&mut config.bloom_bits_per_key, self.bloom_bits_per_key);
        set(&mut config.compaction_threshold, self.compaction_threshold);
        set(&mut config.level_size_bytes, self.level_size_bytes);
        Ok(config)
    }
}

/// Sets a number; one too large for its type becomes the largest, which [`Config::check`] then refuses by name.
fn set<T: TryFrom<u64> + Bounded>(setting: &mut T, value: Option<f64>) {
    if let Some(value) = value {
        *setting = T::try_from(whole(value)).unwrap_or(T::MAX);
    }
}

trait Bounded {
    const MAX: Self;
}

impl Bounded for usize {
    const MAX: Self = usize::MAX;
}

impl Bounded for u64 {
    const MAX: Self = u64::MAX;
}

impl Bounded for u8 {
    const MAX: Self = u8::MAX;
}

fn whole(value: f64) -> u64 {
    value as u64
}

fn unknown(option: &str, word: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("{option} can't be {word:?}"))
}
