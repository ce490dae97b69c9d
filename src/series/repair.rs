//! Making the catalog of a repaired database fit the records that are left.
//!
//! A row that defines a series may be lost, and so may the one that says which id comes next. The records of a series that
//! is not defined any more stay where they are: nobody sees them, and no other series gets their id.
#![forbid(unsafe_code)]

use super::catalog::{definitions, next_id};
use super::rows::{IDS, META_KEY, encode_meta};
use crate::engine::{CommitOptions, Engine, WriteBatch};
use crate::error::Result;
use crate::numbering::CatalogReport;

/// Sees to it that no id that stands in a row is given to another series. Looks at one record of each series.
///
/// # Errors
///
/// `Io`, `Corruption`, `Version` or what a commit gives.
pub(crate) fn put_right(engine: &Engine) -> Result<CatalogReport> {
    let defined = definitions(engine)?;
    let (report, next) = IDS.compare(engine, defined.values().map(|definition| definition.id))?;
    if next > next_id(engine)? {
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &encode_meta(next))?;
        engine.commit(batch, CommitOptions::default())?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::super::rows::{catalog_key, encode_definition, record_prefix};
    use super::super::{Query, Record, SERIES_MAX, Series, SeriesDb, SeriesOptions};
    use super::*;
    use crate::config::Config;
    use crate::engine::{Direction, ScanRange};
    use crate::error::Code;

    fn engine() -> Engine {
        Engine::open(Config::in_memory()).unwrap()
    }

    /// Series of `engine` get their ids in their order, from 1 on, and each has a record with its name as the key.
    fn fill(engine: &Engine, names: &[&str]) {
        for name in names {
            series(engine, name).write_batch(&[Record::new(name, 5, "v")]).unwrap();
        }
    }

    fn series(engine: &Engine, name: &str) -> Series {
        SeriesDb::new(engine.clone()).open_or_create(name).unwrap()
    }

    fn keys(series: &Series) -> Vec<Vec<u8>> {
        series.scan(&Query::all(), None).unwrap().map(|record| record.unwrap().key).collect()
    }

    /// The database of `engine` without some rows and with others, as it is opened next.
    fn changed(engine: &Engine, lost: &[&[u8]], put: &[(&[u8], &[u8])]) -> Engine {
        let other = self::engine();
        let mut batch = WriteBatch::new();
        let mut rows = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
        while rows.advance().unwrap() {
            if !lost.contains(&rows.key()) {
                batch.put(rows.key(), rows.value()).unwrap();
            }
        }
        put.iter().for_each(|(row, value)| batch.put(row, value).unwrap());
        other.commit(batch, CommitOptions::default()).unwrap();
        other
    }

    #[test]
    fn a_catalog_that_has_lost_rows_finds_all_other_series_and_gives_no_id_twice() {
        let engine = engine();
        fill(&engine, &["a", "b", "c"]);
        let losses: [&[&[u8]]; 4] =
            [&[META_KEY], &[b"\x05c"], &[META_KEY, b"\x05c"], &[META_KEY, b"\x05b", b"\x05c"]];
        let older: (&[u8], &[u8]) = (META_KEY, &[1, 2]);
        for lost in losses {
            for put in [&[][..], &[older]] {
                let engine = changed(&engine, lost, put);

                let new = series(&engine, "new");

                assert!(keys(&new).is_empty(), "{lost:?} {put:?}");
                new.write_batch(&[Record::new("new", 5, "v")]).unwrap();
                assert_eq!(keys(&series(&engine, "a")), [b"a"], "{lost:?} {put:?}");
                for name in ["b", "c"] {
                    let is_lost = lost.contains(&format!("\x05{name}").as_bytes());
                    assert_eq!(keys(&series(&engine, name)).is_empty(), is_lost, "{lost:?} {put:?}");
                }
            }
        }
    }

    #[test]
    fn a_repair_raises_the_next_id_above_all_that_stand_in_rows_and_counts_the_series_that_are_lost() {
        let engine = engine();
        let names: Vec<String> = (1..=300).map(|id| format!("s{id}")).collect();
        fill(&engine, &names.iter().map(String::as_str).collect::<Vec<_>>());
        // 256 follows 128 in the order of varints, and not the other way round.
        let losses: [(&[&[u8]], u64); 3] =
            [(&[], 0), (&[META_KEY], 0), (&[META_KEY, b"\x05s128", b"\x05s256", b"\x05s300"], 3)];
        for (rows, lost) in losses {
            let engine = changed(&engine, rows, &[]);

            let report = put_right(&engine).unwrap();

            assert_eq!(report, CatalogReport { named: 300 - lost, lost }, "{rows:?}");
            assert_eq!(next_id(&engine).unwrap(), 301, "{rows:?}");
            let seqno = engine.snapshot().seqno();
            put_right(&engine).unwrap();
            assert_eq!(engine.snapshot().seqno(), seqno, "what is right is not written again");
        }
    }

    #[test]
    fn a_repair_looks_at_one_record_of_each_series() {
        let engine = engine();
        let many: Vec<Record> = (0..5_000).map(|ts| Record::new("k", ts, "v")).collect();
        for name in ["a", "b"] {
            series(&engine, name).write_batch(&many).unwrap();
        }

        let steps = crate::effort::within(1_000, || put_right(&engine)).unwrap();

        let crate::effort::Attempt::Done(report, _) = steps else { panic!("{steps:?}") };
        assert_eq!(report, CatalogReport { named: 2, lost: 0 });
    }

    #[test]
    fn a_database_without_series_gets_no_row_by_a_repair() {
        let engine = engine();
        assert_eq!(put_right(&engine).unwrap(), CatalogReport::default());
        assert!(engine.get(META_KEY, None).unwrap().is_none());
    }

    /// The rows that define deleted ones are back where what deleted them was lost.
    #[test]
    fn series_that_came_back_are_opened_however_many_they_are_and_can_be_deleted_again() {
        let engine = engine();
        fill(&engine, &["a"]);
        let mut batch = WriteBatch::new();
        for id in 2..=SERIES_MAX as u64 + 1 {
            let definition = encode_definition(id, SeriesOptions::default());
            batch.put(&catalog_key(&format!("s{id}")), &definition).unwrap();
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        let engine = changed(&engine, &[], &[]);
        let db = SeriesDb::new(engine.clone());

        assert_eq!(keys(&db.open("a").unwrap()), [b"a"]);

        assert_eq!(db.open_or_create("new").unwrap_err().code(), Code::InvalidArgument);
        db.delete("s2").unwrap();
        db.delete("s3").unwrap();
        db.open_or_create("new").unwrap();
        assert_eq!(put_right(&engine).unwrap().named, SERIES_MAX as u64);
    }

    /// Nobody can give that many ids; a repair must not write what can't be read, all the same.
    #[test]
    fn behind_the_highest_id_no_series_gets_one_and_all_others_are_found() {
        let engine = engine();
        fill(&engine, &["a"]);
        let row = [&record_prefix(IDS.highest)[..], b"k"].concat();
        let engine = changed(&engine, &[], &[(&row, b"v")]);

        assert_eq!(put_right(&engine).unwrap(), CatalogReport { named: 1, lost: 1 });

        assert_eq!(next_id(&engine).unwrap(), u64::MAX);
        assert_eq!(keys(&series(&engine, "a")), [b"a"]);
        let new = SeriesDb::new(engine).open_or_create("new");
        assert_eq!(new.unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_definition_that_is_damaged_or_of_a_newer_format_is_refused_and_says_so() {
        let highest = [0xff; 9];
        let cases: [(&[u8], &[u8], Code); 5] = [
            (META_KEY, &[2, 1], Code::Version),
            (META_KEY, &[], Code::Corruption),
            (b"\x05s", &[0, 0, 1], Code::Corruption),
            (b"\x05s", &[1, 0, 0], Code::Corruption),
            (b"\x05s", &[&highest[..], &[1, 0, 1]].concat(), Code::Corruption),
        ];
        for (row, value, code) in cases {
            let engine = changed(&engine(), &[], &[(row, value)]);

            assert_eq!(put_right(&engine).unwrap_err().code(), code, "{row:?} {value:?}");

            let error = SeriesDb::new(engine).open_or_create("other").unwrap_err();
            assert_eq!(error.code(), code, "{row:?} {value:?}");
        }
    }
}
