//! The statistics as text for Prometheus, in its exposition format 0.0.4.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::Stats;
use crate::compaction::CompactionKind;

/// What Prometheus calls a value that only grows until the process ends, and one that goes up and down.
#[derive(Clone, Copy)]
enum Type {
    Counter,
    Gauge,
}

impl Stats {
    /// The statistics in the text format of Prometheus: for each a `HELP`, a `TYPE` and its samples, under names that
    /// begin with `flowdb_`. Serve it as `text/plain; version=0.0.4`; add labels that tell databases apart on the way.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        // Taken apart by name, so that a new field can't be forgotten here.
        let Self {
            visible_seqno,
            snapshots,
            memtable_bytes,
            frozen_memtables,
            level_tables,
            level_bytes,
            wal_bytes,
            syncs,
            flushes,
            flushed_bytes,
            compactions,
            compactions_by_kind,
            compacted_bytes,
            value_files,
            value_file_bytes,
            value_file_live_bytes,
            value_bytes_written,
            value_bytes_relocated,
            stalls,
            cache_hits,
            cache_misses,
            cache_bytes,
            pinned_bytes,
            open_files,
        } = self;
        let mut text = Text::default();
        let seqno_help = "Seqno of the last visible commit; kept across openings.";
        text.metric("visible_seqno", Type::Gauge, seqno_help, *visible_seqno);
        text.metric("snapshots", Type::Gauge, "Snapshots that are open.", *snapshots);
        text.metric(
            "memtable_bytes",
            Type::Gauge,
            "Bytes in the memtable that takes writes.",
            *memtable_bytes,
        );
        let frozen_help = "Memtables that wait for their flush.";
        text.metric("frozen_memtables", Type::Gauge, frozen_help, *frozen_memtables);
        text.levels("level_tables", "Tables of the level.", level_tables);
        text.levels("level_bytes", "Bytes of the tables of the level.", level_bytes);
        text.metric("wal_bytes_total", Type::Counter, "Bytes of batches written to the log.", *wal_bytes);
        text.metric("syncs_total", Type::Counter, "Syncs of the log.", *syncs);
        text.metric("flushes_total", Type::Counter, "Memtables flushed.", *flushes);
        let flushed_help = "Bytes of tables written by flushes.";
        text.metric("flushed_bytes_total", Type::Counter, flushed_help, *flushed_bytes);
        let compactions_help = "Compactions done, trivial moves included.";
        text.metric("compactions_total", Type::Counter, compactions_help, *compactions);
        text.kinds(compactions_by_kind);
        let compacted_help = "Bytes of tables written by compactions.";
        text.metric("compacted_bytes_total", Type::Counter, compacted_help, *compacted_bytes);
        text.metric("value_files", Type::Gauge, "Value files.", *value_files);
        text.metric("value_file_bytes", Type::Gauge, "Bytes of value files.", *value_file_bytes);
        let live_help = "Bytes of value files that hold values which tables lead to.";
        text.metric("value_file_live_bytes", Type::Gauge, live_help, *value_file_live_bytes);
        let written_help = "Bytes of value files written by flushes and compactions.";
        text.metric("value_bytes_written_total", Type::Counter, written_help, *value_bytes_written);
        let relocated_help = "Bytes of values moved from one value file to another.";
        text.metric("value_bytes_relocated_total", Type::Counter, relocated_help, *value_bytes_relocated);
        let stalls_help = "Times that a writer had to wait for a flush or compaction.";
        text.metric("stalls_total", Type::Counter, stalls_help, *stalls);
        let hits_help = "Reads that found their block in the cache.";
        text.metric("cache_hits_total", Type::Counter, hits_help, *cache_hits);
        let misses_help = "Reads that had to load their block.";
        text.metric("cache_misses_total", Type::Counter, misses_help, *cache_misses);
        text.metric("cache_bytes", Type::Gauge, "Bytes that the cache holds.", *cache_bytes);
        let pinned_help =
            "Bytes of indexes, filters and range tombstones that open tables hold by themselves.";
        text.metric("pinned_bytes", Type::Gauge, pinned_help, *pinned_bytes);
        text.metric("open_files", Type::Gauge, "Files that are open for reading.", *open_files);
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: Type, help: &str, value: u64) {
        self.header(name, kind, help);
        self.line(format_args!("flowdb_{name} {value}"));
    }

    fn levels(&mut self, name: &str, help: &str, values: &[u64]) {
        self.header(name, Type::Gauge, help);
        for (level, value) in values.iter().enumerate() {
            self.line(format_args!("flowdb_{name}{{level=\"{level}\"}} {value}"));
        }
    }

    fn kinds(&mut self, counts: &[u64]) {
        let name = "compactions_by_kind_total";
        self.header(name, Type::Counter, "Compactions of the kind.");
        for (kind, count) in CompactionKind::ALL.iter().zip(counts) {
            self.line(format_args!("flowdb_{name}{{kind=\"{kind}\"}} {count}"));
        }
    }

    fn header(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        self.line(format_args!("# HELP flowdb_{name} {help}"));
        self.line(format_args!("# TYPE flowdb_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to a string does not fail");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Config;
    use crate::engine::{CommitOptions, Engine, WriteBatch};

    /// Every sample by its name and labels. Panics where the text is not what the format allows.
    fn parse(text: &str) -> BTreeMap<String, u64> {
        let mut samples = BTreeMap::new();
        let mut family = (String::new(), String::new());
        let mut lines = text.lines().peekable();
        assert!(text.ends_with('\n'), "the last line has to end too");
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(!help.contains('\\') && help.ends_with('.'), "{line}");
                let declared = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
                let (declared_name, kind) = declared.split_once(' ').unwrap();
                assert_eq!(declared_name, name);
                assert!(["counter", "gauge"].contains(&kind), "{declared}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{declared}");
                family = (name.to_owned(), kind.to_owned());
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, family.0, "a sample stands under its own HELP and TYPE");
            let allowed = |character: char| character.is_ascii_lowercase() || character == '_';
            assert!(name.starts_with("flowdb_") && name.chars().all(allowed), "{name}");
            assert_eq!(samples.insert(sample.to_owned(), value.parse().unwrap()), None, "{sample} twice");
        }
        samples
    }

    #[test]
    fn every_statistic_is_told_once_under_its_name_and_type() {
        let stats = Stats {
            visible_seqno: 1,
            snapshots: 2,
            memtable_bytes: 3,
            frozen_memtables: 4,
            level_tables: vec![5, 6],
            level_bytes: vec![7, u64::MAX],
            wal_bytes: 9,
            syncs: 10,
            flushes: 11,
            flushed_bytes: 12,
            compactions: 13,
            compactions_by_kind: vec![24, 25],
            compacted_bytes: 14,
            value_files: 19,
            value_file_bytes: 20,
            value_file_live_bytes: 21,
            value_bytes_written: 22,
            value_bytes_relocated: 23,
            stalls: 15,
            cache_hits: 16,
            cache_misses: 17,
            cache_bytes: 18,
            pinned_bytes: 19,
            open_files: 20,
        };

        let samples = parse(&stats.to_prometheus());

        let expected = [
            ("visible_seqno", 1),
            ("snapshots", 2),
            ("memtable_bytes", 3),
            ("frozen_memtables", 4),
            ("level_tables{level=\"0\"}", 5),
            ("level_tables{level=\"1\"}", 6),
            ("level_bytes{level=\"0\"}", 7),
            ("level_bytes{level=\"1\"}", u64::MAX),
            ("wal_bytes_total", 9),
            ("syncs_total", 10),
            ("flushes_total", 11),
            ("flushed_bytes_total", 12),
            ("compactions_total", 13),
            ("compactions_by_kind_total{kind=\"level-0\"}", 24),
            ("compactions_by_kind_total{kind=\"level\"}", 25),
            ("compacted_bytes_total", 14),
            ("value_files", 19),
            ("value_file_bytes", 20),
            ("value_file_live_bytes", 21),
            ("value_bytes_written_total", 22),
            ("value_bytes_relocated_total", 23),
            ("stalls_total", 15),
            ("cache_hits_total", 16),
            ("cache_misses_total", 17),
            ("cache_bytes", 18),
            ("pinned_bytes", 19),
            ("open_files", 20),
        ];
        let expected = expected.map(|(name, value)| (format!("flowdb_{name}"), value));
        assert_eq!(samples, BTreeMap::from(expected));
    }

    #[test]
    fn the_text_of_an_open_database_says_what_it_did() {
        let engine = Engine::open(Config { auto_background: false, ..Config::in_memory() }).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();

        let samples = parse(&engine.stats().to_prometheus());

        assert_eq!(samples["flowdb_visible_seqno"], 1);
        assert_eq!(samples["flowdb_flushes_total"], 1);
        assert_eq!(samples["flowdb_level_tables{level=\"0\"}"], 1);
        assert_eq!(samples["flowdb_level_bytes{level=\"0\"}"], samples["flowdb_flushed_bytes_total"]);
    }

    /// The beginning of the text, byte for byte: scrapers and dashboards depend on it.
    #[test]
    fn the_names_in_the_text_are_frozen() {
        let text = Stats::default().to_prometheus();

        assert!(text.starts_with(
            "# HELP flowdb_visible_seqno Seqno of the last visible commit; kept across openings.\n\
             # TYPE flowdb_visible_seqno gauge\n\
             flowdb_visible_seqno 0\n"
        ));
    }
}
