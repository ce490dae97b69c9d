//! The bound on open files in many orders of the steps of those who read.
#![forbid(unsafe_code)]

use super::*;
use crate::fs::SimFs;
use crate::sync::{explore, thread};

#[test]
fn every_read_gets_its_turn_and_no_more_files_are_open_than_may_be() {
    explore("every read gets its turn and no more files are open than may be", 6_000, || {
        const MAX: usize = 2;
        let disk = SimFs::new();
        let path = |name: u8| Path::new("/").join(name.to_string());
        (0..3).for_each(|name| disk.write_file(path(name), &[name; 8]));
        let budget = Arc::new(FileBudget::new(Arc::new(disk), MAX));
        let readers = [0, 1, 2].map(|name| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                for name in [name, (name + 1) % 3] {
                    let file = budget.open(&path(name)).unwrap();
                    let mut bytes = [9; 8];
                    file.read_exact_at(0, &mut bytes).unwrap();
                    assert_eq!(bytes, [name; 8]);
                    assert!(budget.open_files() <= MAX);
                }
            })
        });
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(budget.open_files(), 0, "a place was not given back");
    });
}
