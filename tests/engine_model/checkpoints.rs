//! Checkpoints within a history: each is the database as it was then, and has a life of its own.

use std::mem::{replace, take};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use flowdb::config::Config;
use flowdb::engine::Engine;
use flowdb::error::Code;

use crate::features;
use crate::history::{History, Model};

impl History {
    /// Copies the database on the same disk, opens the copy, and checks it against the model as it was then.
    pub fn checkpoint(&mut self) {
        self.checkpoints += 1;
        let dir = PathBuf::from(format!("/checkpoints/{}", self.checkpoints));
        if self.config.in_memory {
            assert_eq!(self.engine.checkpoint(&dir).unwrap_err().code(), Code::Unsupported);
            return;
        }
        let then = Rc::clone(&self.model);
        self.engine.checkpoint(&dir).unwrap();
        if self.random.one_in(3) {
            // What happens to the tables here is nothing to the copy.
            self.write();
            self.engine.compact_all().unwrap();
        }
        self.in_checkpoint(dir, then, |copy| {
            copy.check_whole();
            copy.check_gets();
            copy.verify();
            if copy.random.one_in(2) {
                copy.write();
                copy.engine.compact_all().unwrap();
                copy.check_whole();
                copy.saw(features::CHECKPOINT_WRITTEN);
            }
        });
        self.check_whole();
        self.saw(features::CHECKPOINT);
    }

    /// Goes on in the checkpoint in `dir`, which should hold what `model` says, and comes back.
    fn in_checkpoint(&mut self, dir: PathBuf, model: Rc<Model>, check: impl FnOnce(&mut Self)) {
        let config = Config { data_dir: dir, create_if_missing: false, ..self.config.clone() };
        let engine = Engine::open_on(config.clone(), Arc::new(self.disk.clone())).unwrap();
        let (config, engine) = (replace(&mut self.config, config), replace(&mut self.engine, engine));
        let model = replace(&mut self.model, model);
        let (snapshots, scans) = (take(&mut self.snapshots), take(&mut self.scans));
        check(self);
        let copy = replace(&mut self.engine, engine);
        copy.close().unwrap();
        (self.config, self.model, self.snapshots, self.scans) = (config, model, snapshots, scans);
    }
}
