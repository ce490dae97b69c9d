//! FlowDB's engine beside RocksDB, fjall, SurrealKV, LMDB and redb, on the same work.
//!
//! `cargo run --release -- [--entries N] [--rounds N] [--engines a,b]` runs every engine once in each round, each time in
//! a process of its own, and prints a JSON line for each result and at the end a table of medians. See README.md.

mod stores;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the command line asks for.
struct Settings {
    entries: u64,
    rounds: u64,
    engines: Vec<String>,
    /// Set in the process of one engine: its name and where it may write.
    child: Option<(String, PathBuf)>,
}

fn main() {
    let settings = settings();
    if let Some((name, dir)) = &settings.child {
        let mut report = |workload: &str, value: f64| {
            println!("{}", serde_json::json!({ "engine": name, "workload": workload, "value": value }));
        };
        work::run(name, dir, settings.entries, &mut report);
        return;
    }
    let mut results: BTreeMap<(usize, String), BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        for engine in &settings.engines {
            for (order, (workload, value)) in run_child(engine, &settings, round).into_iter().enumerate() {
                let line = results.entry((order, workload)).or_default();
                line.entry(engine.clone()).or_default().push(value);
            }
        }
    }
    print_table(&results, &settings);
}

fn settings() -> Settings {
    let mut settings = Settings {
        entries: 1_000_000,
        rounds: 5,
        engines: stores::NAMES.iter().copied().map(str::to_owned).collect(),
        child: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} takes a value"));
        match word.as_str() {
            "--entries" => settings.entries = value().parse().expect("a number of entries"),
            "--rounds" => settings.rounds = value().parse().expect("a number of rounds"),
            "--engines" => settings.engines = value().split(',').map(str::to_owned).collect(),
            "--child" => settings.child = Some((value(), PathBuf::from(value()))),
            _ => panic!("unknown option {word}: --entries, --rounds and --engines are known"),
        }
    }
    settings
}

/// Runs all workloads on one engine in a process of its own, and passes its lines on.
fn run_child(engine: &str, settings: &Settings, round: u64) -> Vec<(String, f64)> {
    let dir = std::env::temp_dir().join(format!("flowdb-engines-{}-{engine}", std::process::id()));
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--entries", &settings.entries.to_string(), "--child", engine])
        .arg(&dir)
        .stderr(Stdio::inherit())
        .output()
        .expect("starting a process for an engine");
    let _ = std::fs::remove_dir_all(&dir);
    assert!(output.status.success(), "{engine} failed in round {round}: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines()
        .map(|line| {
            let mut result: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            result["round"] = round.into();
            println!("{result}");
            let workload = result["workload"].as_str().expect("a workload").to_owned();
            (workload, result["value"].as_f64().unwrap_or(f64::NAN))
        })
        .collect()
}

fn print_table(results: &BTreeMap<(usize, String), BTreeMap<String, Vec<f64>>>, settings: &Settings) {
    println!("\n| workload | {} |", settings.engines.join(" | "));
    println!("|---|{}", "---|".repeat(settings.engines.len()));
    for ((_, workload), line) in results {
        let cells: Vec<String> = settings
            .engines
            .iter()
            .map(|engine| line.get(engine).map_or("–".into(), |values| shown(median(values))))
            .collect();
        println!("| {workload} | {} |", cells.join(" | "));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn shown(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
