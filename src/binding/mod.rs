//! The N-API addon: what JavaScript can call.
//!
//! The way of an operation: `lib/run.js` packs those of a tick into one run; `submit` copies it into the lane of
//! its database (`database`); a worker of the `pool` reads it (`packing`), executes it (`execute`, `writes`,
//! `cursor`) and packs the answers; they gather in the `outbox`, the JavaScript thread is woken once and `take`s them
//! all, many to a crossing. Reads of what lies in memory are answered in the call, by `raw`. docs/binding.md
//! tells the whole story.
//!
//! Invariant: memory of JavaScript is only touched in the calls below, on its own thread; everything is copied.

mod atomic;
mod bulk;
mod bulk_packing;
mod changes;
mod columns;
mod cursor;
mod database;
mod definitions;
mod error;
mod escaping;
mod execute;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod in_call;
mod keyspace;
mod keyspace_packing;
mod keyspace_reader;
mod link;
mod long_work;
mod moving;
mod namespaces;
mod options;
mod outbox;
mod packing;
mod page_packer;
mod pool;
mod query;
mod query_packing;
mod raw;
mod raw_call;
mod raw_many;
#[cfg(all(test, schedules))]
mod schedules;
mod series;
mod series_packing;
mod transactions;
mod upkeep;
mod versions;
mod watching;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{BufferSlice, External, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;

use crate::error::Error;
use crate::series::TryRecord;
use crate::sync::Mutex;

use link::Link;
use options::{OptionDescription, OptionSetting};
use outbox::Taken;

/// Calls back without arguments; it is unreferenced, so that an idle database lets the process end.
type Waker = ThreadsafeFunction<(), (), (), Status, false, true>;

/// One environment, as JavaScript holds it.
pub struct Environment {
    link: Arc<Link>,
    /// Never called: it is referenced while operations are pending, and that keeps the process alive for them.
    keep_alive: Mutex<Waker>,
}

/// Joins this environment: `wake` will be called when answers wait to be taken.
#[napi(ts_return_type = "object")]
pub fn connect(env: Env, wake: Function<'_, (), ()>) -> napi::Result<External<Environment>> {
    let waker: Waker = wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
    let keep_alive: Waker =
        wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
    let link = Arc::new(Link::new());
    link.outbox.connect(Arc::new(move || {
        waker.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }));
    // Hooks run last in, first out: this one before the threadsafe functions above are taken down.
    env.add_env_cleanup_hook(Arc::clone(&link), |link| link.shut_down())?;
    Ok(External::new(Environment { link, keep_alive: Mutex::new(keep_alive) }))
}

/// Keeps the process alive, or no longer.
#[napi]
pub fn keep_alive(
    env: Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    on: bool,
) -> napi::Result<()> {
    set_referenced(&mut environment.keep_alive.lock(), env, on)
}

#[expect(deprecated, reason = "no other call of napi-rs can reference and unreference a threadsafe function")]
fn set_referenced(waker: &mut Waker, env: Env, on: bool) -> napi::Result<()> {
    if on { waker.refer(&env) } else { waker.unref(&env) }
}

/// Makes a handle for a database and returns its number; the operation `Open` then opens it.
#[napi]
pub fn create(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    settings: Vec<OptionSetting>,
) -> napi::Result<u32> {
    let config = options::into_config(settings);
    config.and_then(|config| environment.link.add(config)).map_err(|error| thrown(&error))
}

/// Every option that a database can be opened with.
#[napi]
pub fn options() -> Vec<OptionDescription> {
    options::options()
}

/// The name of the option that somebody may have meant by `name`.
#[napi]
pub fn nearest_option(name: &[u8]) -> Option<String> {
    crate::config::nearest_name(std::str::from_utf8(name).ok()?).map(str::to_owned)
}

/// Lets go of a closed handle.
#[napi]
pub fn forget(#[napi(ts_arg_type = "object")] environment: &External<Environment>, database: u32) {
    environment.link.remove(database);
}

/// Queues a run of operations behind all that were submitted before.
#[napi]
pub fn submit(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
) -> napi::Result<()> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    database.submit(run).map_err(|error| thrown(&error))
}

