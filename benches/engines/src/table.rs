//! What the runs gave, as medians, spreads and ratios, and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::clock::{median, quantile};
use crate::stores::{OURS, REFERENCE};
use crate::work::{FAMILIES, Line, Unit};

/// The only engine whose wrong answers don't make the run fail: that it gives some is known.
const KNOWN_TO_BE_WRONG: &str = "flowdb-0.8.3";

/// What one engine gave for one line, over all rounds.
#[derive(Default)]
struct Cell {
    values: Vec<f64>,
    /// The first reason for which there was no figure, and what kind of reason: wrong, failed or lacking.
    miss: Option<(String, String)>,
}

impl Cell {
    /// The median, unless an answer was wrong in any round.
    fn figure(&self) -> Option<f64> {
        (self.miss.is_none() && !self.values.is_empty()).then(|| median(&self.values))
    }
}

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    /// By line, then by engine.
    cells: BTreeMap<String, BTreeMap<String, Cell>>,
    /// What the run said of itself.
    run: Value,
}

impl Results {
    /// Reads what a run has written.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut results = Self::default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|line| results.add(&line));
        results
    }

    /// Adds one figure, or the reason why there is none, or what the run says of itself. Summaries are passed over.
    pub fn add(&mut self, line: &Value) {
        if line["machine"].is_object() {
            self.run = line.clone();
        }
        let (Some(workload), Some(engine)) = (line["workload"].as_str(), line["engine"].as_str()) else {
            return;
        };
        if line["round"].is_null() {
            return;
        }
        let cell = self.cells.entry(workload.into()).or_default().entry(engine.into()).or_default();
        if let Some(value) = line["value"].as_f64() {
            cell.values.push(value);
        }
        for kind in ["wrong", "failed", "lacking"] {
            if let (None, Some(reason)) = (&cell.miss, line[kind].as_str()) {
                cell.miss = Some((kind.into(), reason.into()));
            }
        }
    }

    /// Whether an engine was wrong or failed that should not be.
    #[must_use]
    pub fn has_unexpected_misses(&self) -> bool {
        let cells = self.cells.values().flatten();
        cells
            .filter(|(engine, _)| *engine != KNOWN_TO_BE_WRONG)
            .any(|(_, cell)| cell.miss.as_ref().is_some_and(|(kind, _)| kind != "lacking"))
    }

    /// What was run, and on what.
    #[must_use]
    pub fn described(&self) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (run, machine) = (&self.run, &self.run["machine"]);
        format!(
            "Medians of {} rounds with {} entries of {} bytes, on {} processors ({}), {} of memory, Linux {}.",
            text(&run["rounds"]),
            text(&run["entries"]),
            text(&run["value_bytes"]),
            text(&machine["processors"]),
            text(&machine["processor"]),
            text(&machine["memory"]),
            text(&machine["kernel"]),
        )
    }

    /// For each engine and line: median, quartiles, extremes, and the ratio of ours to it.
    #[must_use]
    pub fn summaries(&self, engines: &[String]) -> Vec<Value> {
        let mut summaries = Vec::new();
        for (line, cells) in self.lines() {
            for (engine, cell) in engines.iter().filter_map(|engine| Some((engine, cells.get(engine)?))) {
                let of = |share| quantile(&cell.values, share);
                let ours = cells.get(OURS).and_then(Cell::figure);
                summaries.push(json!({
                    "summary": line.name, "engine": engine, "unit": line.unit.text(),
                    "median": cell.figure(), "quartiles": [of(0.25), of(0.75)], "min": of(0.0), "max": of(1.0),
                    "rounds": cell.values.len(),
                    "flowdb_times_better": ours.zip(cell.figure()).map(|(ours, its)| ratio(line.unit, ours, its)),
                    "miss": cell.miss.as_ref().map(|(kind, reason)| format!("{kind}: {reason}")),
                }));
            }
        }
        summaries
    }

    fn lines(&self) -> impl Iterator<Item = (&'static Line, &BTreeMap<String, Cell>)> {
        let lines = FAMILIES.iter().flat_map(|family| family.lines);
        lines.filter_map(|line| Some((*line, self.cells.get(line.name)?)))
    }
}

/// How many times better `ours` is than `theirs`.
fn ratio(unit: Unit, ours: f64, theirs: f64) -> f64 {
    if matches!(unit, Unit::Cost(_)) { theirs / ours } else { ours / theirs }
}

