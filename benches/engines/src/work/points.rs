//! Reading single keys.

use std::sync::Barrier;

use super::{Miss, Outcome, Scale, same};
use crate::clock::Clock;
use crate::data::{Random, head, key, missing_key};
use crate::stores::{Seen, Store};

/// What to read.
#[derive(Clone, Copy)]
pub struct Reading {
    /// What is in the database.
    pub scale: Scale,
    /// The generation of the values that should be found; `None` for keys that nobody has written.
    pub generation: Option<u64>,
    /// How many reads.
    pub count: u64,
    /// The most seconds.
    pub seconds: f64,
}

impl Reading {
    fn key(&self, number: u64) -> [u8; 16] {
        if self.generation.is_some() { key(number) } else { missing_key(number) }
    }

    fn expected(&self, number: u64) -> Option<Seen> {
        let bytes = self.scale.value_bytes;
        self.generation.map(|generation| Seen { bytes, head: head(number, generation) })
    }
}

/// Reads random keys by so many threads, and returns how many a second they read together.
pub fn read(store: &dyn Store, what: Reading, threads: u64) -> Outcome<f64> {
    let start = Barrier::new(threads as usize);
    let start = &start;
    let reader = move |thread: u64| {
        start.wait();
        read_alone(store, Reading { count: what.count / threads, ..what }, Random(thread))
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || reader(thread))).collect();
        let mut rate = reader(0)?;
        for other in others {
            rate += other.join().expect("a reader")?;
        }
        Ok(rate)
    })
}

fn read_alone(store: &dyn Store, what: Reading, mut random: Random) -> Outcome<f64> {
    let mut clock = Clock::new(what.seconds);
    let mut reader = store.reader();
    let mut keys = Vec::new();
    loop {
        let block = clock.block(what.count);
        if block == 0 {
            return Ok(clock.rate());
        }
        keys.clear();
        keys.extend((0..block).map(|_| random.below(what.scale.entries)).map(|n| (what.key(n), n)));
        let wrong = clock.time(block, || {
            let mut found = keys.iter().map(|(key, number)| (*number, reader.get(key)));
            found.find(|(number, found)| *found != what.expected(*number))
        });
        if let Some((number, found)) = wrong {
            same(&format!("a read of {number}"), &found, &what.expected(number))?;
        }
    }
}

/// Reads so many keys in order that every block of a table is read once.
pub fn touch_all(store: &dyn Store, scale: Scale) -> Outcome<()> {
    let step = (2_048 / (scale.value_bytes + 16)).max(1);
    let mut reader = store.reader();
    // An engine for which this takes long will not be faster for the cache.
    let mut clock = Clock::new(3.0);
    for number in (0..scale.entries).step_by(step) {
        let found = clock.time(1, || reader.get(&key(number)));
        if found.is_none() {
            return Err(Miss::Wrong(format!("a read of {number}: nothing")));
        }
        if clock.block(u64::MAX) == 0 {
            break;
        }
    }
    Ok(())
}
