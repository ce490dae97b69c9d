//! A naive Redis: what the commands mean, on collections of the standard library. Random commands run against it and the
//! database, and their answers are compared as text.

use std::collections::{BTreeMap, BTreeSet};

use flowdb::error::{Code, Result};
use flowdb::structures::{
    Aggregate, Beside, End, ExpireOptions, Expiry, Limit, Moment, ScanOptions, ScoreBound, Scored,
    SetOperation, SetOptions, SortedOperation, SortedRange, StructureTransaction, Ttl, Type, ZAddOptions,
};

use crate::support::Random;

/// A key of a database.
pub(crate) type Name = (u32, Vec<u8>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Sorted(BTreeMap<Vec<u8>, f64>),
    List(Vec<Vec<u8>>),
}

impl Value {
    fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::String,
            Self::Hash(_) => Type::Hash,
            Self::Set(_) => Type::Set,
            Self::Sorted(_) => Type::SortedSet,
            Self::List(_) => Type::List,
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Hash(fields) => fields.is_empty(),
            Self::Set(members) => members.is_empty(),
            Self::Sorted(members) => members.is_empty(),
            Self::List(elements) => elements.is_empty(),
        }
    }
}

/// All keys, each with what it holds and when that expires (0 is never).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<Name, (Value, u64)>,
    pub(crate) now_ms: u64,
    pub(crate) database: u32,
}

/// A command with its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Set(Vec<u8>, Vec<u8>, SetOptions),
    Get(Vec<u8>),
    MGet(Vec<Vec<u8>>),
    GetDel(Vec<u8>),
    IncrBy(Vec<u8>, i64),
    IncrByFloat(Vec<u8>, f64),
    Append(Vec<u8>, Vec<u8>),
    GetRange(Vec<u8>, i64, i64),
    SetRange(Vec<u8>, u64, Vec<u8>),
    StrLen(Vec<u8>),
    Delete(Vec<Vec<u8>>),
    Exists(Vec<Vec<u8>>),
    Expire(Vec<u8>, i64, ExpireOptions),
    Ttl(Vec<u8>),
    Persist(Vec<u8>),
    Rename(Vec<u8>, Vec<u8>, bool),
    TypeOf(Vec<u8>),
    Keys(Vec<u8>),
    Scan(u64),
    Flush,
    HSet(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
    HGet(Vec<u8>, Vec<u8>),
    HDel(Vec<u8>, Vec<Vec<u8>>),
    HGetAll(Vec<u8>),
    HIncrBy(Vec<u8>, Vec<u8>, i64),
    SAdd(Vec<u8>, Vec<Vec<u8>>),
    SRem(Vec<u8>, Vec<Vec<u8>>),
    SMove(Vec<u8>, Vec<u8>, Vec<u8>),
    SPop(Vec<u8>, u64),
    SRandMember(Vec<u8>, i64),
    SMembers(Vec<u8>),
    SStore(SetOperation, Vec<u8>, Vec<Vec<u8>>),
    ZAdd(Vec<u8>, Vec<(f64, Vec<u8>)>, ZAddOptions),
    ZIncr(Vec<u8>, f64, Vec<u8>, ZAddOptions),
    ZRem(Vec<u8>, Vec<Vec<u8>>),
    ZRange(Vec<u8>, (f64, bool), (f64, bool), bool, Limit),
    ZRangeByRank(Vec<u8>, i64, i64, bool),
    ZRank(Vec<u8>, Vec<u8>),
    ZPop(Vec<u8>, u64, bool),
    ZRemRange(Vec<u8>, i64, i64),
    ZStore(SortedOperation, Vec<u8>, Vec<Vec<u8>>, Aggregate),
    Push(Vec<u8>, End, Vec<Vec<u8>>),
    Pop(Vec<u8>, End, u64),
    LRange(Vec<u8>, i64, i64),
    LIndex(Vec<u8>, i64),
    LSet(Vec<u8>, i64, Vec<u8>),
    LInsert(Vec<u8>, Beside, Vec<u8>, Vec<u8>),
    LRem(Vec<u8>, i64, Vec<u8>),
    LTrim(Vec<u8>, i64, i64),
    LMove(Vec<u8>, Vec<u8>, End, End),
}

fn any_key(random: &mut Random) -> Vec<u8> {
    random.pick(&["", "a", "ab", "b", "b\0", "c"]).as_bytes().to_vec()
}

fn any_member(random: &mut Random) -> Vec<u8> {
    random.pick(&["", "m", "mm", "n", "n\0x", "o", "7", "-3", "p", "\u{ff}"]).as_bytes().to_vec()
}

fn any_value(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => random.around(20).to_string().into_bytes(),
        1 => vec![b'x'; 1_020 + random.below(8) as usize],
        2 => i64::MAX.to_string().into_bytes(),
        3 => b"1.5".to_vec(),
        _ => any_member(random),
    }
}

fn several<T>(random: &mut Random, mut one: impl FnMut(&mut Random) -> T) -> Vec<T> {
    (0..1 + random.below(4)).map(|_| one(random)).collect()
}

fn any_score(random: &mut Random) -> f64 {
    match random.below(12) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        _ => random.around(6) as f64 / 2.0,
    }
}

fn any_end(random: &mut Random) -> End {
    if random.coin() { End::Left } else { End::Right }
}

