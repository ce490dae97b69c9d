//! The one table of all settings: names, kinds and limits. Builder methods, [`Config::set`], the checks at the opening
//! and the options in JavaScript are made of it.
#![forbid(unsafe_code)]

use super::nearest::nearest;
use super::{Compression, Config, SYNC_INTERVAL_MS, SyncMode};
use crate::error::{Code, Error, Result, shown};

const MIB: u64 = 1 << 20;

/// One setting.
pub(crate) struct Setting {
    /// As users write it, for example `memtable_size_mb`.
    pub(crate) name: &'static str,
    /// Another name for it: of the exact field where the name is in megabytes.
    pub(crate) alias: Option<&'static str>,
    pub(crate) kind: Kind,
    get: fn(&Config) -> u64,
    put: fn(&mut Config, u64),
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The path of a directory.
    Path,
    /// True or false.
    Flag,
    /// A whole number within limits.
    Whole { least: u64, most: u64 },
    /// A number of megabytes; the limits are in bytes.
    Megabytes { least: u64, most: u64 },
    /// One of so many words, each with another that means the same.
    Word(&'static [(&'static str, &'static str)]),
}

/// The entry of the table for one setting whose field has its name, or is the same in bytes.
macro_rules! entry {
    (flag $name:ident) => {
        Setting {
            name: stringify!($name),
            alias: None,
            kind: Kind::Flag,
            get: |config| u64::from(config.$name),
            put: |config, value| config.$name = value != 0,
        }
    };
    (whole $name:ident: $type:ty, $least:expr, $most:expr) => {
        Setting {
            name: stringify!($name),
            alias: None,
            kind: Kind::Whole { least: $least, most: $most },
            get: |config| config.$name as u64,
            put: |config, value| config.$name = <$type>::try_from(value).unwrap_or(<$type>::MAX),
        }
    };
    (megabytes $name:ident $field:ident: $type:ty, $least:expr, $most:expr) => {
        Setting {
            name: stringify!($name),
            alias: Some(stringify!($field)),
            kind: Kind::Megabytes { least: $least, most: $most },
            get: |config| config.$field as u64,
            put: |config, value| config.$field = <$type>::try_from(value).unwrap_or(<$type>::MAX),
        }
    };
}

/// The builder method of one setting.
macro_rules! builder {
    (flag $name:ident) => {
        #[doc = concat!("With the setting [`", stringify!($name), "`](field@Config::", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, on: bool) -> Self {
            self.$name = on;
            self
        }
    };
    (whole $name:ident: $type:ty, $least:expr, $most:expr) => {
        #[doc = concat!("With the setting [`", stringify!($name), "`](field@Config::", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, value: $type) -> Self {
            self.$name = value;
            self
        }
    };
    (megabytes $name:ident $field:ident: $type:ty, $least:expr, $most:expr) => {
        #[doc = concat!("With [`", stringify!($field), "`](field@Config::", stringify!($field), ") in megabytes of 2^20 bytes.")]
        #[must_use]
        pub fn $name(mut self, megabytes: $type) -> Self {
            self.$field = megabytes.saturating_mul(MIB as $type);
            self
        }
    };
}

macro_rules! settings {
    ($($kind:ident $name:ident $($field:ident)? $(: $type:ty, $least:expr, $most:expr)?;)*) => {
        /// Every setting with a field of a simple type, in the order of the documentation.
        const SIMPLE: &[Setting] =
            &[$(entry!($kind $name $($field)? $(: $type, $least, $most)?)),*];

        impl Config {
            $(builder!($kind $name $($field)? $(: $type, $least, $most)?);)*
        }
    };
}

settings! {
    flag create_if_missing;
    flag read_only;
    flag salvage;
    megabytes memtable_size_mb memtable_size_bytes: usize, 4 << 10, 4 << 30;
    megabytes wal_segment_size_mb wal_segment_size_bytes: u64, 4 << 10, 4 << 30;
    whole max_frozen_memtables: usize, 1, 64;
    whole flush_interval_ms: u64, 0, 3_600_000;
    whole block_size: usize, 128, 1 << 20;
    megabytes table_size_mb table_size_bytes: u64, 4 << 10, 1 << 30;
    megabytes block_cache_capacity_mb block_cache_capacity_bytes: usize, 0, 1 << 40;
    megabytes index_memory_budget_mb index_memory_budget_bytes: usize, 0, 1 << 40;
    whole max_open_files: usize, 8, 1_000_000;
    whole value_threshold_bytes: usize, 0, 1 << 30;
    megabytes value_file_size_mb value_file_size_bytes: u64, 4 << 10, 1 << 40;
    whole bloom_bits_per_key: u8, 0, 32;
    whole compaction_threshold: usize, 2, 64;
    megabytes level_size_mb level_size_bytes: u64, 16 << 10, 1 << 40;
    megabytes write_limit_mb_per_sec write_limit_bytes_per_sec: u64, 0, 1 << 40;
    whole gc_interval_secs: u64, 1, 86_400;
    whole default_ttl_secs: u64, 0, 3_155_760_000;
    whole time_bucket_secs: u64, 1, 31_557_600;
    flag auto_background;
}

