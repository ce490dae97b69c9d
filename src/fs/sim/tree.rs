//! The names of the simulated disk: as they are now, as they are sure to be after a power loss, and the changes between.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::node::Node;
use super::random::Random;

/// Every path is normalised. Paths order by component, so that what is in a directory follows it.
pub(super) type Names = BTreeMap<PathBuf, Entry>;

#[derive(Clone)]
pub(super) enum Entry {
    Directory,
    File(Arc<Node>),
}

/// A change of a directory that has not been synced.
#[derive(Clone)]
enum Change {
    Link { path: PathBuf, entry: Entry },
    Rename { from: PathBuf, to: PathBuf, node: Arc<Node> },
    Unlink { path: PathBuf },
}

#[derive(Clone)]
pub(super) struct Tree {
    live: Names,
    /// What is left when every pending change is lost. Empty, as `pending` is, when `tracked` is false.
    durable: Names,
    /// In the order in which they were made.
    pending: Vec<Change>,
    tracked: bool,
}

impl Tree {
    pub(super) fn new(tracked: bool) -> Self {
        Self::from_durable(BTreeMap::from([(normalize(Path::new("")), Entry::Directory)]), tracked)
    }

    /// A tree in which nothing is pending.
    pub(super) fn from_durable(names: Names, tracked: bool) -> Self {
        let durable = if tracked { names.clone() } else { Names::new() };
        Self { live: names, durable, pending: Vec::new(), tracked }
    }

    pub(super) fn is_tracked(&self) -> bool {
        self.tracked
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Entry> {
        self.live.get(path)
    }

    pub(super) fn file(&self, path: &Path) -> Result<&Arc<Node>> {
        match self.live.get(path) {
            Some(Entry::File(node)) => Ok(node),
            Some(Entry::Directory) => Err(Error::new(ErrorKind::IsADirectory, "it is a directory")),
            None => Err(self.absence(path)),
        }
    }

    pub(super) fn check_dir(&self, dir: &Path) -> Result<()> {
        match self.live.get(dir) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(Error::new(ErrorKind::NotADirectory, "a file stands there")),
            None => Err(self.absence(dir)),
        }
    }

    /// Why nothing is at `path`.
    fn absence(&self, path: &Path) -> Error {
        let above = path.ancestors().skip(1).find_map(|dir| self.live.get(dir));
        match above {
            Some(Entry::File(_)) => Error::new(ErrorKind::NotADirectory, "a file stands above it"),
            _ => Error::new(ErrorKind::NotFound, "it does not exist"),
        }
    }