/// A command that changes strings or keys, or reads them.
fn any_of_keys(random: &mut Random) -> Command {
    let key = any_key(random);
    match random.below(22) {
        0..4 => {
            let expiry = match random.below(4) {
                0 => Expiry::Keep,
                1 => Expiry::Moment(Moment::In(random.around(50))),
                _ => Expiry::Never,
            };
            let (nx, xx) = (random.below(5) == 0, random.below(5) == 0);
            Command::Set(key, any_value(random), SetOptions { nx, xx, get: random.below(4) == 0, expiry })
        }
        4 => Command::Get(key),
        5 => Command::MGet(several(random, any_key)),
        6 => Command::GetDel(key),
        7 => Command::IncrBy(key, if random.below(5) == 0 { i64::MIN } else { random.around(9) }),
        8 => Command::IncrByFloat(key, random.around(9) as f64 / 4.0),
        9 => Command::Append(key, any_value(random)),
        10 => Command::GetRange(key, random.around(6), random.around(6)),
        11 => Command::SetRange(key, random.below(1_100), any_member(random)),
        12 => Command::StrLen(key),
        13 => Command::Delete(several(random, any_key)),
        14 => Command::Exists(several(random, any_key)),
        15 | 16 => {
            let mut flag = || random.below(5) == 0;
            let options = ExpireOptions { nx: flag(), xx: flag(), gt: flag(), lt: flag() };
            Command::Expire(key, random.around(60), options)
        }
        17 => Command::Ttl(key),
        18 => Command::Persist(key),
        19 => Command::Rename(key, any_key(random), random.coin()),
        20 => Command::TypeOf(key),
        _ => match random.below(12) {
            0 => Command::Flush,
            1..6 => Command::Scan(1 + random.below(5)),
            _ => Command::Keys(random.pick(&["*", "a*", "[ab]", "b?", "\\a", ""]).as_bytes().to_vec()),
        },
    }
}

fn any_of_hashes_and_sets(random: &mut Random) -> Command {
    let key = any_key(random);
    match random.below(15) {
        0..2 => Command::HSet(key, several(random, |random| (any_member(random), any_value(random)))),
        2 => Command::HGet(key, any_member(random)),
        3 => Command::HDel(key, several(random, any_member)),
        4 => Command::HGetAll(key),
        5 => Command::HIncrBy(key, any_member(random), random.around(9)),
        6..8 => Command::SAdd(key, several(random, any_member)),
        8 => Command::SRem(key, several(random, any_member)),
        9 => Command::SMove(key, any_key(random), any_member(random)),
        10 => Command::SPop(key, random.below(3)),
        11 => Command::SRandMember(key, random.around(5)),
        12 => Command::SMembers(key),
        _ => {
            let operations = [SetOperation::Union, SetOperation::Inter, SetOperation::Diff];
            Command::SStore(*random.pick(&operations), key, several(random, any_key))
        }
    }
}

fn any_of_sorted_sets(random: &mut Random) -> Command {
    let key = any_key(random);
    let mut flag = || random.below(6) == 0;
    let options = ZAddOptions { nx: flag(), xx: flag(), gt: flag(), lt: flag() };
    match random.below(13) {
        0..3 => {
            let members = several(random, |random| (any_score(random), any_member(random)));
            Command::ZAdd(key, members, options)
        }
        3 => Command::ZIncr(key, any_score(random), any_member(random), options),
        4 => Command::ZRem(key, several(random, any_member)),
        5..7 => {
            let limit = Limit { offset: random.around(4), count: random.around(4) };
            let limit = if random.coin() { Limit::NONE } else { limit };
            let (min, max) = ((any_score(random), random.coin()), (any_score(random), random.coin()));
            Command::ZRange(key, min, max, random.coin(), limit)
        }
        7 => Command::ZRangeByRank(key, random.around(6), random.around(6), random.coin()),
        8 | 9 => Command::ZRank(key, any_member(random)),
        10 => Command::ZPop(key, random.below(3), random.coin()),
        11 => Command::ZRemRange(key, random.around(4), random.around(4)),
        _ => {
            let operations = [SortedOperation::Union, SortedOperation::Inter, SortedOperation::Diff];
            let aggregates = [Aggregate::Sum, Aggregate::Min, Aggregate::Max];
            let (operation, aggregate) = (*random.pick(&operations), *random.pick(&aggregates));
            Command::ZStore(operation, key, several(random, any_key), aggregate)
        }
    }
}

fn any_of_lists(random: &mut Random) -> Command {
    let key = any_key(random);
    match random.below(13) {
        0..4 => Command::Push(key, any_end(random), several(random, any_member)),
        4 => Command::Pop(key, any_end(random), random.below(3)),
        5 => Command::LRange(key, random.around(6), random.around(6)),
        6 => Command::LIndex(key, random.around(6)),
        7 => Command::LSet(key, random.around(4), any_member(random)),
        8 | 9 => {
            let beside = if random.coin() { Beside::Before } else { Beside::After };
            Command::LInsert(key, beside, any_member(random), any_member(random))
        }
        10 => Command::LRem(key, random.around(2), any_member(random)),
        11 => Command::LTrim(key, random.around(4), random.around(8)),
        _ => Command::LMove(key, any_key(random), any_end(random), any_end(random)),
    }
}

impl Command {
    pub(crate) fn any(random: &mut Random) -> Self {
        match random.below(4) {
            0 => any_of_keys(random),
            1 => any_of_hashes_and_sets(random),
            2 => any_of_sorted_sets(random),
            _ => any_of_lists(random),
        }
    }
}

fn slices(names: &[Vec<u8>]) -> Vec<&[u8]> {
    names.iter().map(Vec::as_slice).collect()
}

/// An answer, as text. Of an error only the code counts.
pub(crate) fn answer<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.code().as_str().to_owned(),
    }
}

fn tuples(found: Vec<Scored>) -> Vec<(Vec<u8>, f64)> {
    found.into_iter().map(|one| (one.member, one.score)).collect()
}

fn bound((score, is_open): (f64, bool)) -> ScoreBound {
    if is_open { ScoreBound::Excluded(score) } else { ScoreBound::Included(score) }
}

