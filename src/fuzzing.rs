//! What is fuzzed: each target, and a short run of it in every test run.
//!
//! A target is a function of any bytes that must not panic; it says whether they were what it reads. The programs in
//! `fuzz/` give it bytes that a fuzzer makes, and the tests here its corpus in `fuzz/corpus` with changes drawn from a seed.
#![forbid(unsafe_code)]

/// A function of any bytes.
pub type Target = fn(&[u8]) -> bool;

macro_rules! targets {
    ($($(#[$condition:meta])? $name:ident: $run:path, $changes:literal;)*) => {
        /// Gives `bytes` to the target called `name`.
        ///
        /// # Panics
        ///
        /// Where there is a defect, or no such target.
        pub fn run(name: &str, bytes: &[u8]) {
            let target = TARGETS.iter().find(|(known, _)| *known == name);
            target.expect("each program in fuzz/ is named after a target").1(bytes);
        }

        /// Every target with its name.
        pub const TARGETS: &[(&str, Target)] = &[$($(#[$condition])? (stringify!($name), $run),)*];

        #[cfg(test)]
        mod tests {
            $($(#[$condition])? #[test]
            fn $name() {
                super::short_run::hold(stringify!($name), $run, $changes);
            })*
        }
    };
}

targets! {
    batch: crate::engine::fuzzing::read_batch, 10_000;
    block: crate::sstable::fuzzing::read_block, 10_000;
    damage: crate::engine::fuzzing::open_damaged, 100;
    document: crate::jsondb::fuzzing::merge_and_project, 10_000;
    engine: crate::engine::fuzzing::work, 500;
    extraction: crate::jsondb::fuzzing::extract, 10_000;
    filter: crate::sstable::fuzzing::read_filter, 3_000;
    frame: crate::frame::fuzzing::pack_and_unpack, 3_000;
    key: crate::jsondb::fuzzing::read_keys, 10_000;
    keyspace: crate::keyspace::fuzzing::read_row, 10_000;
    log: crate::wal::fuzzing::read_log, 10_000;
    manifest: crate::version::fuzzing::read_manifest, 5_000;
    #[cfg(feature = "node")] operations: crate::binding::fuzzing::run_operations, 3_000;
    query: crate::jsondb::fuzzing::query, 1_000;
    rows: crate::jsondb::fuzzing::read_rows, 10_000;
    series: crate::series::fuzzing::read_row, 10_000;
    table: crate::sstable::fuzzing::read_table, 1_000;
    values: crate::value_file::fuzzing::write_and_read_values, 1_000;
}

/// The corpus of a target, and changes of it.
#[cfg(test)]
mod short_run {
    use std::path::{Path, PathBuf};

    use super::{TARGETS, Target};
    use crate::fs::split_mix;

    /// Holds `target` to its corpus, and to so many changes of it.
    pub(super) fn hold(name: &str, target: Target, changes: u64) {
        let given = std::env::var("FLOWDB_SEED").ok().map(|seed| seed.parse().unwrap());
        let mut seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
        let corpus = corpus(name);
        let whole = corpus.iter().filter(|bytes| target(bytes)).count();
        println!(
            "{name}: {} inputs, {whole} of them whole, {changes} changes, FLOWDB_SEED={seed}",
            corpus.len()
        );
        assert!(whole > 0, "none of {} inputs is what is read", corpus.len());
        let mut below = |bound: usize| (split_mix(&mut seed) % bound as u64) as usize;
        for _ in 0..changes {
            target(&changed(&corpus, &mut below));
        }
    }

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let dir = folder("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    /// An input of the corpus, or two of them, with some bytes changed, left out, or put in.
    fn changed(corpus: &[Vec<u8>], below: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        let mut bytes = corpus[below(corpus.len())].clone();
        if below(2) == 0 {
            bytes.extend_from_slice(&corpus[below(corpus.len())]);
        }
        for _ in 0..=below(4) {
            let at = below(bytes.len().max(1));
            match below(4) {
                _ if bytes.is_empty() => bytes.push(below(256) as u8),
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0xff][below(4)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, below(256) as u8),
            }
        }
        bytes
    }

    #[test]
    fn every_target_has_a_program_and_every_program_a_target() {
        let mut programs: Vec<String> = std::fs::read_dir(folder("fuzz_targets"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        programs.retain(|name| cfg!(feature = "node") || name != "operations");
        programs.sort();
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(programs, names);
        let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
        for name in names {
            let program = std::fs::read_to_string(folder(&format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("run(\"{name}\", bytes)")), "{name} runs another target");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
        }
    }
}
