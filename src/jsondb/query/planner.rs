//! Choosing how a query is answered.
//!
//! Candidates are the accesses that the conditions leave of the documents' own keys and of each index. Between several
//! the one with the fewest rows is taken, which a bounded count of each tells; it costs a few times what the smallest has.
//! For an order there is a second choice: to walk an index that has it until enough is found, or to sort what is left of
//! the most selective one.
//!
//! Which plan is chosen changes no answer, except which documents a limit without an order leaves. So what is looked at
//! here is not recorded as read by the transaction.

use super::access::{Access, LeftOut, Piece, Target, accesses, targets};
use super::walk::{Counts, Walk};
use super::{Order, Query};
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::rows::{RowRange, StoreState, state_key};
use crate::jsondb::schema::{KeyPath, StoreDef};
use crate::jsondb::view::Sight;

/// Candidates are counted up to so many rows, then to four times as many, and so on, until one has fewer …
const RACE_FIRST: usize = 64;
/// … or this is reached.
const RACE_MAX: usize = 4_096;

/// Two key sets are intersected where the smaller has more rows than this …
const INTERSECTED_MIN: usize = 32;
/// … and the other at most so many times as many.
const INTERSECTED_RATIO: usize = 8;

/// What the most selective access gives is always sorted when it has fewer rows than this …
const SORTED_MIN: usize = 64;
/// … and never when it has more than this: then one that has the order is walked.
const SORTED_MAX: usize = 100_000;

/// Where so many documents are wanted at most, the first rows of an access are tried for whether enough of them pass …
const TRIED_MAX: usize = 512;
/// … which are at least so many, unless all pass.
const TRIED_MIN: usize = 32;

/// How the documents are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanKind {
    /// The conditions contradict each other: nothing is read.
    Nothing,
    /// Every document is read.
    Scan,
    /// Documents are read by their primary keys.
    Key,
    /// The rows of an index are walked.
    Index,
    /// The keys that two indexes give are intersected.
    Intersection,
}

impl PlanKind {
    /// The kind as text: `nothing`, `scan`, `key`, `index` or `intersection`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Scan => "scan",
            Self::Key => "key",
            Self::Index => "index",
            Self::Intersection => "intersection",
        }
    }
}

/// How a query is answered.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: PlanKind,
    /// What is walked: one, two to be intersected, or none.
    pub(super) accesses: Vec<Access>,
    pub(super) direction: Direction,
    /// What is found has to be sorted.
    pub(super) sorts: bool,
}

impl Plan {
    fn of(access: Access, direction: Direction, sorts: bool) -> Self {
        let kind = match &access.target.index {
            Some(_) => PlanKind::Index,
            None if access.covered.is_empty() => PlanKind::Scan,
            None => PlanKind::Key,
        };
        Self { kind, accesses: vec![access], direction, sorts }
    }

    fn sorting(access: Access, sorts: bool) -> Self {
        Self::of(access, Direction::Forward, sorts)
    }
}

/// An access that has the order of a query.
struct InOrder {
    access: Access,
    direction: Direction,
}

struct Planner<'a, 's> {
    sight: &'a mut Sight<'s>,
    store: &'a StoreDef,
    query: &'a Query,
    /// What the order comes down to; `None` where none was asked for.
    order: Option<Vec<(String, Order)>>,
    counts: &'a mut Counts,
}

/// Chooses a plan.
pub(super) fn plan(
    sight: &mut Sight<'_>,
    store: &StoreDef,
    query: &Query,
    counts: &mut Counts,
) -> Result<Plan> {
    if query.tests.iter().any(super::condition::PathTest::is_impossible) {
        let (accesses, direction) = (Vec::new(), Direction::Forward);
        return Ok(Plan { kind: PlanKind::Nothing, accesses, direction, sorts: false });
    }
    let order = effective_order(query, store);
    Planner { sight, store, query, order, counts }.plan()
}

/// The order without what changes nothing: paths at which all that is found has one value, what stands behind the primary
/// key, and the primary key at the end, by which ties are ordered anyway.
fn effective_order(query: &Query, store: &StoreDef) -> Option<Vec<(String, Order)>> {
    if query.order.is_empty() {
        return None;
    }
    let is_constant = |path: &str| {
        let test = query.tests.iter().find(|test| test.path == path);
        test.and_then(|test| test.spans.as_ref()).is_some_and(super::span::Spans::is_one_point)
    };
    let mut order: Vec<(String, Order)> = Vec::new();
    for (path, direction) in &query.order {
        if is_constant(path) || order.iter().any(|(before, _)| before == path) {
            continue;
        }
        let is_primary = matches!(&store.options.key_path, Some(KeyPath::One(key)) if key == path);
        if !is_primary || *direction == Order::Descending {
            order.push((path.clone(), *direction));
        }
        if is_primary {
            break;
        }
    }
    Some(order)
}