/// Runs a command, and gives its answer. What is drawn has been checked, and the model then does the same with it.
pub(crate) fn run(tx: &mut StructureTransaction, command: &Command, model: &Model) -> String {
    use Command as C;
    match command {
        C::Set(key, value, options) => {
            answer(tx.set(key, value, options).map(|reply| (reply.is_set, reply.previous)))
        }
        C::Get(key) => answer(tx.get(key)),
        C::MGet(keys) => answer(tx.m_get(&slices(keys))),
        C::GetDel(key) => answer(tx.get_del(key)),
        C::IncrBy(key, by) => answer(tx.incr_by(key, *by)),
        C::IncrByFloat(key, by) => answer(tx.incr_by_float(key, *by)),
        C::Append(key, tail) => answer(tx.append(key, tail)),
        C::GetRange(key, start, end) => answer(tx.get_range(key, *start, *end)),
        C::SetRange(key, offset, part) => answer(tx.set_range(key, *offset, part)),
        C::StrLen(key) => answer(tx.str_len(key)),
        C::Delete(keys) => answer(tx.delete(&slices(keys))),
        C::Exists(keys) => answer(tx.exists(&slices(keys))),
        C::Expire(key, ms, options) => answer(tx.expire(key, Moment::In(*ms), *options)),
        C::Ttl(key) => answer(tx.ttl(key).map(Ttl::as_ms)),
        C::Persist(key) => answer(tx.persist(key)),
        C::Rename(key, to, true) => answer(tx.rename(key, to).map(|()| true)),
        C::Rename(key, to, false) => answer(tx.rename_nx(key, to)),
        C::TypeOf(key) => answer(tx.type_of(key)),
        C::Keys(pattern) => answer(tx.keys(pattern)),
        C::Scan(count) => answer(scan_all(tx, *count)),
        C::Flush => answer(tx.flush_db()),
        C::HSet(key, fields) => {
            let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(f, v)| (&f[..], &v[..])).collect();
            answer(tx.h_set(key, &fields))
        }
        C::HGet(key, field) => answer(tx.h_get(key, field)),
        C::HDel(key, fields) => answer(tx.h_del(key, &slices(fields))),
        C::HGetAll(key) => answer(tx.h_get_all(key)),
        C::HIncrBy(key, field, by) => answer(tx.h_incr_by(key, field, *by)),
        C::SAdd(key, members) => answer(tx.s_add(key, &slices(members))),
        C::SRem(key, members) => answer(tx.s_rem(key, &slices(members))),
        C::SMove(from, to, member) => answer(tx.s_move(from, to, member)),
        C::SPop(key, count) => answer(tx.s_pop(key, *count).map(|drawn| checked(model, key, drawn, true))),
        C::SRandMember(key, count) => {
            answer(tx.s_rand_member(key, *count).map(|drawn| checked(model, key, drawn, *count >= 0).len()))
        }
        C::SMembers(key) => answer(tx.s_members(key)),
        C::SStore(operation, to, keys) => answer(tx.s_store(*operation, to, &slices(keys))),
        C::ZAdd(key, members, options) => {
            let members: Vec<(f64, &[u8])> = members.iter().map(|(s, m)| (*s, &m[..])).collect();
            answer(tx.z_add(key, &members, *options).map(|added| (added.added, added.changed)))
        }
        C::ZIncr(key, by, member, options) => answer(tx.z_add_incr(key, *by, member, *options)),
        C::ZRem(key, members) => answer(tx.z_rem(key, &slices(members))),
        C::ZRange(key, min, max, reverse, limit) => {
            let range = SortedRange::Score(bound(*min), bound(*max));
            let count = answer(tx.z_count(key, range));
            count + &answer(tx.z_range(key, range, *reverse, *limit).map(tuples))
        }
        C::ZRangeByRank(key, start, stop, reverse) => {
            let range = SortedRange::Rank(*start, *stop);
            answer(tx.z_range(key, range, *reverse, Limit::NONE).map(tuples))
        }
        C::ZRank(key, member) => answer(tx.z_rank(key, member)) + &answer(tx.z_rev_rank(key, member)),
        C::ZPop(key, count, true) => answer(tx.z_pop_max(key, *count).map(tuples)),
        C::ZPop(key, count, false) => answer(tx.z_pop_min(key, *count).map(tuples)),
        C::ZRemRange(key, start, stop) => answer(tx.z_rem_range(key, SortedRange::Rank(*start, *stop))),
        C::ZStore(operation, to, keys, aggregate) => {
            answer(tx.z_store(*operation, to, &slices(keys), &[], *aggregate))
        }
        C::Push(key, end, elements) => answer(tx.push(key, *end, &slices(elements))),
        C::Pop(key, end, count) => answer(tx.pop(key, *end, *count)),
        C::LRange(key, start, stop) => answer(tx.l_range(key, *start, *stop)),
        C::LIndex(key, index) => answer(tx.l_index(key, *index)),
        C::LSet(key, index, element) => answer(tx.l_set(key, *index, element)),
        C::LInsert(key, beside, pivot, element) => answer(tx.l_insert(key, *beside, pivot, element)),
        C::LRem(key, count, element) => answer(tx.l_rem(key, *count, element)),
        C::LTrim(key, start, stop) => answer(tx.l_trim(key, *start, *stop)),
        C::LMove(from, to, take, put) => answer(tx.l_move(from, to, *take, *put)),
    }
}

/// Members that were drawn from a set of the model, each once if `once`.
fn checked(model: &Model, key: &[u8], drawn: Vec<Vec<u8>>, once: bool) -> Vec<Vec<u8>> {
    let set = match model.keys.get(&(model.database, key.to_vec())) {
        Some((Value::Set(members), _)) => members.clone(),
        _ => BTreeSet::new(),
    };
    assert!(drawn.iter().all(|member| set.contains(member)), "{drawn:?} from {set:?}");
    let different: BTreeSet<&Vec<u8>> = drawn.iter().collect();
    assert!(!once || different.len() == drawn.len(), "{drawn:?}");
    drawn
}

