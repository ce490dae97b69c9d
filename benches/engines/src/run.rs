//! The command: runs every family on every engine in each round, each time in a process of its own, so that what else
//! the machine does hits all of them, and collects what they say.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::data::VALUE_BYTES_MIN;
use crate::stores;
use crate::table::{Results, render, replace_table};
use crate::work::{Context, FAMILIES, Scale, write_and_die};

const HELP: &str = "\
cargo run --release -- [options]
  --preset 1m|5m     1 M entries of 128 bytes (the default), or 5 M of 256
  --entries N        another number of entries
  --value-bytes N    another size of values
  --rounds N         5 by default
  --engines a,b      by default all but rocksdb-tuned
  --only PART        only families or lines with PART in their names; may be given several times
  --dir PATH         where the databases are made; by default the folder for temporary files
  --out FILE         every figure, as a line of JSON each, and a summary of each line
  --from FILE        run nothing; make the table of what such a file has
  --markdown FILE    put the table between the two comments in FILE that name the preset
  --timeout SECONDS  the most that a family may take on one engine; 600 by default
Families: ";

/// What the command line asks for.
struct Settings {
    preset: String,
    scale: Scale,
    rounds: u64,
    engines: Vec<String>,
    only: Vec<String>,
    dir: PathBuf,
    out: Option<PathBuf>,
    from: Option<PathBuf>,
    markdown: Option<PathBuf>,
    timeout: Duration,
    /// Set in the process of one engine: its name and the family.
    child: Option<(String, String)>,
}

/// Does what the command line asks for.
///
/// # Panics
///
/// If it is not understood, or a file can't be read or written.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, engine, dir] = words.as_slice()
        && flag == "--die"
    {
        write_and_die(engine, Path::new(dir));
    }
    let Some(settings) = settings(&words) else {
        let families: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        println!("{HELP}{}\nEngines: {}, rocksdb-tuned", families.join(", "), stores::NAMES.join(", "));
        return ExitCode::FAILURE;
    };
    if let Some((engine, family)) = settings.child {
        let Settings { dir, scale, only, .. } = settings;
        Context { engine, dir, scale, only }.run(&family);
        return ExitCode::SUCCESS;
    }
    let results = match &settings.from {
        Some(file) => Results::read(&std::fs::read_to_string(file).expect("the file of --from")),
        None => run_all(&settings),
    };
    let table = format!("{}\n\n{}", results.described(), render(&results, &settings.engines));
    println!("\n{table}");
    if let Some(page) = &settings.markdown {
        replace_table(page, &settings.preset, &table);
    }
    if results.has_unexpected_misses() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn settings(words: &[String]) -> Option<Settings> {
    let mut settings = Settings {
        preset: "1m".into(),
        scale: Scale { entries: 1_000_000, value_bytes: 128 },
        rounds: 5,
        engines: stores::NAMES.iter().copied().map(str::to_owned).collect(),
        only: Vec::new(),
        dir: std::env::temp_dir(),
        out: None,
        from: None,
        markdown: None,
        timeout: Duration::from_secs(600),
        child: None,
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--preset" => {
                settings.preset.clone_from(value);
                settings.scale = match value.as_str() {
                    "1m" => Scale { entries: 1_000_000, value_bytes: 128 },
                    "5m" => Scale { entries: 5_000_000, value_bytes: 256 },
                    _ => return None,
                };
            }
            "--entries" => settings.scale.entries = value.parse().ok().filter(|entries| *entries >= 1_000)?,
            "--value-bytes" => {
                settings.scale.value_bytes = value.parse().ok().filter(|bytes| *bytes >= VALUE_BYTES_MIN)?;
            }
            "--rounds" => settings.rounds = value.parse().ok()?,
            "--engines" => settings.engines = list(value),
            "--only" => settings.only.push(value.clone()),
            "--dir" => settings.dir = value.into(),
            "--out" => settings.out = Some(value.into()),
            "--from" => settings.from = Some(value.into()),
            "--markdown" => settings.markdown = Some(value.into()),
            "--timeout" => settings.timeout = Duration::from_secs(value.parse().ok()?),
            "--child" => settings.child = Some((value.clone(), words.next()?.clone())),
            _ => return None,
        }
    }
    Some(settings)
}

