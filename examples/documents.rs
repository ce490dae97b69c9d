//! Object stores, indexes, transactions and expiry: `cargo run --example documents [directory]`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::Config;
use flowdb::error::{Code, Error, Result};
use flowdb::jsondb::{Expires, IndexOptions, JsonDb, KeyPath, PutOptions, StoreOptions};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let usual = || std::env::temp_dir().join(format!("flowdb-documents-{}", std::process::id()));
    let dir = std::env::args_os().nth(1).map_or_else(usual, PathBuf::from);
    run(&dir, &mut std::io::stdout())
}

/// Uses the database in `dir`, and says what it sees.
pub fn run(dir: &Path, out: &mut dyn Write) -> Result<()> {
    // A clock that is turned by hand, so that nobody has to wait for an expiry. Programs leave this out.
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let db = JsonDb::open(Config { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Config::new(dir) })?;
    create(&db)?;
    write_and_find(&db, out)?;
    transfer(&db, out)?;
    expire(&db, &clock, out)?;
    db.close()
}

/// Stores with a key path and with keys beside the documents, and indexes. What exists is left as it is.
fn create(db: &JsonDb) -> Result<()> {
    let path = |path: &str| KeyPath::One(path.to_owned());
    db.create_object_store("accounts", StoreOptions { key_path: Some(path("id")), auto_increment: false })?;
    db.create_object_store("sessions", StoreOptions::default())?;
    let email = IndexOptions { key_path: path("email"), unique: true, multi_entry: false };
    db.create_index("accounts", "email", email)?;
    let tags = IndexOptions { key_path: path("tags"), unique: false, multi_entry: true };
    db.create_index("accounts", "tags", tags)
}

fn write_and_find(db: &JsonDb, out: &mut dyn Write) -> Result<()> {
    let accounts = db.collection::<Value>("accounts")?;
    accounts.put_many(&[
        json!({ "id": 1, "email": "ada@example.com", "balance": 100, "tags": ["staff", "admin"] }),
        json!({ "id": 2, "email": "bob@example.com", "balance": 20, "tags": ["staff"] }),
        json!({ "id": 3, "email": "eve@example.com", "balance": 0, "tags": [] }),
    ])?;
    let taken = accounts.put(&json!({ "id": 4, "email": "bob@example.com" }));
    say(out, &format!("a second bob: {:?}", taken.map_err(|error| error.code())))?;
    say(
        out,
        &format!("eve is {}", accounts.get_by_index("email", "eve@example.com")?.unwrap_or_default()["id"]),
    )?;
    for account in accounts.range_by_index("tags", "staff"..="staff")? {
        say(out, &format!("staff: {}", account?["email"]))?;
    }
    say(out, &format!("from 2 on: {}", accounts.count(2..)?))
}

/// Both documents change, or none; where somebody else changes one meanwhile, it is done again.
fn transfer(db: &JsonDb, out: &mut dyn Write) -> Result<()> {
    let transfer = |from: u64, to: u64, amount: i64| {
        db.update(&["accounts"], None, |transaction| {
            let mut accounts = transaction.collection::<Value>("accounts")?;
            for (id, change) in [(from, -amount), (to, amount)] {
                let balance = |account: &Value| account["balance"].as_i64().unwrap_or(0);
                let account = accounts
                    .modify(id, |account| account["balance"] = json!(balance(account) + change))?
                    .ok_or_else(|| Error::new(Code::NotFound, format!("there is no account {id}")))?;
                if balance(&account) < 0 {
                    return Err(Error::new(Code::Constraint, format!("account {id} has too little")));
                }
            }
            Ok(())
        })
    };
    transfer(1, 2, 30)?;
    say(out, &format!("too much: {:?}", transfer(1, 2, 90).map_err(|error| error.code())))?;
    let balances = db.collection::<Value>("accounts")?.get_many([1, 2])?;
    let balances: Vec<i64> =
        balances.iter().flatten().filter_map(|account| account["balance"].as_i64()).collect();
    say(out, &format!("balances: {balances:?}"))
}

fn expire(db: &JsonDb, clock: &ManualClock, out: &mut dyn Write) -> Result<()> {
    let sessions = db.collection::<String>("sessions")?;
    let key = sessions.put_at(("ada", 1), &"logged in".to_owned())?;
    let hour = PutOptions { expires: Expires::After(3_600_000), ..PutOptions::default() };
    sessions.put_with(Some(&key), &"logged in, for an hour".to_owned(), hour)?;
    let version = |entry: Option<flowdb::jsondb::Entry<String>>| entry.map(|entry| entry.version);
    say(out, &format!("version {:?} of the session", version(sessions.get_entry(&key)?)))?;
    clock.advance(3_600_000);
    say(out, &format!("an hour later: {:?}", sessions.get(&key)?))
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}").map_err(|cause| Error::io("writing to", Path::new("the output"), cause))
}
