//! How fast commands on structures are: ranks in a large sorted set, and commands on one member.
//!
//! `cargo bench --bench structures -- [members] [name part]`. Each figure is the median of five rounds, in which the
//! workloads take turns, in microseconds for one command. Where the system tells it, time is that of the processor, so that a busy
//! machine disturbs less.

use std::path::Path;
use std::time::Instant;

use flowdb::config::{Config, SyncMode};
use flowdb::error::Result;
use flowdb::jsondb::JsonDb;
use flowdb::structures::{Limit, SetOptions, SortedRange, StructureTransaction, Structures, ZAddOptions};

const ROUNDS: usize = 5;

/// How many commands a round has.
const COMMANDS: u64 = 2_000;

const RELAXED: Option<SyncMode> = Some(SyncMode::Interval(1_000));

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A command, with the numbers by which it chooses what it works on and the members that there are.
type Command = fn(&mut StructureTransaction, &mut Random, u64) -> Result<()>;

fn member(number: u64) -> Vec<u8> {
    format!("member:{number:010}").into_bytes()
}

/// Those that read, and run in one view for a round.
const READS: &[(&str, Command)] = &[
    ("zRank", |tx, random, members| tx.z_rank(b"z", &member(random.below(members))).map(drop)),
    ("zScore", |tx, random, members| tx.z_score(b"z", &member(random.below(members))).map(drop)),
    ("zGetByRank", |tx, random, members| {
        tx.z_get_by_rank(b"z", random.below(members) as i64, false).map(drop)
    }),
    ("zRange of 10 by rank", |tx, random, members| {
        let start = random.below(members) as i64;
        tx.z_range(b"z", SortedRange::Rank(start, start + 9), true, Limit::NONE).map(drop)
    }),
    ("sIsMember", |tx, random, members| tx.s_is_member(b"s", &member(random.below(members))).map(drop)),
    ("sRandMember", |tx, _, _| tx.s_rand_member(b"s", 1).map(drop)),
    ("hGet", |tx, random, members| tx.h_get(b"h", &member(random.below(members))).map(drop)),
];

/// Those that write, each in a transaction of its own.
const WRITES: &[(&str, Command)] = &[
    ("set", |tx, random, members| {
        tx.set(&member(random.below(members)), b"value", &SetOptions::default()).map(drop)
    }),
    ("incrBy", |tx, _, _| tx.incr_by(b"n", 1).map(drop)),
    ("hSet of a field that is there", |tx, random, members| {
        tx.h_set(b"h", &[(&member(random.below(members)), b"value")]).map(drop)
    }),
    ("sAdd", |tx, random, _| tx.s_add(b"s", &[&member(random.below(u64::MAX))]).map(drop)),
    ("zAdd", |tx, random, _| {
        let (score, number) = (random.below(1_000_000) as f64, random.below(u64::MAX));
        tx.z_add(b"z", &[(score, &member(number))], ZAddOptions::default()).map(drop)
    }),
    ("zIncrBy", |tx, random, members| tx.z_incr_by(b"z", 1.0, &member(random.below(members))).map(drop)),
    ("rPush and lPop", |tx, _, _| {
        tx.r_push(b"l", &[b"element"])?;
        tx.l_pop(b"l").map(drop)
    }),
];

fn fill(structures: &Structures, members: u64) -> Result<()> {
    let mut random = Random(7);
    let numbers: Vec<u64> = (0..members).collect();
    for part in numbers.chunks(10_000) {
        let names: Vec<Vec<u8>> = part.iter().map(|number| member(*number)).collect();
        let scored: Vec<(f64, &[u8])> =
            names.iter().map(|name| (random.below(1_000_000) as f64, name.as_slice())).collect();
        let fields: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_slice(), &b"value"[..])).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        structures.update(RELAXED, |tx| {
            tx.z_add(b"z", &scored, ZAddOptions::default())?;
            tx.h_set(b"h", &fields)?;
            tx.s_add(b"s", &names)?;
            tx.r_push(b"l", &names)
        })?;
    }
    Ok(())
}

fn run(structures: &Structures, members: u64, part: &str) -> Result<()> {
    let mut random = Random(11);
    let is_wanted = |name: &str| name.contains(part);
    let mut taken: Vec<(&str, Vec<f64>)> =
        READS.iter().chain(WRITES).map(|(name, _)| (*name, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (at, (_, command)) in READS.iter().enumerate().filter(|(_, (name, _))| is_wanted(name)) {
            let begun = seconds();
            structures.view(|tx| (0..COMMANDS).try_for_each(|_| command(tx, &mut random, members)))?;
            taken[at].1.push((seconds() - begun) * 1e6 / COMMANDS as f64);
        }
        for (at, (_, command)) in WRITES.iter().enumerate().filter(|(_, (name, _))| is_wanted(name)) {
            let begun = seconds();
            for _ in 0..COMMANDS {
                structures.update(RELAXED, |tx| command(tx, &mut random, members))?;
            }
            taken[READS.len() + at].1.push((seconds() - begun) * 1e6 / COMMANDS as f64);
        }
    }
    for (name, mut rounds) in taken.into_iter().filter(|(_, rounds)| !rounds.is_empty()) {
        rounds.sort_by(f64::total_cmp);
        println!("{name:32} {:8.2} µs", rounds[rounds.len() / 2]);
    }
    Ok(())
}

fn bench(dir: &Path, members: u64, part: &str) -> Result<()> {
    let config = Config { wal_sync_mode: SyncMode::Interval(1_000), ..Config::new(dir) };
    let structures = Structures::new(JsonDb::open(config)?)?;
    let begun = seconds();
    fill(&structures, members)?;
    let each = (seconds() - begun) * 1e6 / members as f64;
    println!("{:32} {each:8.2} µs", "fill: zAdd, hSet, sAdd, rPush");
    structures.db().engine().flush()?;
    run(&structures, members, part)?;
    structures.db().close()
}

/// Seconds that this thread has run, or that have passed.
fn seconds() -> f64 {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = ran.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| STARTED.get_or_init(Instant::now).elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn main() {
    // What cargo passes to every bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let members = arguments.next().and_then(|members| members.parse().ok()).unwrap_or(1_000_000);
    let part = arguments.next().unwrap_or_default();
    let dir = std::env::temp_dir().join(format!("flowdb-bench-structures-{}", std::process::id()));
    let done = bench(&dir, members, &part);
    let _ = std::fs::remove_dir_all(&dir);
    done.expect("the commands of the bench work");
}