/// The settings whose fields have types of their own.
const SPECIAL: &[Setting] = &[
    Setting { name: "data_dir", alias: None, kind: Kind::Path, get: |_| 0, put: |_, _| {} },
    // No builder: `Config::in_memory()` makes one.
    entry!(flag in_memory),
    Setting {
        name: "wal_sync_mode",
        alias: Some("durability"),
        kind: Kind::Word(&[("always", "strict"), ("interval", "relaxed"), ("never", "none")]),
        get: |config| match config.wal_sync_mode {
            SyncMode::Always => 0,
            SyncMode::Interval(_) => 1,
            SyncMode::Never => 2,
        },
        put: |config, word| {
            config.wal_sync_mode = match (word, config.wal_sync_mode) {
                (0, _) => SyncMode::Always,
                (1, SyncMode::Interval(ms)) => SyncMode::Interval(ms),
                (1, _) => SyncMode::Interval(SYNC_INTERVAL_MS),
                _ => SyncMode::Never,
            };
        },
    },
    Setting {
        name: "sync_interval_ms",
        alias: None,
        kind: Kind::Whole { least: 1, most: 60_000 },
        get: |config| match config.wal_sync_mode {
            SyncMode::Interval(ms) => ms,
            SyncMode::Always | SyncMode::Never => SYNC_INTERVAL_MS,
        },
        put: |config, ms| config.wal_sync_mode = SyncMode::Interval(ms),
    },
    Setting {
        name: "compression",
        alias: None,
        kind: Kind::Word(&[("lz4", "lz4"), ("none", "none")]),
        get: |config| u64::from(config.compression == Compression::None),
        put: |config, word| {
            config.compression = if word == 0 { Compression::Lz4 } else { Compression::None };
        },
    },
];

/// Every setting.
pub(crate) fn settings() -> impl Iterator<Item = &'static Setting> {
    SPECIAL.iter().chain(SIMPLE)
}

/// The setting with this name or alias.
///
/// # Errors
///
/// `InvalidArgument` for a name that no setting has, with the one that may have been meant.
pub(crate) fn setting(name: &str) -> Result<&'static Setting> {
    if let Some(setting) = settings().find(|setting| setting.name == name || setting.alias == Some(name)) {
        return Ok(setting);
    }
    let meant = nearest_name(name).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Err(Error::new(Code::InvalidArgument, format!("there is no setting {}{meant}", shown(name))))
}

/// The name that is most like one that no setting has, if any is like it.
pub(crate) fn nearest_name(name: &str) -> Option<&'static str> {
    nearest(name, settings().flat_map(|setting| std::iter::once(setting.name).chain(setting.alias)))
}

impl Setting {
    /// The value in `config` as a number: of bytes where the kind is megabytes, of the word where it is one of words.
    pub(crate) fn value(&self, config: &Config) -> u64 {
        (self.get)(config)
    }

    /// Checks the value in `config` against the limits.
    pub(super) fn check(&self, config: &Config) -> Result<()> {
        let value = self.value(config);
        match self.kind {
            Kind::Whole { least, most } | Kind::Megabytes { least, most }
                if !(least..=most).contains(&value) =>
            {
                let name = if self.is_in_megabytes() { self.alias.unwrap_or(self.name) } else { self.name };
                Err(out_of_limits(name, &value.to_string(), &least, &most))
            }
            _ => Ok(()),
        }
    }

    fn is_in_megabytes(&self) -> bool {
        matches!(self.kind, Kind::Megabytes { .. })
    }