/// The table in Markdown: medians of each engine, then ratios, in which more than 1 means that ours is ahead.
#[must_use]
pub fn render(results: &Results, engines: &[String]) -> String {
    let engines: Vec<&String> = engines
        .iter()
        .filter(|engine| results.cells.values().any(|cells| cells.contains_key(*engine)))
        .collect();
    let mut table = String::from("| workload | unit |");
    engines.iter().for_each(|engine| _ = write!(table, " {engine} |"));
    table += " × RocksDB | × the best peer |\n|---|---|";
    table += &"--:|".repeat(engines.len() + 2);
    table.push('\n');
    for (line, cells) in results.lines() {
        let _ = write!(table, "| {} | {} |", line.name, line.unit.text());
        for engine in &engines {
            let _ = write!(table, " {} |", cells.get(*engine).map_or("–".into(), shown_cell));
        }
        let _ =
            writeln!(table, " {} | {} |", times(line.unit, cells, REFERENCE), times_best(line.unit, cells));
    }
    table
}

fn shown_cell(cell: &Cell) -> String {
    match (&cell.miss, cell.figure()) {
        (Some((kind, _)), _) if kind != "lacking" => kind.clone(),
        (_, Some(figure)) => shown(figure),
        _ => "–".into(),
    }
}

fn times(unit: Unit, cells: &BTreeMap<String, Cell>, engine: &str) -> String {
    let figure = |engine: &str| cells.get(engine).and_then(Cell::figure);
    figure(OURS).zip(figure(engine)).map_or("–".into(), |(ours, its)| shown(ratio(unit, ours, its)))
}

fn times_best(unit: Unit, cells: &BTreeMap<String, Cell>) -> String {
    if cells.get(OURS).and_then(Cell::figure).is_none() {
        return "–".into();
    }
    let peers = cells.iter().filter(|(engine, _)| *engine != OURS);
    let figures = peers.filter_map(|(engine, cell)| Some((engine, cell.figure()?)));
    let best = figures.max_by(|(_, one), (_, other)| match unit {
        Unit::PerSecond(_) => one.total_cmp(other),
        Unit::Cost(_) => other.total_cmp(one),
    });
    best.map_or("–".into(), |(engine, _)| format!("{} ({engine})", times(unit, cells, engine)))
}

fn shown(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 1e3 => format!("{:.1} k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Puts `table` between the two comments of `page` that name `preset`.
///
/// # Panics
///
/// If the page can't be read or written, or lacks the comments.
pub fn replace_table(page: &Path, preset: &str, table: &str) {
    let text = std::fs::read_to_string(page).expect("reading the page of --markdown");
    let (begin, end) = (format!("<!-- table {preset} -->\n"), format!("<!-- end of table {preset} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("the page lacks {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the page lacks {end}"));
    let text = format!("{before}{begin}\n{table}\n{end}{after}");
    std::fs::write(page, text).expect("writing the page of --markdown");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(engine: &str, workload: &str, value: f64) -> Value {
        json!({ "engine": engine, "workload": workload, "round": 1, "value": value })
    }

    #[test]
    fn ratios_above_one_mean_that_ours_is_ahead_in_rates_and_in_costs() {
        let mut results = Results::default();
        for (engine, rate, cost) in [(OURS, 300.0, 2.0), (REFERENCE, 100.0, 8.0), ("lmdb", 600.0, 1.0)] {
            results.add(&figure(engine, "full scan", rate));
            results.add(&figure(engine, "clean reopen", cost));
        }

        let table = render(&results, &[OURS, REFERENCE, "lmdb"].map(str::to_owned));

        assert!(table.contains("| full scan | rows/s | 300 | 100 | 600 | 3.00 | 0.50 (lmdb) |"), "{table}");
        assert!(table.contains("| clean reopen | ms | 2.00 | 8.00 | 1.00 | 4.00 | 0.50 (lmdb) |"), "{table}");
    }

    #[test]
    fn a_wrong_answer_in_one_round_takes_the_figure_and_fails_the_run_unless_it_is_known() {
        let wrong = |engine| {
            let mut results = Results::default();
            results.add(&figure(engine, "full scan", 5.0));
            results.add(&json!({ "engine": engine, "workload": "full scan", "round": 2, "wrong": "9 rows" }));
            results
        };

        assert!(render(&wrong("lmdb"), &["lmdb".into()]).contains("| wrong |"));
        assert!(wrong("lmdb").has_unexpected_misses());
        assert!(!wrong(KNOWN_TO_BE_WRONG).has_unexpected_misses());
    }
}
