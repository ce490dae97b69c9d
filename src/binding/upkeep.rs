//! Statistics and reports on their way to JavaScript, as JSON.
#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::engine::{CompactionKind, ManifestFound, RepairReport, Stats};
use crate::jsondb::{DocumentsReport, StoreStats, stores_to_prometheus};

/// The statistics as the text of an object.
pub(crate) fn stats(stats: &Stats, stores: &[StoreStats]) -> String {
    // Taken apart by name, so that a new field can't be forgotten here.
    let Stats {
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
        stalls,
        cache_hits,
        cache_misses,
        cache_bytes,
        pinned_bytes,
        open_files,
        value_files,
        value_file_bytes,
        value_file_live_bytes,
        value_bytes_written,
        value_bytes_relocated,
    } = stats;
    json!({
        "visibleSeqno": visible_seqno,
        "snapshots": snapshots,
        "memtableBytes": memtable_bytes,
        "frozenMemtables": frozen_memtables,
        "levelTables": level_tables,
        "levelBytes": level_bytes,
        "tableBytes": stats.table_bytes(),
        "walBytes": wal_bytes,
        "syncs": syncs,
        "flushes": flushes,
        "flushedBytes": flushed_bytes,
        "compactions": compactions,
        "compactionsByKind": by_kind(compactions_by_kind),
        "compactedBytes": compacted_bytes,
        "writeAmplification": stats.write_amplification(),
        "stalls": stalls,
        "cacheHits": cache_hits,
        "cacheMisses": cache_misses,
        "cacheBytes": cache_bytes,
        "pinnedBytes": pinned_bytes,
        "openFiles": open_files,
        "valueFiles": value_files,
        "valueFileBytes": value_file_bytes,
        "valueFileLiveBytes": value_file_live_bytes,
        "valueBytesWritten": value_bytes_written,
        "valueBytesRelocated": value_bytes_relocated,
        "stores": stores.iter().map(size_of).collect::<Vec<_>>(),
    })
    .to_string()
}

fn size_of(store: &StoreStats) -> Value {
    let StoreStats { name, documents, bytes, indexes } = store;
    json!({ "name": name, "documents": documents, "bytes": bytes, "indexes": indexes })
}

/// The counts of [`CompactionKind::ALL`], by name.
fn by_kind(counts: &[u64]) -> Value {
    let named = CompactionKind::ALL.iter().zip(counts).map(|(kind, count)| {
        let mut name = format!("{kind:?}");
        name[..1].make_ascii_lowercase();
        (name, Value::from(*count))
    });
    Value::Object(named.collect())
}

/// The statistics as text for Prometheus, in a JSON string.
pub(crate) fn metrics(stats: &Stats, stores: &[StoreStats]) -> String {
    Value::String(stats.to_prometheus() + &stores_to_prometheus(stores)).to_string()
}

/// What a repair has saved and lost, as the text of an object.
pub(crate) fn report(report: &DocumentsReport) -> String {
    let DocumentsReport {
        files,
        stores,
        documents,
        index_rows_added,
        index_rows_removed,
        unique_conflicts,
        keyspaces,
        keyspaces_lost,
        series,
        series_lost,
    } = report;
    let RepairReport {
        manifest,
        tables_whole,
        tables_salvaged,
        tables_lost,
        entries_salvaged,
        entries_lost,
        table_bytes_lost,
        value_files_whole,
        value_files_lost,
        values_lost,
        logs,
        logs_lost,
        log_records_saved,
        log_bytes_lost,
        files_moved,
    } = files;
    let manifest = match manifest {
        ManifestFound::Whole => "whole",
        ManifestFound::Part => "part",
        ManifestFound::Lost => "lost",
    };
    json!({
        "isLossless": files.is_lossless(),
        "manifest": manifest,
        "tablesWhole": tables_whole,
        "tablesSalvaged": tables_salvaged,
        "tablesLost": tables_lost,
        "entriesSalvaged": entries_salvaged,
        "entriesLost": entries_lost,
        "tableBytesLost": table_bytes_lost,
        "valueFilesWhole": value_files_whole,
        "valueFilesLost": value_files_lost,
        "valuesLost": values_lost,
        "logs": logs,
        "logsLost": logs_lost,
        "logRecordsSaved": log_records_saved,
        "logBytesLost": log_bytes_lost,
        "filesMoved": files_moved,
        "stores": stores,
        "documents": documents,
        "indexRowsAdded": index_rows_added,
        "indexRowsRemoved": index_rows_removed,
        "uniqueConflicts": unique_conflicts,
        "keyspaces": keyspaces,
        "keyspacesLost": keyspaces_lost,
        "series": series,
        "seriesLost": series_lost,
    })
    .to_string()
}