    /// Sets the value in `config` to what `text` says; `name` is the one by which the setting was called.
    fn set(&self, config: &mut Config, name: &str, text: &str) -> Result<()> {
        let path = text;
        let text = text.trim();
        let wrong = |wanted: &str| {
            Error::new(Code::InvalidArgument, format!("{name} is {wanted}, not {}", shown(text)))
        };
        let value = match self.kind {
            Kind::Path => {
                // A name may begin or end with a blank.
                config.data_dir = path.into();
                return Ok(());
            }
            Kind::Flag => match text {
                "true" => 1,
                "false" => 0,
                _ => return Err(wrong("true or false")),
            },
            Kind::Megabytes { least, most } if name == self.name => {
                let megabytes = |bytes: u64| bytes as f64 / MIB as f64;
                let value: f64 = text.parse().map_err(|_| wrong("a number of megabytes"))?;
                if !(megabytes(least)..=megabytes(most)).contains(&value) {
                    return Err(out_of_limits(name, text, &megabytes(least), &megabytes(most)));
                }
                (value * MIB as f64).round() as u64
            }
            Kind::Whole { least, most } | Kind::Megabytes { least, most } => {
                let value: u64 =
                    text.parse().map_err(|_| wrong(&format!("a whole number from {least} to {most}")))?;
                if !(least..=most).contains(&value) {
                    return Err(out_of_limits(name, text, &least, &most));
                }
                value
            }
            Kind::Word(words) => {
                let place = words.iter().position(|(word, synonym)| *word == text || *synonym == text);
                let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                place.ok_or_else(|| wrong(&format!("one of {}", all.join(", "))))? as u64
            }
        };
        (self.put)(config, value);
        Ok(())
    }
}

fn out_of_limits(
    name: &str,
    value: &str,
    least: &dyn std::fmt::Display,
    most: &dyn std::fmt::Display,
) -> Error {
    Error::new(Code::InvalidArgument, format!("{name} is {value}: it must be from {least} to {most}"))
}