fn scan_all(tx: &mut StructureTransaction, count: u64) -> Result<Vec<Vec<u8>>> {
    let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = tx.scan(after.as_deref(), &ScanOptions { count, ..ScanOptions::default() })?;
        found.extend(page.found);
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// What a command of the model fails with.
type Answer<T> = std::result::Result<T, Code>;

fn told<T: std::fmt::Debug>(result: Answer<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(code) => code.as_str().to_owned(),
    }
}

macro_rules! of_kind {
    ($name:ident, $new:ident, $variant:ident, $inner:ty) => {
        /// What the key holds, where that is of the kind; an empty one for nothing.
        fn $name(&self, key: &[u8]) -> Answer<$inner> {
            match self.at(key) {
                None => Ok(<$inner>::default()),
                Some((Value::$variant(value), _)) => Ok(value.clone()),
                Some(_) => Err(Code::WrongType),
            }
        }

        /// Puts it back, keeping the expiry.
        fn $new(&mut self, key: &[u8], value: $inner) {
            self.keep(key, Value::$variant(value));
        }
    };
}

impl Model {
    fn name(&self, key: &[u8]) -> Name {
        (self.database, key.to_vec())
    }

    fn at(&self, key: &[u8]) -> Option<&(Value, u64)> {
        self.keys.get(&self.name(key))
    }

    fn keep(&mut self, key: &[u8], value: Value) {
        let expires_at = self.at(key).map_or(0, |(_, expires_at)| *expires_at);
        self.put(key, value, expires_at);
    }

    fn put(&mut self, key: &[u8], value: Value, expires_at: u64) {
        let name = self.name(key);
        let is_over = expires_at > 0 && expires_at <= self.now_ms;
        if value.is_gone() || is_over {
            self.keys.remove(&name);
        } else {
            self.keys.insert(name, (value, expires_at));
        }
    }

