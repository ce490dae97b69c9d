//! How many documents the stores hold, and how many bytes they take.
#![forbid(unsafe_code)]

use super::{JsonDb, KeyRange, Mode};
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
        let mut sizes = Vec::new();
        for store in self.schema() {
            match self.stats_of(&store.name, store.indexes.len()) {
                Ok(size) => sizes.push(size),
                // It was deleted meanwhile.
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sizes)
    }

    fn stats_of(&self, store: &str, indexes: usize) -> Result<StoreStats> {
        let documents = self.begin(&[store], Mode::ReadOnly)?.count(store, &KeyRange::all())?;
        let bytes = self.approximate_size(store, &KeyRange::all())?;
        Ok(StoreStats { name: store.to_owned(), documents, bytes, indexes })
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