impl Config {
    /// Sets the setting called `name` to what `text` says, for programs that read settings from a file.
    ///
    /// The names are those of the fields and of the builder methods: `memtable_size_mb` takes megabytes, also parts of
    /// one, and `memtable_size_bytes` bytes. `wal_sync_mode` is `always`, `interval` or `never` (or `strict`, `relaxed`,
    /// `none`); `sync_interval_ms` sets the interval, and the mode with it. White space around a text is nothing, but around a path.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a name that is none, with the one that may have been meant, and for a value that is none
    /// or out of its limits, with the limits. The settings are then as they were.
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        setting(name)?.set(self, name, text)
    }

    /// With the files in `dir`.
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<std::path::PathBuf>) -> Self {
        self.data_dir = dir.into();
        self
    }

    /// With the setting [`wal_sync_mode`](field@Config::wal_sync_mode).
    #[must_use]
    pub fn wal_sync_mode(mut self, mode: SyncMode) -> Self {
        self.wal_sync_mode = mode;
        self
    }

    /// With the setting [`compression`](field@Config::compression).
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each setting: texts that are taken, and texts that are not.
    fn texts(kind: Kind) -> (Vec<String>, Vec<String>) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match kind {
            Kind::Path => (owned(&["somewhere"]), vec![]),
            Kind::Flag => (owned(&["true", "false", " true\n"]), owned(&["", "1", "yes", "TRUE"])),
            Kind::Word(words) => {
                let all = words.iter().flat_map(|(word, synonym)| [*word, *synonym]).collect::<Vec<_>>();
                (owned(&all), owned(&["", "LZ4", "whatever"]))
            }
            Kind::Whole { least, most } => {
                let below = least.checked_sub(1).map_or("-1".to_owned(), |below| below.to_string());
                let bad =
                    [below, (most + 1).to_string(), "1.5".into(), String::new(), "NaN".into(), "many".into()];
                (vec![least.to_string(), most.to_string()], bad.into())
            }
            Kind::Megabytes { least, most } => {
                let megabytes = |bytes: f64| (bytes / MIB as f64).to_string();
                let (least, most) = (least as f64, most as f64);
                let bad = [
                    megabytes(least - 1.0),
                    megabytes(most * 1.01),
                    "NaN".into(),
                    "inf".into(),
                    "1 MB".into(),
                ];
                (vec![megabytes(least), megabytes(most)], bad.into())
            }
        }
    }

    #[test]
    fn every_setting_takes_its_limits_and_refuses_what_lies_beyond_by_name() {
        for setting in settings() {
            let (good, bad) = texts(setting.kind);
            for text in good {
                let mut config = Config::new("somewhere");
                config.set(setting.name, &text).unwrap_or_else(|error| panic!("{}: {error}", setting.name));
                let checked = config.check();
                // Read-only excludes in-memory only, and each is set alone here.
                assert!(checked.is_ok(), "{} = {text}: {checked:?}", setting.name);
            }
            for text in bad {
                let mut config = Config::new("somewhere");
                let before = setting.value(&config);
                let error = config.set(setting.name, &text).unwrap_err();
                assert_eq!(error.code(), Code::InvalidArgument, "{} = {text}", setting.name);
                assert!(error.message().starts_with(setting.name), "{error}");
                assert_eq!(setting.value(&config), before, "{} = {text}", setting.name);
            }
        }
    }

    #[test]
    fn every_field_beyond_its_limits_is_refused_at_the_opening() {
        for setting in settings() {
            let (Kind::Whole { least, most } | Kind::Megabytes { least, most }) = setting.kind else {
                continue;
            };
            for (value, is_good) in [
                (Some(least), true),
                (Some(most), true),
                (least.checked_sub(1), false),
                (Some(most + 1), false),
            ] {
                let Some(value) = value else { continue };
                let mut config = Config::new("somewhere");
                (setting.put)(&mut config, value);
                let checked = config.check();
                assert_eq!(checked.is_ok(), is_good, "{} = {value}", setting.name);
                let name = if setting.is_in_megabytes() { setting.alias.unwrap() } else { setting.name };
                if let Err(error) = checked {
                    assert_eq!(error.code(), Code::InvalidArgument);
                    assert!(error.message().contains(name), "{error} should name {name}");
                }
            }
        }
    }

    #[test]
    fn the_exact_field_is_set_by_its_own_name() {
        let mut config = Config::new("somewhere");

        config.set("memtable_size_mb", "0.5").unwrap();
        assert_eq!(config.memtable_size_bytes, 512 << 10);
        config.set("memtable_size_bytes", "5000").unwrap();
        assert_eq!(config.memtable_size_bytes, 5000);
        assert!(config.set("memtable_size_bytes", "0.5").is_err());
    }

    #[test]
    fn sync_modes_are_set_by_the_words_of_both_languages() {
        let mut config = Config::new("somewhere");
        let mut mode = |name: &str, text: &str| {
            config.set(name, text).unwrap();
            config.wal_sync_mode
        };

        assert_eq!(mode("wal_sync_mode", "never"), SyncMode::Never);
        assert_eq!(mode("durability", "relaxed"), SyncMode::Interval(SYNC_INTERVAL_MS));
        assert_eq!(mode("sync_interval_ms", "20"), SyncMode::Interval(20));
        assert_eq!(mode("wal_sync_mode", "interval"), SyncMode::Interval(20), "the interval stays");
        assert_eq!(mode("durability", "strict"), SyncMode::Always);
    }

    #[test]
    fn an_unknown_name_gets_the_one_that_was_meant() {
        let mut config = Config::new("somewhere");
        for (name, meant) in [
            ("memtable_size", "memtable_size_mb"),
            ("memtableSizeMb", "memtable_size_mb"),
            ("blok_size", "block_size"),
            ("gc_interval_sec", "gc_interval_secs"),
            ("bloom_bits", "bloom_bits_per_key"),
            ("walSyncMode", "wal_sync_mode"),
        ] {
            let error = config.set(name, "1").unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(error.message().ends_with(&format!("did you mean {meant}?")), "{error}");
        }
        let error = config.set("xyzzy", "1").unwrap_err();
        assert!(!error.message().contains("did you mean"), "{error}");
    }

    #[test]
    fn the_builder_sets_what_its_names_say() {
        let config = Config::new("somewhere")
            .memtable_size_mb(16)
            .block_cache_capacity_mb(256)
            .gc_interval_secs(7)
            .create_if_missing(false)
            .compression(Compression::None)
            .wal_sync_mode(SyncMode::Interval(5));

        assert_eq!((config.memtable_size_bytes, config.block_cache_capacity_bytes), (16 << 20, 256 << 20));
        assert_eq!((config.gc_interval_secs, config.create_if_missing), (7, false));
        assert_eq!((config.compression, config.wal_sync_mode), (Compression::None, SyncMode::Interval(5)));
        assert_eq!(
            Config::new("").memtable_size_mb(usize::MAX).memtable_size_bytes,
            usize::MAX,
            "no overflow"
        );
    }
}
