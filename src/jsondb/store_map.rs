//! The stores of a schema by name, so made that a changed copy shares all but a small part with the one before it.
//!
//! Every change of the schema makes a schema of its own, and the first write into a namespace is one: with a map that is
//! copied whole, ten thousand of them would cost fifty million copies of a name.
//!
//! Invariant: the parts are in the order of their names, and none is empty.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::schema::StoreDef;

/// A part that grows beyond this is split in two.
const PART_STORES_MAX: usize = 128;

type Part = Vec<Arc<StoreDef>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreMap {
    parts: Vec<Arc<Part>>,
}

impl StoreMap {
    /// How many stores there are.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// The store called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<StoreDef>> {
        let part = self.parts.get(self.part_of(name))?;
        part.get(position(part, name).ok()?)
    }

    /// Puts a store in, and gives the one of the same name that it takes the place of.
    pub(crate) fn insert(&mut self, store: Arc<StoreDef>) -> Option<Arc<StoreDef>> {
        if self.parts.is_empty() {
            self.parts.push(Arc::default());
        }
        let at = self.part_of(&store.name);
        let part = Arc::make_mut(&mut self.parts[at]);
        match position(part, &store.name) {
            Ok(place) => return Some(std::mem::replace(&mut part[place], store)),
            Err(place) => part.insert(place, store),
        }
        if part.len() > PART_STORES_MAX {
            let second = part.split_off(part.len() / 2);
            self.parts.insert(at + 1, Arc::new(second));
        }
        None
    }

    /// Takes the store called `name` out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<StoreDef>> {
        let at = self.part_of(name);
        let part = self.parts.get_mut(at)?;
        let place = position(part, name).ok()?;
        let store = Arc::make_mut(part).remove(place);
        if part.is_empty() {
            self.parts.remove(at);
        }
        Some(store)
    }

    /// The stores in the order of their names.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<StoreDef>> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The stores whose name begins with `prefix`, in order.
    pub(crate) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<StoreDef>> {
        let at = self.part_of(prefix);
        let skipped =
            self.parts.get(at).map_or(0, |part| position(part, prefix).unwrap_or_else(|place| place));
        let from = self.parts.iter().skip(at).flat_map(|part| part.iter()).skip(skipped);
        from.take_while(move |store| store.name.starts_with(prefix))
    }

    /// The part in which a store of this name stands or would have to stand.
    fn part_of(&self, name: &str) -> usize {
        self.parts
            .partition_point(|part| part.first().is_some_and(|first| *first.name <= *name))
            .saturating_sub(1)
    }
}

fn position(part: &Part, name: &str) -> Result<usize, usize> {
    part.binary_search_by(|store| (*store.name).cmp(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::StoreOptions;
    use super::*;

    fn store(name: &str, id: u64) -> Arc<StoreDef> {
        Arc::new(StoreDef::new(id, name, StoreOptions::default(), 1).unwrap())
    }

    fn listed<'a>(stores: impl Iterator<Item = &'a Arc<StoreDef>>) -> Vec<(String, u64)> {
        stores.map(|store| (store.name.clone(), store.id)).collect()
    }

    #[test]
    fn it_does_what_an_ordered_map_does() {
        let (mut map, mut model) = (StoreMap::default(), BTreeMap::new());
        let mut random = 12345_u64;
        for id in 0..4_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = format!("s{}", (random >> 33) % 700);
            if (random >> 20).is_multiple_of(3) {
                assert_eq!(map.remove(&name).map(|store| store.id), model.remove(&name));
            } else {
                assert_eq!(map.insert(store(&name, id)).map(|old| old.id), model.insert(name.clone(), id));
            }
            assert_eq!(map.get(&name).map(|store| store.id), model.get(&name).copied());
            assert_eq!(map.len(), model.len());
        }
        assert_eq!(listed(map.values()), model.clone().into_iter().collect::<Vec<_>>());
        for prefix in ["", "s", "s4", "s69", "s699", "t", "a"] {
            let expected: Vec<_> = model.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
            let expected: Vec<_> = expected.into_iter().map(|(name, id)| (name.clone(), *id)).collect();
            assert_eq!(listed(map.below(prefix)), expected, "{prefix}");
        }
        let names: Vec<_> = map.values().map(|store| store.name.clone()).collect();
        assert!(names.iter().all(|name| map.remove(name).is_some()));
        assert_eq!((map.len(), map.parts.len()), (0, 0));
    }

    #[test]
    fn a_changed_copy_shares_all_parts_but_one() {
        let mut map = StoreMap::default();
        for number in 0..5_000 {
            map.insert(store(&format!("s{number:04}"), number));
        }

        let mut changed = map.clone();
        changed.insert(store("s2500b", 9_999));

        let is_shared = |part: &&Arc<Part>| map.parts.iter().any(|other| Arc::ptr_eq(other, part));
        assert!(changed.parts.len() - changed.parts.iter().filter(is_shared).count() <= 2);
        assert!(map.get("s2500b").is_none() && changed.get("s2500b").is_some());
    }
}
