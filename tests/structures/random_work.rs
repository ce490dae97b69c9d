//! Random commands of every kind against a naive Redis: transactions that commit, that fail and that are dropped, keys that
//! expire, reopenings.

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::fs::SimFs;
use flowdb::jsondb::{JsonDb, Mode};
use flowdb::structures::Structures;

use crate::model::{Command, Model, read_all, run};
use crate::support::{Random, START_MS, assert_no_row_is_lost};

const DATABASES: u32 = 2;

fn open(disk: &SimFs, clock: &Arc<ManualClock>) -> Structures {
    let config = Config {
        clock: Arc::clone(clock) as _,
        // Small enough that the work is flushed and compacted several times, in this thread.
        memtable_size_bytes: 16 << 10,
        table_size_bytes: 16 << 10,
        level_size_bytes: 64 << 10,
        auto_background: false,
        ..Config::new("/db")
    };
    Structures::new(JsonDb::open_on(config, Arc::new(disk.clone())).unwrap()).unwrap()
}

/// A transaction of random commands, whose answers are those of the model; it is committed or dropped.
fn transact(structures: &Structures, model: &mut Model, random: &mut Random) {
    let mut after = model.clone();
    let mut tx = structures.begin(Mode::ReadWrite).unwrap();
    for _ in 0..1 + random.below(8) {
        after.database = random.below(u64::from(DATABASES)) as u32;
        tx.select(after.database).unwrap();
        let command = Command::any(random);
        let found = run(&mut tx, &command, &after);
        let before = after.clone();
        assert_eq!(found, after.run(&command, &found), "{command:?} on {:?}", before.keys);
    }
    if random.below(5) > 0 {
        assert_eq!(read_all(&mut tx, DATABASES, after.now_ms).keys, after.keys, "within the transaction");
        tx.commit(None).unwrap();
        *model = after;
    }
}

#[test]
fn random_commands_answer_and_leave_what_a_naive_redis_does() {
    let mut random = Random::from_env("random_commands_answer_and_leave_what_a_naive_redis_does");
    let disk = SimFs::new();
    let clock = Arc::new(ManualClock::new(START_MS));
    let mut structures = open(&disk, &clock);
    let mut model = Model { now_ms: START_MS, ..Model::default() };
    for round in 0..4_000 {
        transact(&structures, &mut model, &mut random);
        if random.below(4) == 0 {
            clock.advance(random.below(30));
            model.set_time(model.now_ms.max(flowdb::clock::Clock::now_ms(&*clock)));
        }
        match random.below(100) {
            0 => {
                structures.db().close().unwrap();
                structures = open(&disk, &clock);
            }
            1..20 => _ = structures.evict(random.below(10)).unwrap(),
            20..50 => _ = structures.db().engine().run_pending().unwrap(),
            _ => {}
        }
        if round % 50 == 0 {
            let found = structures.view(|tx| Ok(read_all(tx, DATABASES, model.now_ms))).unwrap();
            assert_eq!(found.keys, model.keys, "round {round}");
            assert_no_row_is_lost(&structures, &format!("round {round}"));
        }
    }
    clock.advance(1_000_000);
    structures.evict(u64::MAX).unwrap();
    model.set_time(flowdb::clock::Clock::now_ms(&*clock));
    let found = structures.view(|tx| Ok(read_all(tx, DATABASES, model.now_ms))).unwrap();
    assert_eq!(found.keys, model.keys);
    assert_no_row_is_lost(&structures, "at the end");
}