/// As `submit`, where nothing waits: small writes that have to wait for nothing are done in the call. Returns how many bytes
/// of answers stand in `out` then, or 0 where the run was queued.
#[napi]
pub fn submit_small(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
    mut out: BufferSlice<'_>,
) -> napi::Result<u32> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    let Some(answers) = database.try_run(run) else {
        return database.submit(run).map(|()| 0).map_err(|error| thrown(&error));
    };
    let (Some(room), Ok(length)) = (out.get_mut(..answers.len()), u32::try_from(answers.len())) else {
        database.send(answers);
        return Ok(0);
    };
    room.copy_from_slice(&answers);
    Ok(length)
}

/// Escapes the string of JSON that stands in `buffer` from `start` on, `length` bytes of UTF-8 without its quotes. Returns its
/// length then, which may be more than there is room for: then nothing has been done.
#[napi]
pub fn escape(mut buffer: BufferSlice<'_>, start: u32, length: u32) -> napi::Result<u32> {
    let (start, length) = (start as usize, length as usize);
    let escaped = escaping::escape(&mut buffer, start, length).and_then(|length| u32::try_from(length).ok());
    escaped.ok_or_else(|| napi::Error::from_reason("a string to be escaped does not stand in its buffer"))
}

/// As `submit`, for a call that will wait: this thread does what is in the lane, unless a worker does already.
#[napi]
pub fn submit_here(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
) -> napi::Result<()> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    database.submit_here(run).map_err(|error| thrown(&error))
}

/// Comes before `wait_for`: says whether the request that will be waited for is not submitted yet, so that the answers
/// which wait already need not be searched.
#[napi]
pub fn expect_answer(#[napi(ts_arg_type = "object")] environment: &External<Environment>, is_new: bool) {
    let outbox = &environment.link.outbox;
    if is_new { outbox.expect() } else { outbox.expect_any() }
}

/// No call holds its thread for longer, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Waits for the answer to `request`, for `limit_ms` milliseconds at most: `null` when it has not come. So JavaScript
/// gets its turn in between, and the end of its thread is noticed.
#[napi]
pub fn wait_for<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    request: u32,
    limit_ms: u32,
) -> napi::Result<Option<BufferSlice<'env>>> {
    let limit = Duration::from_millis(u64::from(limit_ms)).min(WAIT_MAX);
    environment
        .link
        .outbox
        .wait_for(request, limit)
        .map(|answer| BufferSlice::copy_from(env, answer))
        .transpose()
}

/// Submits reads that need not wait for anything; what they see is fixed in this call.
#[napi]
pub fn submit_reads(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
) -> napi::Result<()> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    database.submit_reads(run).map_err(|error| thrown(&error))
}

/// Submits one operation on a whole database that may take long. It waits for nothing that was submitted before, and
/// nothing waits for it.
#[napi]
pub fn submit_long_work(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
) -> napi::Result<()> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    database.submit_long_work(run).map_err(|error| thrown(&error))
}

/// Takes answers into `out`: returns how many bytes there are, 0 when nothing waits any more, or less than 0 when the
/// next answers need as many bytes.
#[napi]
pub fn take(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    mut out: BufferSlice<'_>,
) -> f64 {
    match environment.link.outbox.take(&mut out) {
        Taken::Bytes(length) => length as f64,
        Taken::Nothing => 0.0,
        Taken::NeedsRoom(length) => -(length as f64),
    }
}

/// There is no document for the key.
const MISSING: i32 = -1;
/// The answer is not at hand, or is not a document: ask again with an operation.
const NOT_AT_HAND: i32 = -2;

/// Makes a function that reads documents of a store from memory: it takes the length of the encoded key that stands in
/// `key`, or how many stand there, or says which part of `out` it wants as a string; see `raw`. The store need not exist.
/// Both buffers are used again and again.
#[napi(ts_return_type = "(length: number, start?: number) => string | number | boolean | undefined")]
pub fn reader<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    store: &[u8],
    key: BufferSlice<'env>,
    out: BufferSlice<'env>,
) -> napi::Result<Unknown<'env>> {
    let documents = environment
        .link
        .database(database)
        .and_then(|database| Ok(database.json()?.reader(&String::from_utf8_lossy(store))))
        .map_err(|error| thrown(&error))?;
    raw::reader(env, raw::Documents::ByPrimaryKey(documents), [key, out])
}