    /// All files with their paths, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &Arc<Node>)> {
        self.live.iter().filter_map(|(path, entry)| match entry {
            Entry::File(node) => Some((path, node)),
            Entry::Directory => None,
        })
    }

    pub(super) fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.check_dir(dir)?;
        let below = self.live.range(dir.to_path_buf()..).map(|(path, _)| path);
        let inside = below.take_while(|path| path.starts_with(dir)).filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    pub(super) fn create(&mut self, path: &Path) -> Result<Arc<Node>> {
        self.check_free(path)?;
        let node = Arc::new(Node::default());
        self.change(Change::Link { path: path.to_path_buf(), entry: Entry::File(Arc::clone(&node)) });
        Ok(node)
    }

    /// Checks that a file can be created at `path`.
    fn check_free(&self, path: &Path) -> Result<()> {
        if self.live.contains_key(path) {
            return Err(Error::new(ErrorKind::AlreadyExists, "something stands there"));
        }
        self.check_dir(path.parent().unwrap_or(path))
    }

    /// Creates a directory where there is none.
    pub(super) fn create_dir(&mut self, dir: &Path) -> Result<()> {
        if !self.live.contains_key(dir) {
            self.change(Change::Link { path: dir.to_path_buf(), entry: Entry::Directory });
        }
        self.check_dir(dir)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let node = Arc::clone(self.file(from)?);
        if let Some(Entry::Directory) = self.live.get(to) {
            return Err(Error::new(ErrorKind::IsADirectory, "the new name is a directory's"));
        }
        if from != to {
            self.change(Change::Rename { from: from.to_path_buf(), to: to.to_path_buf(), node });
        }
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> Result<()> {
        let node = Arc::clone(self.file(from)?);
        self.check_free(to)?;
        self.change(Change::Link { path: to.to_path_buf(), entry: Entry::File(node) });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        self.file(path)?;
        self.change(Change::Unlink { path: path.to_path_buf() });
        Ok(())
    }

    /// Makes the pending changes in `dir` durable.
    pub(super) fn sync_dir(&mut self, dir: &Path) -> Result<()> {
        self.check_dir(dir)?;
        for change in self.pending.extract_if(.., |change| change.directory() == Some(dir)) {
            change.apply_to(&mut self.durable);
        }
        Ok(())
    }

    /// Puts a file there as if it had always been there, with the directories above it.
    pub(super) fn place(&mut self, path: &Path, node: Node) {
        for dir in path.ancestors().skip(1) {
            self.place_entry(dir, Entry::Directory);
        }
        self.place_entry(path, Entry::File(Arc::new(node)));
    }

    fn place_entry(&mut self, path: &Path, entry: Entry) {
        if self.tracked {
            self.durable.insert(path.to_path_buf(), entry.clone());
        }
        self.live.insert(path.to_path_buf(), entry);
    }

    fn change(&mut self, change: Change) {
        change.apply_to(&mut self.live);
        if self.tracked {
            self.pending.push(change);
        }
    }

    /// The names after a power loss that takes every pending change.
    pub(super) fn names_without_pending(&self) -> Names {
        reachable(if self.tracked { self.durable.clone() } else { self.live.clone() })
    }

    #[cfg(test)]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The names after a power loss that takes no change.
    pub(super) fn names(&self) -> Names {
        self.live.clone()
    }

    /// The names after a power loss that takes some of the pending changes: half of the time, as a journal would,
    /// all from a point on; otherwise any of them.
    pub(super) fn names_with_some_pending(&self, random: &mut Random) -> Names {
        let journal = random.coin();
        let kept_by_journal = random.below(self.pending.len() as u64 + 1) as usize;
        let mut names = if self.tracked { self.durable.clone() } else { self.live.clone() };
        for (index, change) in self.pending.iter().enumerate() {
            let kept = if journal { index < kept_by_journal } else { random.coin() };
            if kept {
                change.apply_to(&mut names);
            }
        }
        reachable(names)
    }

    /// The same tree over files of its own.
    pub(super) fn deep_copy(&self) -> Self {
        let mut copies = Copies::default();
        Self {
            live: copies.names(&self.live),
            durable: copies.names(&self.durable),
            pending: self.pending.iter().map(|change| copies.change(change)).collect(),
            tracked: self.tracked,
        }
    }
}

impl Change {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } | Self::Rename { to: path, .. } => path.parent(),
        }
    }

    /// Makes the change where it can be made: a rename whose file is not there, because its creation was lost, is lost too.
    fn apply_to(&self, names: &mut Names) {
        match self {
            Self::Link { path, entry } => {
                names.insert(path.clone(), entry.clone());
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, node } => {
                if matches!(names.get(from), Some(Entry::File(there)) if Arc::ptr_eq(there, node)) {
                    names.remove(from);
                    names.insert(to.clone(), Entry::File(Arc::clone(node)));
                }
            }
        }
    }
}

/// Without what is in a directory that is not there.
fn reachable(names: Names) -> Names {
    let mut kept = Names::new();
    for (path, entry) in names {
        let parent_kept = match path.parent() {
            Some(parent) => matches!(kept.get(parent), Some(Entry::Directory)),
            None => true,
        };
        if parent_kept {
            kept.insert(path, entry);
        }
    }
    kept
}

/// Copies each file once, however many names and changes refer to it.
#[derive(Default)]
struct Copies(HashMap<*const Node, Arc<Node>>);

impl Copies {
    fn node(&mut self, node: &Arc<Node>) -> Arc<Node> {
        Arc::clone(self.0.entry(Arc::as_ptr(node)).or_insert_with(|| Arc::new(node.copy())))
    }

    fn entry(&mut self, entry: &Entry) -> Entry {
        match entry {
            Entry::Directory => Entry::Directory,
            Entry::File(node) => Entry::File(self.node(node)),
        }
    }

    fn names(&mut self, names: &Names) -> Names {
        names.iter().map(|(path, entry)| (path.clone(), self.entry(entry))).collect()
    }

    fn change(&mut self, change: &Change) -> Change {
        match change {
            Change::Link { path, entry } => Change::Link { path: path.clone(), entry: self.entry(entry) },
            Change::Unlink { path } => Change::Unlink { path: path.clone() },
            Change::Rename { from, to, node } => {
                Change::Rename { from: from.clone(), to: to.clone(), node: self.node(node) }
            }
        }
    }
}

/// The one spelling of `path`: absolute (a relative path starts at the root), without `.` and `..`.
pub(super) fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    normal
}
