//! Documents as values of Rust types: what is written comes back, by every key, and what does not fit is an error that
//! says so.

use std::sync::Arc;
use std::thread;

use flowdb::clock::ManualClock;
use flowdb::config::{Config, SyncMode};
use flowdb::error::Code;
use flowdb::jsondb::{
    Collection, Document, Expires, Format, JsonDb, Key, KeyPath, Mode, ObjectStore, PutOptions, ToKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::{auto_increment, keyed_by, open, out_of_line, unique_on};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, flowdb_derive::ObjectStore)]
#[store(name = "users", key_path = "id")]
#[index(name = "place", paths("country", "address.city"))]
#[serde(rename_all = "camelCase")]
struct User {
    id: u64,
    #[index(unique)]
    mail_address: String,
    #[index]
    visits: u32,
    #[index(multi_entry)]
    tags: Vec<String>,
    country: String,
    address: Address,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    city: String,
}

fn user(id: u64, visits: u32, tags: &[&str]) -> User {
    User {
        id,
        mail_address: format!("user{id}@example.com"),
        visits,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        country: if id.is_multiple_of(2) { "AT" } else { "CH" }.to_owned(),
        address: Address { city: format!("City {}", id % 3) },
    }
}

/// A database with the users 1 to `count`, whose visits are ten times that.
fn with_users(count: u64) -> (JsonDb, Collection<User>) {
    let db = open();
    let users = db.store_of::<User>().unwrap();
    let all: Vec<User> = (1..=count).map(|id| user(id, id as u32 * 10, &["all"])).collect();
    users.put_many(&all).unwrap();
    (db, users)
}

fn ids(users: impl IntoIterator<Item = User>) -> Vec<u64> {
    users.into_iter().map(|user| user.id).collect()
}

#[test]
fn a_value_comes_back_by_its_key_and_by_each_of_its_indexes() {
    let users = open().store_of::<User>().unwrap();
    let ada = user(1, 7, &["a", "b"]);

    assert_eq!(users.put(&ada).unwrap(), 1.to_key().unwrap());

    assert_eq!(users.get(1).unwrap(), Some(ada.clone()));
    assert_eq!(users.get(2).unwrap(), None);
    assert!(users.has(1).unwrap() && !users.has("1").unwrap());
    assert_eq!(users.get_by_index("mailAddress", "user1@example.com").unwrap(), Some(ada.clone()));
    assert_eq!(users.get_by_index("mailAddress", "user2@example.com").unwrap(), None);
    assert_eq!(ids(users.get_all_by_index("visits", 7).unwrap()), [1]);
    assert_eq!(ids(users.get_all_by_index("tags", "b").unwrap()), [1]);
    assert_eq!(users.get_all_by_index("place", ("CH", "City 1")).unwrap(), [ada]);
    assert_eq!(users.get_by_index("nowhere", 1).unwrap_err().code(), Code::NotFound);
}

#[test]
fn many_are_read_in_the_order_of_their_keys_and_gaps_are_none() {
    let (_, users) = with_users(3);

    let found = users.get_many([3, 9, 1]).unwrap();

    assert_eq!(
        found.iter().map(|user| user.as_ref().map(|user| user.id)).collect::<Vec<_>>(),
        [Some(3), None, Some(1)]
    );
}

#[test]
fn ranges_walk_in_both_directions_over_more_than_a_page() {
    let (_, users) = with_users(1_000);
    let walked = |walk: flowdb::jsondb::Walk<User>| ids(walk.map(Result::unwrap));

    assert_eq!(walked(users.range(..).unwrap()), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(walked(users.range(300..=900).unwrap().reversed()), (300..=900).rev().collect::<Vec<_>>());
    assert_eq!(walked(users.range_by_index("visits", 50..80).unwrap()), [5, 6, 7]);
    assert_eq!(walked(users.range_by_index("tags", "all"..="all").unwrap()), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(users.count(..).unwrap(), 1_000);
    assert_eq!(users.count(..=10).unwrap(), 10);
    assert_eq!(users.count_by_index("visits", 9_990..).unwrap(), 2);
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let empty = 5..4;
    assert_eq!(users.range(empty).unwrap_err().code(), Code::InvalidArgument);

    let mut entries = users.range_by_index("visits", 50..80).unwrap().entries();
    let entry = entries.next().unwrap().unwrap();
    assert_eq!((entry.key, entry.index_key), (5.to_key().unwrap(), Some(50.to_key().unwrap())));
    assert_eq!((entry.version, entry.expires_at), (1, 0));
}

#[test]
fn a_walk_sees_the_store_as_it_was_when_it_began() {
    let (_, users) = with_users(600);
    let mut walk = users.range(..).unwrap();
    walk.next().unwrap().unwrap();

    users.clear().unwrap();

    assert_eq!(walk.count(), 599);
    assert_eq!(users.count(..).unwrap(), 0);
}

#[test]
fn a_change_of_many_threads_at_once_loses_none() {
    let (_, users) = with_users(1);

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    users.modify(1, |user| user.visits += 1).unwrap().unwrap();
                }
            });
        }
    });

    let entry = users.get_entry(1).unwrap().unwrap();
    assert_eq!((entry.value.visits, entry.version), (210, 201));
    assert_eq!(users.get_all_by_index("visits", 210).unwrap().len(), 1);
}

