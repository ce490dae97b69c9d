//! Ranks, counts and ranges of large sorted sets against a sorted list.

use std::collections::BTreeMap;

use flowdb::structures::{Limit, Scored, SortedRange, Structures, ZAddOptions};

use crate::support::{Random, assert_no_row_is_lost, open, scores, update};

const KEY: &[u8] = b"points";

/// A member and its score.
type Pair = (Vec<u8>, f64);

/// The same set, as a list in its order.
#[derive(Default)]
struct Sorted {
    list: Vec<Pair>,
    scores: BTreeMap<Vec<u8>, f64>,
}

impl Sorted {
    fn position(&self, member: &[u8], score: f64) -> usize {
        self.list.partition_point(|(other, of_other)| (*of_other, &other[..]) < (score, member))
    }

    fn set(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        let at = self.position(member, score);
        self.list.insert(at, (member.to_vec(), score));
        self.scores.insert(member.to_vec(), score);
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        let at = self.position(member, score);
        self.list.remove(at);
        true
    }
}

fn pairs(found: Vec<Scored>) -> Vec<Pair> {
    found.into_iter().map(|Scored { member, score }| (member, score)).collect()
}

fn name(number: u64) -> Vec<u8> {
    format!("member:{number}").into_bytes()
}

fn check(structures: &Structures, sorted: &Sorted, random: &mut Random) {
    let mut tx = structures.begin(flowdb::jsondb::Mode::ReadOnly).unwrap();
    let count = sorted.list.len() as u64;
    assert_eq!(tx.z_card(KEY).unwrap(), count);
    if count == 0 {
        assert_eq!(tx.exists(&[KEY]).unwrap(), 0);
        return;
    }
    for _ in 0..5 {
        let rank = random.below(count);
        let (member, score) = &sorted.list[rank as usize];
        assert_eq!(tx.z_rank(KEY, member).unwrap(), Some(rank));
        assert_eq!(tx.z_rev_rank(KEY, member).unwrap(), Some(count - 1 - rank));
        assert_eq!(tx.z_score(KEY, member).unwrap(), Some(*score));
        let found = tx.z_get_by_rank(KEY, rank as i64, false).unwrap().unwrap();
        assert_eq!((&found.member, found.score), (member, *score));
    }
    let (start, len) = (random.below(count) as usize, random.below(50) as usize);
    let end = (start + len).min(sorted.list.len() - 1);
    let reverse = random.coin();
    let ranks = SortedRange::Rank(start as i64, end as i64);
    let mut wanted = sorted.list[start..=end].to_vec();
    if reverse {
        wanted = sorted.list.iter().rev().skip(start).take(end - start + 1).cloned().collect();
    }
    assert_eq!(pairs(tx.z_range(KEY, ranks, reverse, Limit::NONE).unwrap()), wanted);
    let (min, max) = (random.around(600) as f64, random.around(600) as f64);
    let within: Vec<Pair> =
        sorted.list.iter().filter(|(_, score)| (min..=max).contains(score)).cloned().collect();
    assert_eq!(tx.z_count(KEY, scores(min, max)).unwrap(), within.len() as u64);
    let limit = Limit { offset: random.below(100) as i64, count: random.below(30) as i64 };
    let mut wanted = within;
    if reverse {
        wanted.reverse();
    }
    let wanted: Vec<Pair> =
        wanted.into_iter().skip(limit.offset as usize).take(limit.count as usize).collect();
    assert_eq!(pairs(tx.z_range(KEY, scores(min, max), reverse, limit).unwrap()), wanted);
}

