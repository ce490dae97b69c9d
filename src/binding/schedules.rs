//! The way from JavaScript to the engine and back, in many orders of the steps: worker threads, lanes, answers, the end.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::database::Database;
use super::link::Link;
use super::outbox::{Outbox, Taken};
use super::packing::answer_at;
use super::pool::Pool;
use crate::config::Config;
use crate::sync::{Condvar, Mutex, explore, thread};

/// Longer than the model's patience: whoever is not woken waits for ever.
const FOREVER: Duration = Duration::from_secs(600);

/// What the event loop of JavaScript is to the binding: woken, it takes until nothing is left.
struct EventLoop {
    outbox: Arc<Outbox>,
    woken: Arc<(Mutex<bool>, Condvar)>,
}

impl EventLoop {
    fn of(outbox: &Arc<Outbox>) -> Self {
        let woken: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let waking = Arc::clone(&woken);
        outbox.connect(Arc::new(move || {
            *waking.0.lock() = true;
            waking.1.notify_one();
        }));
        Self { outbox: Arc::clone(outbox), woken }
    }

    /// The requests of the next `count` answers.
    fn answers(&self, count: usize) -> Vec<u32> {
        let mut requests = Vec::new();
        while requests.len() < count {
            let mut woken = self.woken.0.lock();
            while !*woken {
                self.woken.1.wait(&mut woken);
            }
            *woken = false;
            drop(woken);
            self.take_all(&mut requests);
        }
        assert_eq!(requests.len(), count);
        requests
    }

    fn take_all(&self, requests: &mut Vec<u32>) {
        let mut out = vec![0; 64 << 10];
        while let Taken::Bytes(len) = self.outbox.take(&mut out) {
            let mut answers = &out[..len];
            while let Some((request, len)) = answer_at(answers) {
                requests.push(request);
                answers = &answers[len..];
            }
        }
    }
}

fn answer(request: u32) -> Vec<u8> {
    [&request.to_le_bytes()[..], &[0], &0_u32.to_le_bytes()].concat()
}

/// An operation without fields.
fn operation(verb: u8, request: u8) -> [u8; 9] {
    [verb, request, 0, 0, 0, 0, 0, 0, 0]
}

fn schema(request: u8) -> [u8; 9] {
    operation(17, request)
}

fn config() -> Config {
    Config { auto_background: false, block_cache_capacity_bytes: 1 << 20, ..Config::in_memory() }
}

#[test]
fn every_job_that_was_taken_runs_once_whenever_threads_end_for_want_of_work() {
    explore("every job that was taken runs once, whenever threads end for want of work", 8_000, || {
        let (pool, ran) = (Arc::new(Pool::new()), Arc::new((Mutex::new([0; 4]), Condvar::new())));
        let callers = [0, 2].map(|first| {
            let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
            thread::spawn(move || {
                for number in first..first + 2 {
                    let ran = Arc::clone(&ran);
                    let job = move || {
                        ran.0.lock()[number] += 1;
                        ran.1.notify_one();
                    };
                    assert!(pool.run(Box::new(job)).is_ok());
                }
            })
        });
        let mut counts = ran.0.lock();
        while counts.iter().sum::<usize>() < 4 {
            ran.1.wait(&mut counts);
        }
        assert_eq!(*counts, [1; 4]);
        drop(counts);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        pool.stop();
        assert_eq!(pool.threads(), 0);
    });
}

#[test]
fn a_pool_that_stops_runs_out_what_it_has_begun_and_nothing_after() {
    explore("a pool that stops runs out what it has begun, and nothing after", 8_000, || {
        let pool = Arc::new(Pool::new());
        let (has_stopped, running) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let caller = thread::spawn({
            let (pool, has_stopped, running) =
                (Arc::clone(&pool), Arc::clone(&has_stopped), Arc::clone(&running));
            move || {
                for _ in 0..3 {
                    let (has_stopped, running) = (Arc::clone(&has_stopped), Arc::clone(&running));
                    let job = move || {
                        running.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        assert!(!has_stopped.load(Ordering::SeqCst), "a job ran behind the end");
                        running.fetch_sub(1, Ordering::SeqCst);
                    };
                    let _ = pool.run(Box::new(job));
                }
            }
        });
        thread::yield_now();
        pool.stop();
        has_stopped.store(true, Ordering::SeqCst);
        assert_eq!((pool.threads(), running.load(Ordering::SeqCst)), (0, 0));
        caller.join().unwrap();
        assert!(pool.run(Box::new(|| {})).is_err() && pool.threads() == 0);
    });
}