    /// Forgets what has expired.
    pub(crate) fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.keys.retain(|_, (_, expires_at)| *expires_at == 0 || *expires_at > now_ms);
    }

    of_kind!(text, put_text, Text, Vec<u8>);
    of_kind!(hash, put_hash, Hash, BTreeMap<Vec<u8>, Vec<u8>>);
    of_kind!(set, put_set, Set, BTreeSet<Vec<u8>>);
    of_kind!(sorted, put_sorted, Sorted, BTreeMap<Vec<u8>, f64>);
    of_kind!(list, put_list, List, Vec<Vec<u8>>);

    fn has(&self, key: &[u8]) -> bool {
        self.at(key).is_some()
    }

    /// A command, which changes nothing where it fails. `drawn` is what the database has drawn.
    pub(crate) fn run(&mut self, command: &Command, drawn: &str) -> String {
        let before = self.clone();
        let answer = self.run_any(command, drawn);
        if answer.starts_with("FLOWDB_") {
            *self = before;
        }
        answer
    }

    fn run_any(&mut self, command: &Command, drawn: &str) -> String {
        use Command as C;
        match command {
            C::Set(..)
            | C::Get(_)
            | C::MGet(_)
            | C::GetDel(_)
            | C::IncrBy(..)
            | C::IncrByFloat(..)
            | C::Append(..)
            | C::GetRange(..)
            | C::SetRange(..)
            | C::StrLen(_) => self.run_string(command),
            C::Delete(_)
            | C::Exists(_)
            | C::Expire(..)
            | C::Ttl(_)
            | C::Persist(_)
            | C::Rename(..)
            | C::TypeOf(_)
            | C::Keys(_)
            | C::Scan(_)
            | C::Flush => self.run_key(command),
            C::HSet(..) | C::HGet(..) | C::HDel(..) | C::HGetAll(_) | C::HIncrBy(..) => {
                self.run_hash(command)
            }
            C::SAdd(..)
            | C::SRem(..)
            | C::SMove(..)
            | C::SPop(..)
            | C::SRandMember(..)
            | C::SMembers(_)
            | C::SStore(..) => self.run_set(command, drawn),
            C::ZAdd(..)
            | C::ZIncr(..)
            | C::ZRem(..)
            | C::ZRange(..)
            | C::ZRangeByRank(..)
            | C::ZRank(..)
            | C::ZPop(..)
            | C::ZRemRange(..)
            | C::ZStore(..) => self.run_sorted(command),
            _ => self.run_list(command),
        }
    }

    fn run_string(&mut self, command: &Command) -> String {
        use Command as C;
        match command {
            C::Set(key, value, options) => told(self.set_text(key, value, options)),
            C::Get(key) => told(self.text(key).map(|text| self.has(key).then_some(text))),
            C::MGet(keys) => {
                let get = |key: &Vec<u8>| self.text(key).ok().filter(|_| self.has(key));
                told(Ok(keys.iter().map(get).collect::<Vec<_>>()))
            }
            C::GetDel(key) => told(self.text(key).map(|text| {
                let found = self.has(key).then_some(text);
                self.keys.remove(&self.name(key));
                found
            })),
            C::IncrBy(key, by) => told(self.incr(key, *by)),
            C::IncrByFloat(key, by) => told(self.text(key).and_then(|text| {
                let text = if self.has(key) { text } else { b"0".to_vec() };
                let value: f64 = String::from_utf8_lossy(&text).parse().map_err(|_| Code::InvalidValue)?;
                let sum = (value + by).to_string();
                self.put_text(key, sum.clone().into_bytes());
                Ok(sum)
            })),
            C::Append(key, tail) => told(self.text(key).map(|text| {
                let text = [text, tail.clone()].concat();
                self.put_text(key, text.clone());
                text.len()
            })),
            C::GetRange(key, start, end) => told(self.text(key).map(|text| {
                let len = text.len() as i64;
                let index = |at: i64| (if at < 0 { at + len } else { at }).max(0);
                let in_order = !(*start < 0 && *end < 0 && start > end);
                let part = text
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| in_order && (index(*start)..=index(*end)).contains(&(*at as i64)));
                part.map(|(_, byte)| *byte).collect::<Vec<u8>>()
            })),
            C::SetRange(key, offset, part) => told(self.text(key).map(|mut text| {
                if !part.is_empty() {
                    let end = *offset as usize + part.len();
                    text.resize(text.len().max(end), 0);
                    text.splice(*offset as usize..end, part.iter().copied());
                    self.put_text(key, text.clone());
                }
                text.len()
            })),
            C::StrLen(key) => told(self.text(key).map(|text| text.len())),
            _ => unreachable!("it is on no string"),
        }
    }

    fn set_text(
        &mut self,
        key: &[u8],
        value: &[u8],
        options: &SetOptions,
    ) -> Answer<(bool, Option<Vec<u8>>)> {
        let expires_at = match options.expiry {
            Expiry::Never => 0,
            Expiry::Keep => self.at(key).map_or(0, |(_, expires_at)| *expires_at),
            Expiry::Moment(Moment::In(ms)) if ms > 0 => self.now_ms + ms as u64,
            Expiry::Moment(_) => return Err(Code::InvalidArgument),
        };
        if options.nx && options.xx {
            return Err(Code::InvalidArgument);
        }
        let previous = if options.get { self.text(key)? } else { Vec::new() };
        let previous = (options.get && self.has(key)).then_some(previous);
        let is_set = !(options.nx && self.has(key) || options.xx && !self.has(key));
        if is_set {
            self.put(key, Value::Text(value.to_vec()), expires_at);
        }
        Ok((is_set, previous))
    }

    fn incr(&mut self, key: &[u8], by: i64) -> Answer<i64> {
        let text = self.text(key)?;
        let text = if self.has(key) { String::from_utf8_lossy(&text).into_owned() } else { "0".to_owned() };
        let value: i64 = text.parse().map_err(|_| Code::InvalidValue)?;
        if value.to_string() != text {
            return Err(Code::InvalidValue);
        }
        let sum = value.checked_add(by).ok_or(Code::InvalidValue)?;
        self.put_text(key, sum.to_string().into_bytes());
        Ok(sum)
    }

    fn run_key(&mut self, command: &Command) -> String {
        use Command as C;
        match command {
            C::Delete(keys) => {
                let gone = keys.iter().filter(|key| self.keys.remove(&self.name(key)).is_some()).count();
                told(Ok(gone))
            }
            C::Exists(keys) => told(Ok(keys.iter().filter(|key| self.has(key)).count())),
            C::Expire(key, ms, options) => told(self.expire(key, *ms, *options)),
            C::Ttl(key) => told(Ok(match self.at(key) {
                None => -2,
                Some((_, 0)) => -1,
                Some((_, expires_at)) => (expires_at - self.now_ms) as i64,
            })),
            C::Persist(key) => {
                let name = self.name(key);
                let expiry = self.keys.get_mut(&name).map(|(_, expires_at)| std::mem::take(expires_at));
                told(Ok(expiry.is_some_and(|expires_at| expires_at > 0)))
            }
            C::Rename(key, to, replaces) => {
                let (from, to) = (self.name(key), self.name(to));
                if !self.keys.contains_key(&from) {
                    return told::<()>(Err(Code::NotFound));
                }
                let is_done = *replaces || !self.keys.contains_key(&to);
                if is_done {
                    let value = self.keys.remove(&from).unwrap();
                    self.keys.insert(to, value);
                }
                told(Ok(is_done))
            }
            C::TypeOf(key) => told(Ok(self.at(key).map(|(value, _)| value.kind()))),
            C::Keys(pattern) => told(Ok(self.names(|key| match &pattern[..] {
                b"*" => true,
                b"a*" => key.starts_with(b"a"),
                b"[ab]" => key == b"a" || key == b"b",
                b"b?" => key.len() == 2 && key[0] == b'b',
                b"\\a" => key == b"a",
                _ => key.is_empty(),
            }))),
            C::Scan(_) => told(Ok(self.names(|_| true))),
            C::Flush => {
                self.keys.retain(|(database, _), _| *database != self.database);
                told(Ok(()))
            }
            _ => unreachable!("it is on no key"),
        }
    }

    fn names(&self, takes: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let ours = self.keys.keys().filter(|(database, key)| *database == self.database && takes(key));
        ours.map(|(_, key)| key.clone()).collect()
    }

    fn expire(&mut self, key: &[u8], ms: i64, options: ExpireOptions) -> Answer<bool> {
        let ExpireOptions { nx, xx, gt, lt } = options;
        if nx && (xx || gt || lt) || gt && lt {
            return Err(Code::InvalidArgument);
        }
        let Some((value, old)) = self.at(key).cloned() else { return Ok(false) };
        let at = self.now_ms.checked_add_signed(ms).unwrap();
        let as_never = if old == 0 { u64::MAX } else { old };
        if nx && old > 0 || xx && old == 0 || gt && at <= as_never || lt && at >= as_never {
            return Ok(false);
        }
        self.put(key, value, at);
        Ok(true)
    }

    fn run_hash(&mut self, command: &Command) -> String {
        use Command as C;
        match command {
            C::HSet(key, fields) => told(self.hash(key).map(|mut hash| {
                let before = hash.len();
                hash.extend(fields.iter().cloned());
                let added = hash.len() - before;
                self.put_hash(key, hash);
                added
            })),
            C::HGet(key, field) => told(self.hash(key).map(|hash| hash.get(field).cloned())),
            C::HDel(key, fields) => told(self.hash(key).map(|mut hash| {
                let before = hash.len();
                hash.retain(|field, _| !fields.contains(field));
                let gone = before - hash.len();
                self.put_hash(key, hash);
                gone
            })),
            C::HGetAll(key) => told(self.hash(key).map(|hash| hash.into_iter().collect::<Vec<_>>())),
            C::HIncrBy(key, field, by) => told(self.hash(key).and_then(|mut hash| {
                let text = hash
                    .get(field)
                    .map_or("0".to_owned(), |value| String::from_utf8_lossy(value).into_owned());
                let value: i64 = text.parse().map_err(|_| Code::InvalidValue)?;
                let sum = value.checked_add(*by).ok_or(Code::InvalidValue)?;
                hash.insert(field.clone(), sum.to_string().into_bytes());
                self.put_hash(key, hash);
                Ok(sum)
            })),
            _ => unreachable!("it is on no hash"),
        }
    }

    fn run_set(&mut self, command: &Command, drawn: &str) -> String {
        use Command as C;
        match command {
            C::SAdd(key, members) => told(self.set(key).map(|mut set| {
                let added = members.iter().filter(|member| set.insert((*member).clone())).count();
                self.put_set(key, set);
                added
            })),
            C::SRem(key, members) => told(self.set(key).map(|mut set| {
                let gone = members.iter().filter(|member| set.remove(*member)).count();
                self.put_set(key, set);
                gone
            })),
            C::SMove(from, to, member) => told(self.move_member(from, to, member)),
            C::SPop(key, count) => match self.set(key) {
                Err(code) => told::<()>(Err(code)),
                Ok(mut set) => {
                    let popped: Vec<Vec<u8>> = serde_json::from_str(drawn).unwrap();
                    assert_eq!(popped.len() as u64, (*count).min(set.len() as u64), "{drawn}");
                    set.retain(|member| !popped.contains(member));
                    self.put_set(key, set);
                    drawn.to_owned()
                }
            },
            C::SRandMember(key, count) => told(self.set(key).map(|set| {
                let wanted = count.unsigned_abs() as usize;
                match count {
                    _ if set.is_empty() => 0,
                    0.. => wanted.min(set.len()),
                    _ => wanted,
                }
            })),
            C::SMembers(key) => told(self.set(key).map(|set| set.into_iter().collect::<Vec<_>>())),
            C::SStore(operation, to, keys) => told(self.combine(*operation, keys).map(|made| {
                let count = made.len();
                self.put(to, Value::Set(made), 0);
                count
            })),
            _ => unreachable!("it is on no set"),
        }
    }

    fn move_member(&mut self, from: &[u8], to: &[u8], member: &[u8]) -> Answer<bool> {
        let mut source = self.set(from)?;
        if source.is_empty() {
            return Ok(false);
        }
        self.set(to)?;
        let was_there = source.remove(member);
        if was_there && from != to {
            self.put_set(from, source);
            let mut target = self.set(to)?;
            target.insert(member.to_vec());
            self.put_set(to, target);
        }
        Ok(was_there)
    }

    fn combine(&self, operation: SetOperation, keys: &[Vec<u8>]) -> Answer<BTreeSet<Vec<u8>>> {
        let sets = keys.iter().map(|key| self.set(key)).collect::<Answer<Vec<_>>>()?;
        let all: BTreeSet<Vec<u8>> = sets.iter().flatten().cloned().collect();
        let is_in = |member: &Vec<u8>| match operation {
            SetOperation::Union => true,
            SetOperation::Inter => sets.iter().all(|set| set.contains(member)),
            SetOperation::Diff => {
                sets[0].contains(member) && !sets[1..].iter().any(|set| set.contains(member))
            }
        };
        Ok(all.into_iter().filter(is_in).collect())
    }

    fn run_sorted(&mut self, command: &Command) -> String {
        use Command as C;
        match command {
            C::ZAdd(key, members, options) => told(self.z_add(key, members, *options)),
            C::ZIncr(key, by, member, options) => told(self.z_incr(key, *by, member, *options)),
            C::ZRem(key, members) => told(self.sorted(key).map(|mut sorted| {
                let gone = members.iter().filter(|member| sorted.remove(*member).is_some()).count();
                self.put_sorted(key, sorted);
                gone
            })),
            C::ZRange(key, min, max, reverse, limit) => {
                let within = self.in_order(key).map(|order| {
                    let above = |score: f64| if min.1 { score > min.0 } else { score >= min.0 };
                    let below = |score: f64| if max.1 { score < max.0 } else { score <= max.0 };
                    order.into_iter().filter(|(_, s)| above(*s) && below(*s)).collect::<Vec<_>>()
                });
                let count = told(within.as_ref().map(Vec::len).map_err(|code| *code));
                count
                    + &told(within.map(|mut within| {
                        if *reverse {
                            within.reverse();
                        }
                        let count = if limit.count < 0 { usize::MAX } else { limit.count as usize };
                        let offset = usize::try_from(limit.offset).unwrap_or(usize::MAX);
                        within.into_iter().skip(offset).take(count).collect::<Vec<_>>()
                    }))
            }
            C::ZRangeByRank(key, start, stop, reverse) => told(self.in_order(key).map(|mut order| {
                if *reverse {
                    order.reverse();
                }
                part(&order, *start, *stop)
            })),
            C::ZRank(key, member) => {
                let rank = self.in_order(key).map(|order| {
                    let len = order.len();
                    order.iter().position(|(other, _)| other == member).map(|rank| (rank, len - 1 - rank))
                });
                told(rank.map(|rank| rank.map(|(rank, _)| rank)))
                    + &told(rank.map(|rank| rank.map(|(_, rank)| rank)))
            }
            C::ZPop(key, count, is_max) => told(self.in_order(key).map(|mut order| {
                if *is_max {
                    order.reverse();
                }
                order.truncate(*count as usize);
                self.take_out(key, &order);
                order
            })),
            C::ZRemRange(key, start, stop) => told(self.in_order(key).map(|order| {
                let gone = part(&order, *start, *stop);
                self.take_out(key, &gone);
                gone.len()
            })),
            C::ZStore(operation, to, keys, aggregate) => {
                told(self.z_combine(*operation, keys, *aggregate).map(|made| {
                    let count = made.len();
                    self.put(to, Value::Sorted(made), 0);
                    count
                }))
            }
            _ => unreachable!("it is on no sorted set"),
        }
    }

    fn in_order(&self, key: &[u8]) -> Answer<Vec<(Vec<u8>, f64)>> {
        let mut order: Vec<(Vec<u8>, f64)> = self.sorted(key)?.into_iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        Ok(order)
    }

    fn take_out(&mut self, key: &[u8], gone: &[(Vec<u8>, f64)]) {
        let mut sorted = self.sorted(key).unwrap();
        gone.iter().for_each(|(member, _)| assert!(sorted.remove(member).is_some()));
        self.put_sorted(key, sorted);
    }

    fn z_add(&mut self, key: &[u8], members: &[(f64, Vec<u8>)], o: ZAddOptions) -> Answer<(u64, u64)> {
        let mut sorted = self.checked_sorted(key, o)?;
        let (mut added, mut changed) = (0, 0);
        for (score, member) in members {
            match sorted.get(member).copied() {
                None if !o.xx => {
                    sorted.insert(member.clone(), score + 0.0);
                    added += 1;
                }
                Some(old) if !o.nx && (!o.gt || *score > old) && (!o.lt || *score < old) => {
                    sorted.insert(member.clone(), score + 0.0);
                    changed += u64::from(old != *score);
                }
                _ => {}
            }
        }
        self.put_sorted(key, sorted);
        Ok((added, changed))
    }

    fn checked_sorted(&self, key: &[u8], o: ZAddOptions) -> Answer<BTreeMap<Vec<u8>, f64>> {
        if o.nx && (o.xx || o.gt || o.lt) || o.gt && o.lt {
            return Err(Code::InvalidArgument);
        }
        self.sorted(key)
    }

    fn z_incr(&mut self, key: &[u8], by: f64, member: &[u8], o: ZAddOptions) -> Answer<Option<f64>> {
        let sorted = self.checked_sorted(key, o)?;
        let old = sorted.get(member).copied();
        if old.is_none() && o.xx && sorted.is_empty() {
            return Ok(None);
        }
        let sum = old.unwrap_or(0.0) + by;
        if o.nx && old.is_some() {
            return Ok(None);
        }
        if sum.is_nan() {
            return Err(Code::InvalidValue);
        }
        let before = sorted;
        self.z_add(key, &[(sum, member.to_vec())], o)?;
        let is_allowed = match old {
            None => !o.xx,
            Some(old) => !o.nx && (!o.gt || sum > old) && (!o.lt || sum < old),
        };
        assert!(is_allowed || self.sorted(key)? == before);
        Ok(is_allowed.then_some(sum))
    }

    fn z_combine(
        &self,
        operation: SortedOperation,
        keys: &[Vec<u8>],
        aggregate: Aggregate,
    ) -> Answer<BTreeMap<Vec<u8>, f64>> {
        let read = |key: &Vec<u8>| match self.at(key) {
            Some((Value::Set(members), _)) => Ok(members.iter().map(|m| (m.clone(), 1.0)).collect()),
            _ => self.sorted(key),
        };
        let sets = keys.iter().map(read).collect::<Answer<Vec<BTreeMap<Vec<u8>, f64>>>>()?;
        let members: BTreeSet<&Vec<u8>> = sets.iter().flat_map(BTreeMap::keys).collect();
        let mut made = BTreeMap::new();
        for member in members {
            let found: Vec<f64> = sets.iter().filter_map(|set| set.get(member)).copied().collect();
            let is_in = match operation {
                SortedOperation::Union => true,
                SortedOperation::Inter => found.len() == sets.len(),
                SortedOperation::Diff => sets[0].contains_key(member) && found.len() == 1,
            };
            // A set that is named twice takes its own members away.
            let is_in = is_in
                && (operation != SortedOperation::Diff
                    || !sets[1..].iter().any(|set| set.contains_key(member)));
            let join = |a: f64, b: f64| match aggregate {
                Aggregate::Sum if (a + b).is_nan() => 0.0,
                Aggregate::Sum => a + b,
                Aggregate::Min => a.min(b),
                Aggregate::Max => a.max(b),
            };
            if is_in {
                made.insert(member.clone(), found.into_iter().reduce(join).unwrap());
            }
        }
        Ok(made)
    }

    fn run_list(&mut self, command: &Command) -> String {
        use Command as C;
        match command {
            C::Push(key, end, elements) => told(self.list(key).map(|mut list| {
                elements.iter().for_each(|element| put_to(&mut list, *end, element.clone()));
                self.put_list(key, list.clone());
                list.len()
            })),
            C::Pop(key, end, count) => told(self.list(key).map(|mut list| {
                let was_there = !list.is_empty();
                let many = (*count as usize).min(list.len());
                let popped: Vec<Vec<u8>> = (0..many).map(|_| take_from(&mut list, *end)).collect();
                self.put_list(key, list);
                was_there.then_some(popped)
            })),
            C::LRange(key, start, stop) => told(self.list(key).map(|list| part(&list, *start, *stop))),
            C::LIndex(key, index) => {
                told(self.list(key).map(|list| position(&list, *index).map(|at| list[at].clone())))
            }
            C::LSet(key, index, element) => told(self.list(key).and_then(|mut list| {
                if list.is_empty() {
                    return Err(Code::NotFound);
                }
                let at = position(&list, *index).ok_or(Code::InvalidArgument)?;
                list[at] = element.clone();
                self.put_list(key, list);
                Ok(())
            })),
            C::LInsert(key, beside, pivot, element) => told(self.list(key).map(|mut list| {
                if list.is_empty() {
                    return Some(0);
                }
                let at = list.iter().position(|other| other == pivot)?;
                list.insert(at + usize::from(*beside == Beside::After), element.clone());
                self.put_list(key, list.clone());
                Some(list.len())
            })),
            C::LRem(key, count, element) => told(self.list(key).map(|mut list| {
                let before = list.len();
                let most = if *count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                if *count < 0 {
                    list.reverse();
                }
                let mut gone = 0;
                list.retain(|other| {
                    let goes = other == element && gone < most;
                    gone += usize::from(goes);
                    !goes
                });
                if *count < 0 {
                    list.reverse();
                }
                let gone = before - list.len();
                self.put_list(key, list);
                gone
            })),
            C::LTrim(key, start, stop) => told(self.list(key).map(|list| {
                self.put_list(key, part(&list, *start, *stop));
            })),
            C::LMove(from, to, take, put) => told(self.move_element(from, to, *take, *put)),
            _ => unreachable!("it is on no list"),
        }
    }

    fn move_element(&mut self, from: &[u8], to: &[u8], take: End, put: End) -> Answer<Option<Vec<u8>>> {
        let mut source = self.list(from)?;
        if source.is_empty() {
            return Ok(None);
        }
        self.list(to)?;
        let element = take_from(&mut source, take);
        if from == to {
            put_to(&mut source, put, element.clone());
            self.put_list(from, source);
        } else {
            self.put_list(from, source);
            let mut target = self.list(to)?;
            put_to(&mut target, put, element.clone());
            self.put_list(to, target);
        }
        Ok(Some(element))
    }
}

