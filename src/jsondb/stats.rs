//! How many documents the stores hold, and how many bytes they take.
#![forbid(unsafe_code)]

use super::{JsonDb, KeyRange, Mode, StoreSchema, Transaction};
use crate::error::{Code, Result};

/// The size of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// The store's name.
    pub name: String,
    /// How many documents it holds: exact.
    pub documents: u64,
    /// About how many bytes its documents and indexes take in the files; see [`JsonDb::approximate_size`].
    pub bytes: u64,
    /// How many indexes it has.
    pub indexes: usize,
}

impl JsonDb {
    /// The size of every store, in the order of their names. The counts are of one moment, and cost the same however many
    /// documents there are, but for those that have expired and were not purged.
    ///
    /// # Errors
    ///
    /// `Closed`, and what the engine gives.
    pub fn store_stats(&self) -> Result<Vec<StoreStats>> {
        loop {
            let schema = self.schema();
            if schema.is_empty() {
                return Ok(Vec::new());
            }
            let names: Vec<&str> = schema.iter().map(|store| store.name.as_str()).collect();
            match self.begin(&names, Mode::ReadOnly) {
                // One of them was deleted meanwhile.
                Err(error) if error.code() == Code::NotFound => {}
                begun => return self.stats_in(&mut begun?),
            }
        }
    }

    /// The sizes of the stores of a transaction, but for those that are not there any more.
    fn stats_in(&self, transaction: &mut Transaction) -> Result<Vec<StoreStats>> {
        let mut sizes = Vec::new();
        for StoreSchema { name, indexes, .. } in transaction.schema() {
            let documents = transaction.count(&name, &KeyRange::all())?;
            match self.approximate_size(&name, &KeyRange::all()) {
                Ok(bytes) => sizes.push(StoreStats { name, documents, bytes, indexes: indexes.len() }),
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sizes)
    }
}

/// The sizes of stores as text for Prometheus, to stand behind that of the engine.
#[must_use]
pub fn stores_to_prometheus(stores: &[StoreStats]) -> String {
    let mut text = String::new();
    put_gauge(&mut text, "flowdb_store_documents", "Documents in an object store.", stores, |store| {
        store.documents
    });
    let help = "About how many bytes an object store takes in the files, with its indexes.";
    put_gauge(&mut text, "flowdb_store_bytes", help, stores, |store| store.bytes);
    text
}

fn put_gauge(
    text: &mut String,
    name: &str,
    help: &str,
    stores: &[StoreStats],
    of: impl Fn(&StoreStats) -> u64,
) {
    use std::fmt::Write;
    if stores.is_empty() {
        return;
    }
    // Writing to a String can't fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for store in stores {
        // Names have no line breaks.
        let label = store.name.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "{name}{{store=\"{label}\"}} {}", of(store));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_store_can_not_break_out_of_its_label() {
        let store = StoreStats { name: r#"a"b\c"#.into(), documents: 7, bytes: 9, indexes: 0 };

        let text = stores_to_prometheus(&[store]);

        assert!(text.contains("\nflowdb_store_documents{store=\"a\\\"b\\\\c\"} 7\n"), "{text}");
        assert!(text.contains("\nflowdb_store_bytes{store=\"a\\\"b\\\\c\"} 9\n"), "{text}");
        assert_eq!(stores_to_prometheus(&[]), "");
    }
}