/// As `reader`, by the keys of a unique index, which need not exist either.
#[napi(ts_return_type = "(length: number) => string | number | boolean | undefined")]
pub fn unique_reader<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    store: &[u8],
    index: &[u8],
    key: BufferSlice<'env>,
    out: BufferSlice<'env>,
) -> napi::Result<Unknown<'env>> {
    let (store, index) = (String::from_utf8_lossy(store), String::from_utf8_lossy(index));
    let documents = environment
        .link
        .database(database)
        .and_then(|database| Ok(database.json()?.unique_reader(&store, &index)))
        .map_err(|error| thrown(&error))?;
    raw::reader(env, raw::Documents::ByUniqueKey(documents), [key, out])
}

/// As `reader`, of a keyspace, whose keys are any bytes. Nobody need have written to it.
#[napi(ts_return_type = "(length: number, start?: number) => string | number | boolean | undefined")]
pub fn keyspace_reader<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    name: &[u8],
    key: BufferSlice<'env>,
    out: BufferSlice<'env>,
) -> napi::Result<Unknown<'env>> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    let reader = keyspace_reader::KeyspaceReader::new(&database, &String::from_utf8_lossy(name));
    raw::reader(env, raw::Documents::InKeyspace(reader), [key, out])
}

/// Keeps what is visible now under a number; the number is one that no other snapshot of the database has.
#[napi]
pub fn take_snapshot(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    number: u32,
) -> napi::Result<()> {
    let taken = environment.link.database(database).and_then(|database| {
        let snapshot = database.json()?.engine().snapshot();
        database.keep_snapshot(number, || snapshot);
        Ok(())
    });
    taken.map_err(|error| thrown(&error))
}

/// Lets go of a snapshot; where the database has been closed, that has been done.
#[napi]
pub fn release_snapshot(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    number: u32,
) {
    if let Ok(database) = environment.link.database(database) {
        database.forget_snapshot(number);
    }
}

/// Makes a function that answers one read in the call, where that is soon done: it takes the length of the packed operation
/// that stands in `run`; see `raw_call`. Both buffers are used again and again.
#[napi(ts_return_type = "(length: number) => number")]
pub fn answerer<'env>(
    env: &'env Env,
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: BufferSlice<'env>,
    out: BufferSlice<'env>,
) -> napi::Result<Unknown<'env>> {
    let database = environment.link.database(database).map_err(|error| thrown(&error))?;
    raw_call::answerer(env, &database, [run, out])
}

/// Reads a record that lies in memory into `out`, as an answer would have it: returns its length, or `-1` when there is
/// none, or `-2` when this can't be told in the call. `run` holds the operation that would read it.
#[napi]
pub fn try_get_record(
    #[napi(ts_arg_type = "object")] environment: &External<Environment>,
    database: u32,
    run: &[u8],
    mut out: BufferSlice<'_>,
) -> i32 {
    record_from_memory(&environment.link, database, run, &mut out).unwrap_or(NOT_AT_HAND)
}

fn record_from_memory(link: &Link, database: u32, run: &[u8], out: &mut [u8]) -> Option<i32> {
    let json = link.database(database).ok()?.json().ok()?;
    let operations = packing::read_run(run).ok()?;
    let packing::Verb::Series(verb) = &operations.first()?.verb else { return None };
    match series::try_get(&json, verb)? {
        TryRecord::Missing => Some(MISSING),
        TryRecord::NeedsIo => None,
        TryRecord::Found(record) => {
            let mut packed = Vec::new();
            series_packing::put_record(&mut packed, &record);
            out.get_mut(..packed.len())?.copy_from_slice(&packed);
            i32::try_from(packed.len()).ok()
        }
    }
}

/// An error that is thrown in the call: its description is the message, `lib/native.js` makes the real one of it.
fn thrown(error: &Error) -> napi::Error {
    napi::Error::from_reason(error::to_json(error))
}