#[test]
fn a_change_keeps_key_and_expiry_and_is_none_where_there_is_nothing() {
    let clock = Arc::new(ManualClock::new(1_000));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    let users = db.store_of::<User>().unwrap();
    let expiring = PutOptions { expires: Expires::After(100), ..PutOptions::default() };
    users.put_with(None, &user(1, 0, &[]), expiring).unwrap();

    assert_eq!(users.modify(2, |_| panic!("there is none")).unwrap(), None);
    let rekeyed = users.modify(1, |user| user.id = 5).unwrap_err();
    assert_eq!(rekeyed.code(), Code::InvalidKey);
    clock.advance(99);
    users.modify(1, |user| user.visits = 9).unwrap().unwrap();

    let entry = users.get_entry(1).unwrap().unwrap();
    assert_eq!((entry.value.visits, entry.updated_at, entry.expires_at), (9, 1_099, 1_100));
    clock.advance(1);
    assert_eq!(users.get(1).unwrap(), None);
}

#[test]
fn what_is_there_or_taken_refuses_to_be_added() {
    let (_, users) = with_users(2);

    assert_eq!(users.add(&user(1, 0, &[])).unwrap_err().code(), Code::Constraint);
    let taken = User { id: 3, ..user(1, 0, &[]) };
    assert_eq!(users.put(&taken).unwrap_err().code(), Code::Constraint);
    let batch = [user(3, 0, &[]), user(2, 0, &[])];
    assert_eq!(users.add_many(&batch).unwrap_err().code(), Code::Constraint);
    assert_eq!(users.count(..).unwrap(), 2);

    users.add_many(&batch[..1]).unwrap();
    assert!(users.delete(3).unwrap() && !users.delete(3).unwrap());
    assert_eq!(users.delete_range(2..).unwrap(), 1);
    assert_eq!(ids(users.range(..).unwrap().map(Result::unwrap)), [1]);
}

#[test]
fn keys_beside_the_values_are_of_every_kind_and_generated_ones_go_into_them() {
    let db = open();
    db.create_object_store("notes", out_of_line()).unwrap();
    let notes: Collection<String> = db.collection("notes").unwrap();
    let keys: [Key; 5] = [
        notes.put_at(("a", 1), &"tuple".to_owned()).unwrap(),
        notes.put_at(vec![true], &"vector".to_owned()).unwrap(),
        notes.put_at(u64::MAX, &"bigint".to_owned()).unwrap(),
        notes.put_at(Key::from_binary(b"\0x").unwrap(), &"bytes".to_owned()).unwrap(),
        notes.add_at(None::<f64>, &"null".to_owned()).unwrap(),
    ];
    let texts: Vec<_> = notes.get_many(&keys).unwrap().into_iter().map(Option::unwrap).collect();
    assert_eq!(texts, ["tuple", "vector", "bigint", "bytes", "null"]);
    assert_eq!(notes.add_at(u64::MAX, &String::new()).unwrap_err().code(), Code::Constraint);
    assert_eq!(notes.put(&String::new()).unwrap_err().code(), Code::InvalidKey);
    assert_eq!(notes.put_at(f64::NAN, &String::new()).unwrap_err().code(), Code::InvalidKey);

    db.create_object_store("events", auto_increment(Some("id"))).unwrap();
    let events: Collection<Value> = db.collection("events").unwrap();
    let key = events.put(&serde_json::json!({ "kind": "opened" })).unwrap();
    assert_eq!(events.get(&key).unwrap().unwrap()["id"], 1);
    let given = events.put_at(5, &serde_json::json!({ "id": 5 }));
    assert_eq!(given.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn a_transaction_reads_what_it_wrote_over_several_stores_and_leaves_nothing_when_dropped() {
    let (db, users) = with_users(3);
    db.create_object_store("log", auto_increment(None)).unwrap();

    let mut transaction = db.begin(&["users", "log"], Mode::ReadWrite).unwrap();
    let mut members = transaction.collection::<User>("users").unwrap();
    members.put(&user(4, 40, &["new"])).unwrap();
    members.modify(1, |user| user.visits = 35).unwrap();
    let visits = members.range_by_index("visits", 30..).unwrap();
    assert_eq!(ids(visits.map(Result::unwrap)), [3, 1, 4]);
    assert_eq!(members.get_all_by_index("tags", "new").unwrap().len(), 1);
    transaction.collection("log").unwrap().put(&"changed").unwrap();
    assert_eq!(transaction.collection::<String>("log").unwrap().count(..).unwrap(), 1);
    assert_eq!(transaction.collection::<User>("others").unwrap_err().code(), Code::NotFound);
    drop(transaction);

    assert_eq!(users.count(..).unwrap(), 3);
    let mut reading = db.begin(&["users"], Mode::ReadOnly).unwrap();
    let mut members = reading.collection::<User>("users").unwrap();
    assert_eq!(members.put(&user(9, 0, &[])).unwrap_err().code(), Code::ReadOnly);
    assert_eq!(members.modify(8, |_| {}).unwrap_err().code(), Code::ReadOnly);
}

#[test]
fn an_update_that_fails_changes_nothing_and_one_that_ends_changes_all() {
    let (_, users) = with_users(2);

    let failed = users.update(|members| {
        members.delete(1)?;
        members.add(&user(2, 0, &[]))
    });
    assert_eq!(failed.unwrap_err().code(), Code::Constraint);
    assert_eq!(users.count(..).unwrap(), 2);

    let both = users.clone().with_sync(SyncMode::Always).update(|members| {
        members.delete(1)?;
        members.put(&user(3, 0, &[]))?;
        members.count(..)
    });
    assert_eq!(both.unwrap(), 2);
    assert_eq!(users.view(|members| Ok((members.has(1)?, members.has(3)?))).unwrap(), (false, true));
}

#[test]
fn what_is_not_of_the_type_is_an_error_that_names_the_document() {
    let (db, users) = with_users(1);
    let others: Collection<Value> = db.collection("users").unwrap();
    others.put(&serde_json::json!({ "id": 2, "mailAddress": 7 })).unwrap();

    let error = users.get(2).unwrap_err();
    assert_eq!(error.code(), Code::InvalidValue);
    assert!(error.message().starts_with("reading the document 2 of \"users\" as a User: "), "{error}");
    let mut walk = users.range(..).unwrap();
    assert!(walk.next().unwrap().is_ok());
    assert_eq!(walk.next().unwrap().unwrap_err().code(), Code::InvalidValue);
    assert!(walk.next().is_none(), "a walk ends with an error");
    assert!(users.has(2).unwrap() && users.delete(2).unwrap(), "nothing has to be read for that");

    db.create_object_store("raw", out_of_line()).unwrap();
    db.update(&["raw"], None, |transaction| {
        let document = Document { format: Format::Raw, bytes: b"1".to_vec() };
        transaction.put("raw", Some(1.to_key()?), document)
    })
    .unwrap();
    let error = db.collection::<u8>("raw").unwrap().get(1).unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidValue, "reading the document 1 of \"raw\" as a u8: it is not JSON")
    );

    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = db.collection("raw").unwrap().put_at(2, &unwritable).unwrap_err();
    assert_eq!(error.code(), Code::InvalidValue);
}