impl Planner<'_, '_> {
    fn plan(&mut self) -> Result<Plan> {
        let all: Vec<Target> = targets(self.store).collect();
        let tests = &self.query.tests;
        let mut found: Vec<Access> =
            all.iter().flat_map(|target| accesses(target, tests, self.store)).collect();
        let Some(order) = self.order.clone() else {
            return Ok(match self.most_selective(&mut found)? {
                Some(plan) => plan,
                None => Plan::sorting(Access::scan(self.store), false),
            });
        };
        let mut in_order = None;
        let whole = all.iter().filter_map(|target| match &target.index {
            Some(_) => Access::whole(target, self.store),
            None => Some(Access::scan(self.store)),
        });
        for access in found.iter().cloned().chain(whole) {
            if let Some(direction) = access.direction_of(&order)
                && self.keeps_order(&access, &order)?
            {
                in_order = Some(InOrder { access, direction });
                break;
            }
        }
        // Where there is nothing to sort instead, nothing has to be tried to choose it.
        if let Some(InOrder { access, direction }) = &in_order
            && (self.is_best(access)
                || found.iter().all(|other| is_same(other, access))
                || self.finds_enough(access, *direction)?)
        {
            return Ok(Plan::of(access.clone(), *direction, false));
        }
        let selective = self.most_selective(&mut found)?;
        match (selective, in_order) {
            (None, None) => Ok(Plan::sorting(Access::scan(self.store), true)),
            (None, Some(InOrder { access, direction })) => Ok(Plan::of(access, direction, false)),
            (Some(plan), None) => Ok(Plan { sorts: true, ..plan }),
            (Some(plan), Some(in_order)) => self.sort_or_walk(plan, in_order),
        }
    }

    /// Whether the documents that an access in the right order leaves out may come behind all others: those without a key
    /// at the one path of the order do. Where the order has several, it has to leave out none.
    fn keeps_order(&mut self, access: &Access, order: &[(String, Order)]) -> Result<bool> {
        if let Some(too_long) = &access.too_long
            && !self.is_empty(&too_long.clone())?
        {
            return Ok(false);
        }
        match &access.left_out {
            LeftOut::Nothing => Ok(true),
            LeftOut::Listed(_) if order.len() == 1 => Ok(true),
            LeftOut::Listed(range) => self.is_empty(&range.clone()),
        }
    }

    /// Whether a range has no rows. The answer depends on it, so it counts as read.
    fn is_empty(&mut self, range: &RowRange) -> Result<bool> {
        let Sight { base, overlay, reads } = &mut *self.sight;
        let is_empty = !base.rows(overlay, range, Direction::Forward)?.advance()?;
        base.walked(overlay, reads, range.clone());
        Ok(is_empty)
    }

    /// How many documents are wanted; `None` where all are.
    fn wanted(&self) -> Option<usize> {
        let limit = self.query.limit?;
        Some(usize::try_from(limit.saturating_add(self.query.offset)).unwrap_or(usize::MAX))
    }

    /// The access with the fewest rows, or two whose keys are to be intersected. Takes them out of `found`.
    fn most_selective(&mut self, found: &mut Vec<Access>) -> Result<Option<Plan>> {
        let is_best = |access: &Access| is_single_rows(access) || self.is_best(access);
        if let Some(at) = found.iter().position(is_best) {
            return Ok(Some(Plan::sorting(found.swap_remove(at), false)));
        }
        if found.len() <= 1 {
            return Ok(found.pop().map(|access| Plan::sorting(access, false)));
        }
        if self.order.is_none()
            && let Some(access) = found.iter().max_by_key(|access| access.covered.len())
            && self.finds_enough(access, Direction::Forward)?
        {
            return Ok(Some(Plan::sorting(access.clone(), false)));
        }
        let (best, rows) = self.race(found)?;
        let access = found.swap_remove(best);
        let Some(rows) = rows else { return Ok(Some(Plan::sorting(access, false))) };
        let other = self.worth_intersecting(&access, rows, found)?;
        Ok(Some(match other {
            None => Plan::sorting(access, false),
            Some(other) => {
                let accesses = vec![access, other];
                Plan { kind: PlanKind::Intersection, accesses, direction: Direction::Forward, sorts: false }
            }
        }))
    }

    /// Which access has the fewest rows, and how many, where they were counted to the end.
    fn race(&mut self, found: &[Access]) -> Result<(usize, Option<usize>)> {
        let mut rows_max = RACE_FIRST;
        loop {
            let mut best: Option<(usize, usize)> = None;
            for (at, access) in found.iter().enumerate() {
                let rows = self.count(access, rows_max)?;
                let is_better = match best {
                    None => true,
                    Some((other, fewest)) => {
                        (rows, found[other].covered.len()) < (fewest, access.covered.len())
                    }
                };
                if is_better {
                    best = Some((at, rows));
                }
            }
            match best {
                Some((at, rows)) if rows < rows_max => return Ok((at, Some(rows))),
                Some((at, _)) if rows_max >= RACE_MAX => return Ok((at, None)),
                _ => rows_max *= 4,
            }
        }
    }

