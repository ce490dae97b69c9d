//! The cache in many orders of the steps of those who read, load, pin and evict.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::tests::{block, check_invariant, has};
use super::*;
use crate::sync::{explore, thread};

const CAPACITY: usize = 40 << 10;

/// As a reader of a table does: looks, and loads what is not there.
fn read(cache: &BlockCache, offset: u64, spots: &Spots) {
    let spot = Some((spots, offset as usize));
    if cache.at_spot(spots, offset as usize).is_none() && cache.get_at(1, offset, spot).is_none() {
        cache.insert_at(1, offset, block(1, offset, 4_000), spot);
    }
}

#[test]
fn the_cache_holds_no_more_than_its_capacity_whatever_is_pinned_meanwhile() {
    explore("the cache holds no more than its capacity, whatever is pinned meanwhile", 3_000, || {
        let (cache, spots) = (Arc::new(BlockCache::new(CAPACITY)), Spots::new(16));
        (0..8).for_each(|offset| read(&cache, offset, &spots));
        let pinners = [9_000, 15_000].map(|bytes| {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                if cache.pin(bytes) {
                    cache.unpin(bytes);
                }
                cache.pin(bytes) as usize * bytes
            })
        });
        let loader = thread::spawn({
            let (cache, spots) = (Arc::clone(&cache), spots.clone());
            move || (6..12).for_each(|offset| read(&cache, offset, &spots))
        });
        (0..3).for_each(|_| check_invariant(&cache));
        let pinned: usize = pinners.map(|pinner| pinner.join().unwrap()).iter().sum();
        loader.join().unwrap();
        check_invariant(&cache);
        assert_eq!(
            cache.shards[0].blocks.read().capacity,
            CAPACITY - pinned,
            "what is pinned is taken off once"
        );
        assert!(pinned <= CAPACITY / PINNED_PART && cache.pins().bytes() == pinned);
        assert!(cache.stats().used_bytes <= CAPACITY as u64);
    });
}

#[test]
fn who_loads_a_block_that_another_loads_too_finds_it_and_one_of_them_stays() {
    explore("who loads a block that another loads too finds it, and one of them stays", 6_000, || {
        let (cache, spots) = (Arc::new(BlockCache::new(CAPACITY)), Spots::new(4));
        let readers = [0, 1].map(|_| {
            let (cache, spots) = (Arc::clone(&cache), spots.clone());
            thread::spawn(move || {
                for offset in [0, 1, 0] {
                    read(&cache, offset, &spots);
                    assert!(has(&cache, 1, offset));
                }
            })
        });
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        check_invariant(&cache);
        assert_eq!((cache.stats().blocks, spots.filled()), (2, 2));
    });
}

#[test]
fn a_spot_gives_a_block_only_while_the_cache_keeps_it() {
    explore("a spot gives a block only while the cache keeps it", 4_000, || {
        let (cache, spots) = (Arc::new(BlockCache::new(CAPACITY)), Spots::new(16));
        let loaders = [0..7, 4..11].map(|offsets| {
            let (cache, spots) = (Arc::clone(&cache), spots.clone());
            thread::spawn(move || offsets.for_each(|offset| read(&cache, offset, &spots)))
        });
        let evicter = thread::spawn({
            let cache = Arc::clone(&cache);
            move || cache.evict_file(1)
        });
        for at in [5, 6] {
            if let Some(block) = cache.at_spot(&spots, at) {
                assert_eq!(block.entry(0).value[8..16], (at as u64).to_le_bytes());
            }
        }
        loaders.into_iter().for_each(|loader| loader.join().unwrap());
        evicter.join().unwrap();
        check_invariant(&cache);
        let keeps =
            |at: usize| cache.shards[0].blocks.read().map.contains_key(&Place { file: 1, offset: at as u64 });
        assert!((0..16).all(|at| cache.at_spot(&spots, at).is_none() || keeps(at)));
        cache.evict_file(1);
        assert_eq!(spots.filled(), 0, "nobody would ever empty them");
    });
}