fn run_all(settings: &Settings) -> Results {
    let mut out = settings.out.as_ref().map(|path| File::create(path).expect("creating the file of --out"));
    let mut say = |line: &Value| {
        println!("{line}");
        if let Some(out) = &mut out {
            writeln!(out, "{line}").expect("writing to the file of --out");
        }
    };
    let about = json!({
        "entries": settings.scale.entries, "value_bytes": settings.scale.value_bytes, "rounds": settings.rounds,
        "engines": settings.engines, "machine": machine(),
    });
    say(&about);
    let mut results = Results::default();
    results.add(&about);
    for round in 1..=settings.rounds {
        for family in FAMILIES {
            let context = Context {
                engine: String::new(),
                dir: PathBuf::new(),
                scale: settings.scale,
                only: settings.only.clone(),
            };
            let wanted: Vec<_> = family.lines.iter().filter(|line| context.wants(family, line)).collect();
            if wanted.is_empty() {
                continue;
            }
            for engine in &settings.engines {
                let started = Instant::now();
                let mut missing: Vec<&str> = wanted.iter().map(|line| line.name).collect();
                let ended = run_child(engine, family.name, settings, |mut line| {
                    line["round"] = round.into();
                    // A family that fails says so for lines, too, that have been measured before.
                    let name = line["workload"].as_str().unwrap_or_default();
                    if let Some(at) = missing.iter().position(|missing| *missing == name) {
                        missing.remove(at);
                        say(&line);
                        results.add(&line);
                    }
                });
                let seconds = started.elapsed().as_secs_f64();
                eprintln!("round {round}: {}, {engine}: {seconds:.1} s", family.name);
                for name in missing {
                    let line = json!({ "engine": engine, "workload": name, "round": round, "failed": ended });
                    say(&line);
                    results.add(&line);
                }
            }
        }
    }
    results.summaries(&settings.engines).iter().for_each(&mut say);
    results
}

/// Runs a family on one engine in a process of its own, and says how that ended.
fn run_child(engine: &str, family: &str, settings: &Settings, mut line: impl FnMut(Value)) -> String {
    let dir = settings.dir.join(format!("flowdb-engines-{}-{engine}", std::process::id()));
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--entries", &settings.scale.entries.to_string()])
        .args(["--value-bytes", &settings.scale.value_bytes.to_string()])
        .args(["--child", engine, family, "--dir"])
        .arg(&dir);
    for part in &settings.only {
        command.args(["--only", part]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starting a process for an engine");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let (send, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for text in output.lines().map_while(Result::ok) {
            let _ = send.send(text);
        }
    });
    let deadline = Instant::now() + settings.timeout;
    while let Ok(text) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        // Some engines print, too.
        if let Ok(json) = serde_json::from_str(&text) {
            line(json);
        }
    }
    let ended = end(&mut child, deadline);
    let _ = reader.join();
    let _ = std::fs::remove_dir_all(&dir);
    ended
}

fn end(child: &mut Child, deadline: Instant) -> String {
    if Instant::now() >= deadline {
        let _ = child.kill();
    }
    match child.wait() {
        _ if Instant::now() >= deadline => "took too long".into(),
        Ok(status) => format!("ended with {status}"),
        Err(error) => error.to_string(),
    }
}

/// What there is to say of the machine, without its name.
fn machine() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or("?").trim().to_owned()
    };
    let gib = |kilobytes: &str| {
        let number = kilobytes.trim_end_matches(" kB").parse::<f64>();
        number.map_or(kilobytes.to_owned(), |number| format!("{:.0} GiB", number / f64::from(1 << 20)))
    };
    json!({
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": gib(&field(&read("/proc/meminfo"), "MemTotal")),
        "kernel": read("/proc/sys/kernel/osrelease").split(['-', '\n']).next(),
    })
}