    /// Another access whose keys are worth reading so that fewer documents are.
    fn worth_intersecting(&mut self, best: &Access, rows: usize, found: &[Access]) -> Result<Option<Access>> {
        let is_worth = rows > INTERSECTED_MIN && self.wanted().is_none_or(|wanted| wanted >= rows);
        if !is_worth || leaves_out(best) {
            return Ok(None);
        }
        let rows_max = rows * INTERSECTED_RATIO;
        for other in found {
            let says_more =
                other.target.is_multi_entry || other.covered.iter().any(|path| !best.covered.contains(path));
            let is_index = other.target.index.is_some() && best.target.index.is_some();
            if is_index && says_more && !leaves_out(other) && self.count(other, rows_max)? < rows_max {
                return Ok(Some(other.clone()));
            }
        }
        Ok(None)
    }

    /// Counts the rows of an access and the documents that it leaves out, up to `rows_max`.
    fn count(&mut self, access: &Access, rows_max: usize) -> Result<usize> {
        let Sight { base, overlay, .. } = &*self.sight;
        let mut points = 0;
        let mut ranges: Vec<&RowRange> = Vec::new();
        for piece in &access.pieces {
            match piece {
                Piece::Row(_) => points += 1,
                Piece::Range(range, _) => ranges.push(range),
            }
        }
        if let LeftOut::Listed(range) = &access.left_out {
            ranges.push(range);
        }
        ranges.extend(&access.too_long);
        let mut count = points;
        for range in ranges {
            if count >= rows_max {
                break;
            }
            let mut rows = base.rows(overlay, range, Direction::Forward)?;
            while count < rows_max && rows.advance()? {
                count += 1;
                self.counts.sampled += 1;
            }
        }
        Ok(count.min(rows_max))
    }

    /// Whether to sort what the most selective access gives, or to walk the one that has the order.
    fn sort_or_walk(&mut self, selective: Plan, in_order: InOrder) -> Result<Plan> {
        let [first, ..] = &selective.accesses[..] else { return Ok(selective) };
        if is_same(first, &in_order.access) {
            return Ok(Plan::of(in_order.access, in_order.direction, false));
        }
        let first = first.clone();
        let sorted_max = self.sorted_max()?;
        if self.count(&first, sorted_max)? < sorted_max {
            return Ok(Plan { sorts: true, ..selective });
        }
        Ok(Plan::of(in_order.access, in_order.direction, false))
    }

    /// Whether every row of an access is wanted, and nothing else is, so that no other can have fewer.
    fn is_best(&self, access: &Access) -> bool {
        access.is_exact(&self.query.tests) && !leaves_out(access)
    }

    /// Whether what is wanted is found among the first rows of an access.
    fn finds_enough(&mut self, access: &Access, direction: Direction) -> Result<bool> {
        let Some(wanted) = self.wanted().filter(|wanted| *wanted <= TRIED_MAX) else { return Ok(false) };
        let is_exact = access.is_exact(&self.query.tests);
        let tried = if is_exact { wanted } else { (wanted * 2).max(TRIED_MIN) };
        let mut counts = Counts::default();
        let entries = Walk::new(access, direction).peek_batch(self.sight, tried, &mut counts)?;
        let mut passed = 0;
        for entry in entries {
            if !is_exact {
                counts.documents += u64::from(entry.stored.is_none());
            }
            if is_exact || self.query.peek(self.sight, self.store, entry)? {
                passed += 1;
            }
            if passed >= wanted {
                break;
            }
        }
        self.counts.sampled += counts.index_rows + counts.documents;
        Ok(passed >= wanted)
    }

    /// Up to how many rows sorting is likely to cost less than walking: a walk passes about
    /// `wanted * documents / rows` documents before it has found what is wanted.
    fn sorted_max(&mut self) -> Result<usize> {
        let Some(wanted) = self.wanted() else { return Ok(SORTED_MAX) };
        let row = state_key(self.store.id);
        let base = self.sight.base;
        let Some(value) = base.database.engine.get(&row, Some(&base.snapshot))? else {
            return Ok(SORTED_MAX);
        };
        let documents = StoreState::decode(&value.bytes, &row)?.count;
        let even = (wanted as f64 * documents as f64).sqrt() as usize;
        Ok(even.clamp(SORTED_MIN, SORTED_MAX))
    }
}

/// Whether two accesses walk the same rows.
fn is_same(a: &Access, b: &Access) -> bool {
    a.target == b.target && a.pieces == b.pieces
}

/// Whether an access is one row, or a few, that need no counting.
fn is_single_rows(access: &Access) -> bool {
    access.is_points() && access.pieces.len() <= RACE_FIRST && !leaves_out(access)
}

/// Whether there may be documents to look for elsewhere.
fn leaves_out(access: &Access) -> bool {
    access.left_out != LeftOut::Nothing || access.too_long.is_some()
}
