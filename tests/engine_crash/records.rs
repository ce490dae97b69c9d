//! Records in time under crashes at every file operation: each batch of them is there whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowdb::clock::Clock;
use flowdb::config::SyncMode;
use flowdb::engine::Engine;
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, SimFs};
use flowdb::series::{Query, Record, SeriesDb};

use crate::common::Random;
use crate::common::trials::{SeedReport, report, seeds};
use crate::setting;
use crate::workload::Setting;

/// Value and expiry (milliseconds, 0 for never), by key and time.
type Records = BTreeMap<(Vec<u8>, i64), (Vec<u8>, u64)>;

/// What was there after each change that was tried, nothing first, and how many changes must survive what.
struct Run {
    states: Vec<Records>,
    durable: usize,
    written: usize,
}

impl Run {
    fn tried(&self) -> usize {
        self.states.len() - 1
    }
}

fn run(seed: u64, setting: &Setting, disk: &SimFs) -> Run {
    setting.clock.set(1);
    let mut run = Run { states: vec![Records::new()], durable: 0, written: 0 };
    // An error is the crash that the test asked for.
    let _ = try_run(seed, setting, disk, &mut run);
    run
}

fn try_run(seed: u64, setting: &Setting, disk: &SimFs, run: &mut Run) -> Result<()> {
    let mut random = Random::new(seed ^ 0x5E41E5);
    let open = || Engine::open_on(setting.config.clone(), Arc::new(disk.clone()));
    let mut engine = open()?;
    for _ in 0..30 {
        match random.below(12) {
            0..7 => change(&mut random, setting, &engine, run)?,
            7 => engine.flush()?,
            8 => while engine.run_pending()? {},
            9 => engine.compact_all()?,
            10 => setting.clock.advance(random.below(60)),
            _ => {
                engine.close()?;
                (run.durable, run.written) = (run.tried(), run.tried());
                engine = open()?;
            }
        }
    }
    engine.close()?;
    (run.durable, run.written) = (run.tried(), run.tried());
    Ok(())
}

/// One change of records, which is one commit.
fn change(random: &mut Random, setting: &Setting, engine: &Engine, run: &mut Run) -> Result<()> {
    let series = SeriesDb::new(engine.clone()).open_or_create("measured")?;
    let mut state = run.states[run.tried()].clone();
    let now = setting.clock.now_ms();
    let keys = ["a", "ab", "b", "c"];
    // No two states are the same, so that it can be told which one was found.
    let number = (run.tried() as u64).to_le_bytes().to_vec();
    let (from, to) = (random.below(20) as i64, random.below(30) as i64);
    let prefix = *random.pick(&["", "a", "b"]);
    match random.below(5) {
        0 if state
            .keys()
            .any(|(key, time)| key.starts_with(prefix.as_bytes()) && (from..to).contains(time)) =>
        {
            state.retain(|(key, time), _| !(key.starts_with(prefix.as_bytes()) && (from..to).contains(time)));
            run.states.push(state);
            series.delete_range(&Query::prefix_time_range(prefix, from..to))?;
        }
        _ => {
            let mut records = Vec::new();
            for _ in 0..1 + random.below(12) {
                let (key, time) = (random.pick(&keys).as_bytes().to_vec(), random.below(30) as i64);
                let value = [&number[..], &vec![7; random.below(300) as usize]].concat();
                let expires_at = if random.one_in(4) { now + 1 + random.below(100) } else { 0 };
                let expire_at = (expires_at != 0).then_some(expires_at as i64 * 1_000);
                records.push(Record { expire_at, ..Record::new(&key, time, &value) });
                state.insert((key, time), (value, expires_at));
            }
            run.states.push(state);
            series.write_batch(&records)?;
        }
    }
    match setting.config.wal_sync_mode {
        SyncMode::Always => (run.durable, run.written) = (run.tried(), run.tried()),
        SyncMode::Interval(_) => run.written = run.tried(),
        SyncMode::Never => {}
    }
    Ok(())
}

/// What the database has, forward and backward.
fn read_all(engine: &Engine) -> Records {
    let series = match SeriesDb::new(engine.clone()).open("measured") {
        Err(error) if error.code() == Code::NotFound => return Records::new(),
        opened => opened.unwrap(),
    };
    let all =
        |query: &Query| -> Vec<Record> { series.scan(query, None).unwrap().collect::<Result<_>>().unwrap() };
    let forward = all(&Query::all());
    let mut reverse = all(&Query::all().reverse());
    reverse.reverse();
    assert_eq!(forward, reverse);
    let rows = forward.into_iter().map(|Record { key, ts, expire_at, value }| {
        ((key, ts), (value, expire_at.map_or(0, |micros| micros as u64 / 1_000)))
    });
    rows.collect()
}

fn check(setting: &Setting, disk: &SimFs, run: &Run, least: usize, context: &str) {
    let engine = Engine::open_on(setting.config.clone(), Arc::new(disk.clone()))
        .unwrap_or_else(|error| panic!("{context}: can't be opened: {error:?}"));
    let found = read_all(&engine);
    let now = setting.clock.now_ms();
    let is_found = |batches: &usize| {
        let state = run.states[*batches].iter();
        state.filter(|(_, (_, expires_at))| *expires_at == 0 || *expires_at > now).eq(found.iter())
    };
    let batches = (least..=run.tried()).find(is_found);
    assert!(batches.is_some(), "{context}: not what was there after any of {least}..={}", run.tried());
    engine.compact_all().unwrap();
    engine.verify().unwrap();
    assert_eq!(read_all(&engine), found, "{context}: compacted");
}

#[test]
fn a_crash_leaves_each_batch_of_records_whole_or_not_at_all() {
    let mut crashes = 0;
    for seed in seeds(12) {
        let _report = SeedReport(seed);
        let setting = setting(seed);
        let whole = SimFs::new();
        let finished = run(seed, &setting, &whole);
        assert_eq!(finished.durable, finished.tried(), "a workload that fails without a crash");
        for operation in 0..whole.operations() {
            let disk = SimFs::crashing_after(operation);
            let run = run(seed, &setting, &disk);
            for outcome in
                [CrashOutcome::LoseUnsynced, CrashOutcome::Random(operation), CrashOutcome::ProcessOnly]
            {
                let least = if outcome == CrashOutcome::ProcessOnly { run.written } else { run.durable };
                let context =
                    format!("operation {operation}, {outcome:?}, {:?}", setting.config.wal_sync_mode);
                check(&setting, &disk.after_crash(outcome), &run, least, &context);
                crashes += 1;
            }
        }
    }
    report("crash points", crashes, "FLOWDB_WORKLOADS", 5_000);
}