#[test]
fn no_answer_waits_without_a_wake_up_on_its_way() {
    explore("no answer waits without a wake-up on its way", 10_000, || {
        let outbox = Arc::<Outbox>::default();
        let event_loop = EventLoop::of(&outbox);
        let workers = [1, 3].map(|request| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || (request..request + 2).for_each(|request| outbox.publish(answer(request))))
        });
        let mut requests = event_loop.answers(4);
        requests.sort_unstable();
        assert_eq!(requests, [1, 2, 3, 4]);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn who_waits_for_an_answer_is_woken_by_it_and_the_others_stay_in_order() {
    explore("who waits for an answer is woken by it, and the others stay in order", 10_000, || {
        let outbox = Arc::<Outbox>::default();
        let event_loop = EventLoop::of(&outbox);
        outbox.publish(answer(1));
        outbox.expect();
        let workers = [vec![2, 9, 3], vec![4]].map(|requests| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || requests.into_iter().for_each(|request| outbox.publish(answer(request))))
        });
        assert_eq!(outbox.wait_for(9, FOREVER), Some(answer(9)));
        let mut rest = event_loop.answers(4);
        rest.retain(|&request| request != 4);
        assert_eq!(rest, [1, 2, 3]);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// An open handle.
fn database() -> (Arc<Database>, Arc<Pool>, EventLoop) {
    let (outbox, pool) = (Arc::<Outbox>::default(), Arc::new(Pool::new()));
    let event_loop = EventLoop::of(&outbox);
    let database = Arc::new(Database::new(config(), outbox, Arc::clone(&pool), Arc::clone(&pool)));
    database.open(None).unwrap();
    (database, pool, event_loop)
}

#[test]
fn what_goes_through_a_lane_is_answered_once_and_in_order() {
    explore("what goes through a lane is answered once and in order", 6_000, || {
        let (database, pool, event_loop) = database();
        database.submit(&schema(1)).unwrap();
        database.submit(&[schema(2), schema(3)].concat()).unwrap();
        database.submit_here(&schema(4)).unwrap();
        database.submit(&schema(5)).unwrap();
        assert_eq!(event_loop.answers(5), [1, 2, 3, 4, 5]);
        pool.stop();
    });
}

#[test]
fn reads_and_long_work_are_answered_once_beside_a_lane() {
    explore("reads and long work are answered once beside a lane", 4_000, || {
        let (database, pool, event_loop) = database();
        database.submit(&schema(1)).unwrap();
        database.submit_reads(&operation(35, 2)).unwrap();
        // The second may share the work of the first.
        database.submit_long_work(&operation(34, 3)).unwrap();
        database.submit_long_work(&operation(34, 4)).unwrap();
        database.submit(&schema(5)).unwrap();
        let answers = event_loop.answers(5);
        let counts = answers.iter().fold(HashMap::new(), |mut counts, request| {
            *counts.entry(request).or_insert(0) += 1;
            counts
        });
        assert!((1..=5).all(|request| counts.get(&request) == Some(&1)), "{answers:?}");
        pool.stop();
    });
}

#[test]
fn the_end_of_an_environment_waits_for_what_runs_and_leaves_no_thread() {
    explore("the end of an environment waits for what runs and leaves no thread", 4_000, || {
        let link = Link::new();
        let event_loop = EventLoop::of(&link.outbox);
        let id = link.add(config()).unwrap();
        let database = link.database(id).unwrap();
        database.open(None).unwrap();
        database.submit(&schema(1)).unwrap();
        database.submit_reads(&operation(35, 2)).unwrap();
        database.submit_long_work(&operation(34, 3)).unwrap();
        link.shut_down();
        assert!(database.json().is_err() && link.database(id).is_err());
        let mut requests = Vec::new();
        event_loop.take_all(&mut requests);
        assert!(requests.is_empty(), "nobody is left to be told");
    });
}