/// One random command; large ones are rare.
fn step(structures: &Structures, sorted: &mut Sorted, random: &mut Random, names: u64, removes: u64) {
    let many = if random.below(60) == 0 { 1 + random.below(4_000) } else { 1 + random.below(40) };
    let numbers: Vec<u64> = (0..many).map(|_| random.below(names)).collect();
    let members: Vec<Vec<u8>> = numbers.iter().map(|number| name(*number)).collect();
    match random.below(100) {
        draw if draw < removes => {
            let names: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
            let removed = update(structures, |tx| tx.z_rem(KEY, &names));
            assert_eq!(removed, names.iter().filter(|name| sorted.remove(name)).count() as u64);
        }
        99 => {
            let start = random.around(500) as f64;
            let removed = update(structures, |tx| tx.z_rem_range(KEY, scores(start, start + 20.0)));
            let gone: Vec<Pair> = sorted
                .list
                .iter()
                .filter(|(_, score)| (start..=start + 20.0).contains(score))
                .cloned()
                .collect();
            assert_eq!(removed, gone.len() as u64);
            gone.iter().for_each(|(member, _)| assert!(sorted.remove(member)));
        }
        98 => {
            let popped = update(structures, |tx| tx.z_pop_max(KEY, many));
            let wanted: Vec<Pair> = sorted.list.iter().rev().take(many as usize).cloned().collect();
            assert_eq!(pairs(popped), wanted);
            wanted.iter().for_each(|(member, _)| assert!(sorted.remove(member)));
        }
        _ => {
            let scored: Vec<(f64, &[u8])> =
                members.iter().map(|member| (random.around(500) as f64, member.as_slice())).collect();
            let before = sorted.list.len();
            let added = update(structures, |tx| tx.z_add(KEY, &scored, ZAddOptions::default()));
            scored.iter().for_each(|(score, member)| sorted.set(member, *score));
            assert_eq!(added.added, (sorted.list.len() - before) as u64);
        }
    }
}

#[test]
fn ranks_and_ranges_are_those_of_a_sorted_list_after_100_000_random_operations() {
    let mut random =
        Random::from_env("ranks_and_ranges_are_those_of_a_sorted_list_after_100_000_random_operations");
    let structures = open();
    let mut sorted = Sorted::default();
    // Each step changes about 85 members.
    for round in 0..1_200 {
        // It grows, and shrinks to nothing.
        let removes = if round < 800 { 25 } else { 90 };
        step(&structures, &mut sorted, &mut random, 30_000, removes);
        check(&structures, &sorted, &mut random);
    }
    assert_no_row_is_lost(&structures, "at the end");
}

/// Members come one by one at one end, as in a log, and go at the other.
#[test]
fn a_sorted_set_that_moves_on_keeps_its_ranks() {
    let structures = open();
    let mut sorted = Sorted::default();
    let mut random = Random::seeded(3);
    for number in 0..12_000u64 {
        let member = name(number);
        update(&structures, |tx| tx.z_add(KEY, &[(number as f64, &member)], ZAddOptions::default()));
        sorted.set(&member, number as f64);
        if number >= 6_000 {
            assert_eq!(pairs(update(&structures, |tx| tx.z_pop_min(KEY, 1))), sorted.list[..1]);
            let gone = sorted.list[0].0.clone();
            sorted.remove(&gone);
        }
        if number % 500 == 0 {
            check(&structures, &sorted, &mut random);
        }
    }
    check(&structures, &sorted, &mut random);
    while !sorted.list.is_empty() {
        let gone: Vec<Vec<u8>> = sorted.list.iter().take(37).map(|(member, _)| member.clone()).collect();
        for member in &gone {
            assert_eq!(update(&structures, |tx| tx.z_rem(KEY, &[member])), 1);
            sorted.remove(member);
        }
        check(&structures, &sorted, &mut random);
    }
    assert_no_row_is_lost(&structures, "at the end");
}

/// More than two levels: a row above the parts stands for up to 128 of them, and the uppermost level has as many rows.
#[test]
fn a_sorted_set_of_a_million_members_that_come_at_once_has_its_ranks() {
    const COUNT: u64 = 1_000_000;
    let structures = open();
    let members: Vec<Vec<u8>> = (0..COUNT).map(|number| format!("{number:07}").into_bytes()).collect();
    for part in members.chunks(100_000) {
        let scored: Vec<(f64, &[u8])> = part.iter().map(|member| (0.0, member.as_slice())).collect();
        update(&structures, |tx| tx.z_add(KEY, &scored, ZAddOptions::default()));
    }

    let mut tx = structures.begin(flowdb::jsondb::Mode::ReadOnly).unwrap();
    let mut random = Random::seeded(11);
    for _ in 0..200 {
        let rank = random.below(COUNT);
        let member = &members[rank as usize];
        assert_eq!(tx.z_rank(KEY, member).unwrap(), Some(rank));
        let found = tx.z_get_by_rank(KEY, rank as i64, true).unwrap().unwrap();
        assert_eq!(found.member, members[(COUNT - 1 - rank) as usize]);
    }
}