fn put_to(list: &mut Vec<Vec<u8>>, end: End, element: Vec<u8>) {
    match end {
        End::Left => list.insert(0, element),
        End::Right => list.push(element),
    }
}

fn take_from(list: &mut Vec<Vec<u8>>, end: End) -> Vec<u8> {
    match end {
        End::Left => list.remove(0),
        End::Right => list.pop().unwrap(),
    }
}

fn position<T>(list: &[T], index: i64) -> Option<usize> {
    let at = if index < 0 { index + list.len() as i64 } else { index };
    usize::try_from(at).ok().filter(|at| *at < list.len())
}

fn part<T: Clone>(list: &[T], start: i64, stop: i64) -> Vec<T> {
    let len = list.len() as i64;
    let index = |at: i64| if at < 0 { at + len } else { at };
    let in_part = |at: usize| (index(start)..=index(stop)).contains(&(at as i64));
    list.iter().enumerate().filter(|(at, _)| in_part(*at)).map(|(_, one)| one.clone()).collect()
}

/// What the database has, as the model would, with every count, rank and index agreeing.
pub(crate) fn read_all(tx: &mut StructureTransaction, databases: u32, now_ms: u64) -> Model {
    let mut model = Model { now_ms, ..Model::default() };
    for database in 0..databases {
        tx.select(database).unwrap();
        let keys = tx.keys(b"*").unwrap();
        assert_eq!(tx.db_size().unwrap(), keys.len() as u64);
        for key in keys {
            let value = read_one(tx, &key);
            let expires_at = match tx.ttl(&key).unwrap() {
                Ttl::Missing => panic!("{key:?} is listed and not there"),
                Ttl::Lasting => 0,
                Ttl::Ms(ms) => now_ms + ms,
            };
            model.keys.insert((database, key), (value, expires_at));
        }
    }
    tx.select(0).unwrap();
    model
}

