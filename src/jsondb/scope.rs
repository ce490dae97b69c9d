//! The stores that a transaction works on, by name.
//!
//! They are few, and almost always one: a sorted list takes one allocation where a tree takes three.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::ends::Gaps;
use super::ledger::CountChange;
use super::rows::RowRange;
use super::schema::StoreDef;

/// A store that a transaction works on, by the rules that its snapshot showed.
#[derive(Debug, Clone)]
pub(crate) struct Involved {
    pub(crate) store: Arc<StoreDef>,
    pub(crate) change: CountChange,
    /// The transaction wrote into the store, or cleared it.
    pub(crate) written: bool,
    /// The transaction has made the store, which its snapshot does not show.
    pub(super) is_new: bool,
    /// The numbers that were generated for the transaction last, from the first to the last.
    pub(super) generated: Option<(u64, u64)>,
    /// Where it has found no document before the one that it took out.
    pub(super) gaps: Gaps<RowRange>,
}

impl Involved {
    /// A store in which nothing has been written yet.
    pub(crate) fn new(store: Arc<StoreDef>) -> Self {
        let (change, gaps) = (CountChange::default(), Gaps::default());
        Self { store, change, written: false, is_new: false, generated: None, gaps }
    }

    /// Notes a number that was generated.
    pub(super) fn note_generated(&mut self, number: u64) {
        let first = match self.generated {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        self.generated = Some((first, number));
    }
}

/// See the module. In the order of the names, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope(Vec<Involved>);

impl Scope {
    pub(crate) fn with_capacity(stores: usize) -> Self {
        Self(Vec::with_capacity(stores))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|involved| involved.store.name.as_str().cmp(name))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Involved> {
        self.place(name).ok().and_then(|at| self.0.get(at))
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Involved> {
        self.place(name).ok().and_then(|at| self.0.get_mut(at))
    }

    /// Adds a store, in the place of one with its name.
    pub(crate) fn insert(&mut self, involved: Involved) {
        match self.place(&involved.store.name) {
            Ok(at) => self.0[at] = involved,
            Err(at) => self.0.insert(at, involved),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.place(name) {
            self.0.remove(at);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[Involved] {
        &self.0
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Involved> {
        self.0.iter_mut()
    }

    pub(crate) fn into_vec(self) -> Vec<Involved> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsondb::StoreOptions;

    fn involved(id: u64, name: &str) -> Involved {
        Involved::new(Arc::new(StoreDef::new(id, name, StoreOptions::default(), 1).unwrap()))
    }

    #[test]
    fn stores_are_found_by_name_in_whatever_order_they_came() {
        let mut scope = Scope::with_capacity(3);
        for (id, name) in [(1, "m"), (2, "z"), (3, "a"), (4, "m")] {
            scope.insert(involved(id, name));
        }
        let ids = |scope: &Scope| scope.as_slice().iter().map(|one| one.store.id).collect::<Vec<_>>();

        assert_eq!(ids(&scope), [3, 4, 2]);
        assert_eq!(scope.get("z").map(|one| one.store.id), Some(2));
        assert!(scope.get("b").is_none());
        scope.remove("m");
        scope.remove("none");
        assert_eq!(ids(&scope), [3, 2]);
    }
}