#[test]
fn a_store_of_a_type_is_as_its_attributes_say_and_is_completed_where_something_is_missing() {
    let (db, _) = with_users(5);
    assert_eq!(db.schema(), [User::schema()]);
    let names: Vec<String> = User::schema().indexes.into_iter().map(|index| index.name).collect();
    assert_eq!(names, ["mailAddress", "place", "tags", "visits"]);
    let place = &User::schema().indexes[1];
    assert_eq!(place.key_path, KeyPath::Many(vec!["country".to_owned(), "address.city".to_owned()]));

    db.delete_index("users", "visits").unwrap();
    db.create_index("users", "other", unique_on("id")).unwrap();
    let users = db.store_of::<User>().unwrap();

    assert_eq!(users.get_all_by_index("visits", 30).unwrap(), [user(3, 30, &["all"])]);
    assert_eq!(users.get_by_index("other", 3).unwrap().map(|user| user.id), Some(3));
}

#[test]
fn a_store_or_index_that_is_there_in_another_way_refuses_the_type() {
    let db = open();
    db.create_object_store("users", keyed_by("other")).unwrap();
    assert_eq!(db.store_of::<User>().unwrap_err().code(), Code::Exists);

    let db = open();
    db.create_object_store("users", keyed_by("id")).unwrap();
    db.create_index("users", "visits", unique_on("visits")).unwrap();
    assert_eq!(db.store_of::<User>().unwrap_err().code(), Code::Exists);
}

#[test]
fn a_default_expiry_and_generated_keys_come_from_attributes() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, flowdb_derive::ObjectStore)]
    #[store(name = "tokens", key_path = "id", auto_increment, default_ttl_ms = 50)]
    struct Token {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    }
    let clock = Arc::new(ManualClock::new(1_000));
    let db = JsonDb::open(Config { clock: clock.clone(), ..Config::in_memory() }).unwrap();
    let tokens = db.store_of::<Token>().unwrap();

    let key = tokens.put(&Token { id: None }).unwrap();

    assert_eq!(
        tokens.get_entry(&key).unwrap().map(|entry| (entry.value.id, entry.expires_at)),
        Some((Some(1), 1_050))
    );
    clock.advance(50);
    assert_eq!(tokens.get(&key).unwrap(), None);
}

#[test]
fn a_collection_of_a_store_that_is_not_there_or_of_a_closed_database_is_an_error() {
    let (db, users) = with_users(1);
    assert_eq!(db.collection::<User>("others").unwrap_err().code(), Code::NotFound);
    db.delete_object_store("users").unwrap();
    assert_eq!(users.get(1).unwrap_err().code(), Code::NotFound);
    db.close().unwrap();
    assert_eq!(users.get(1).unwrap_err().code(), Code::Closed);
    assert_eq!(db.collection::<User>("users").unwrap_err().code(), Code::Closed);
}