fn read_one(tx: &mut StructureTransaction, key: &[u8]) -> Value {
    match tx.type_of(key).unwrap().unwrap() {
        Type::String => {
            let text = tx.get(key).unwrap().unwrap();
            assert_eq!(tx.str_len(key).unwrap(), text.len() as u64);
            Value::Text(text)
        }
        Type::Hash => {
            let fields = tx.h_get_all(key).unwrap();
            assert_eq!(tx.h_len(key).unwrap(), fields.len() as u64);
            Value::Hash(fields.into_iter().collect())
        }
        Type::Set => {
            let members = tx.s_members(key).unwrap();
            assert_eq!(tx.s_card(key).unwrap(), members.len() as u64);
            let mut drawn = tx.s_rand_member(key, i64::MAX).unwrap();
            drawn.sort();
            assert_eq!(drawn, members, "every member has a place");
            Value::Set(members.into_iter().collect())
        }
        Type::SortedSet => {
            let all = SortedRange::Rank(0, -1);
            let order = tuples(tx.z_range(key, all, false, Limit::NONE).unwrap());
            assert_eq!(tx.z_card(key).unwrap(), order.len() as u64);
            for (rank, (member, score)) in order.iter().enumerate() {
                assert_eq!(tx.z_rank(key, member).unwrap(), Some(rank as u64));
                assert_eq!(tx.z_score(key, member).unwrap(), Some(*score));
            }
            Value::Sorted(order.into_iter().collect())
        }
        Type::List => {
            let elements = tx.l_range(key, 0, -1).unwrap();
            assert_eq!(tx.l_len(key).unwrap(), elements.len() as u64);
            Value::List(elements)
        }
    }
}
