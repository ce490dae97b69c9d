//! Holds the code to its layers, and every source file to the few rules that no compiler checks.
//!
//! The arrows are those of docs/architecture.md. They point down only, so that a part can be read, tested and
//! replaced without knowing what stands on it. The checkers are functions from text to complaints and are
//! themselves tested on bad samples below: a rule that can't fail guards nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the crate, lowest first, with the modules whose paths it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("error", &[]),
    ("coding", &["error"]),
    ("clock", &["error"]),
    ("key", &["error", "coding"]),
    ("times", &[]),
    ("effort", &["sync", "error"]),
    ("prefetch", &[]),
    ("chunk", &[]),
    ("shared_bytes", &["chunk"]),
    ("config", &["error", "clock"]),
    ("fs", &["sync", "error", "coding", "clock", "config"]),
    ("frame", &["error", "coding", "key", "fs"]),
    ("range_tombstone", &["error", "coding", "key"]),
    ("iter", &["error", "coding", "clock", "key", "effort", "range_tombstone"]),
    ("wal", &["error", "coding", "clock", "key", "config", "fs"]),
    (
        "memtable",
        &[
            "sync",
            "error",
            "coding",
            "clock",
            "key",
            "prefetch",
            "chunk",
            "config",
            "range_tombstone",
            "iter",
        ],
    ),
    (
        "sstable",
        &[
            "sync",
            "error",
            "coding",
            "clock",
            "key",
            "times",
            "prefetch",
            "shared_bytes",
            "config",
            "fs",
            "frame",
            "range_tombstone",
            "iter",
        ],
    ),
    ("value_file", &["error", "coding", "key", "config", "fs", "frame"]),
    (
        "version",
        &[
            "sync",
            "error",
            "coding",
            "clock",
            "key",
            "times",
            "config",
            "fs",
            "range_tombstone",
            "iter",
            "wal",
            "sstable",
            "value_file",
        ],
    ),
    (
        "compaction",
        &[
            "error",
            "coding",
            "clock",
            "key",
            "config",
            "fs",
            "range_tombstone",
            "iter",
            "sstable",
            "value_file",
            "version",
        ],
    ),
    (
        "engine",
        &[
            "sync",
            "error",
            "coding",
            "clock",
            "key",
            "times",
            "effort",
            "config",
            "fs",
            "range_tombstone",
            "iter",
            "wal",
            "memtable",
            "sstable",
            "value_file",
            "version",
            "compaction",
        ],
    ),
    ("numbering", &["sync", "error", "coding", "engine"]),
    ("keyspace", &["sync", "error", "coding", "effort", "config", "fs", "engine", "numbering"]),
    ("series", &["sync", "error", "coding", "times", "effort", "config", "engine", "numbering"]),
    (
        "jsondb",
        &[
            "sync", "error", "coding", "clock", "key", "effort", "config", "fs", "engine", "keyspace",
            "series",
        ],
    ),
    ("structures", &["sync", "error", "coding", "effort", "config", "fs", "engine", "jsondb"]),
    ("binding", &["sync", "error", "effort", "config", "fs", "engine", "jsondb", "series", "keyspace"]),
    (
        "fuzzing",
        &[
            "fs",
            "frame",
            "wal",
            "sstable",
            "value_file",
            "version",
            "engine",
            "jsondb",
            "series",
            "keyspace",
            "binding",
        ],
    ),
];

/// The files that may hold `unsafe`, each with the reason why it can't do without.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("binding/raw.rs", "N-API itself is a C interface, and napi-rs around a read costs more than the read"),
    ("binding/raw_call.rs", "as binding/raw.rs: a read in the call is a function of N-API itself"),
    ("memtable/arena.rs", "records of different kinds share chunks of raw memory and are read without locks"),
    ("chunk.rs", "memory that comes from the system, aligned to large pages, and goes back to it"),
    ("prefetch.rs", "the instruction that fetches memory takes a pointer"),
    ("shared_bytes.rs", "blocks are counted bytes in memory of their own, which the allocator has none of"),
];

/// The files that take locks, atomics or threads from elsewhere than `sync`, each with the reason. Those in tests aside.
const UNMODELLED_FILES: &[(&str, &str)] = &[
    ("chunk.rs", "one list for the whole process, and nothing is done under its lock"),
    ("clock.rs", "one number that only rises"),
    ("engine/stats.rs", "numbers that nothing depends on"),
    ("fs/disk/mod.rs", "the model has no device"),
    ("fs/sim/gate.rs", "the disk of the model: an operation is one step"),
    ("fs/sim/node.rs", "as fs/sim/gate.rs"),
    ("fs/surroundings.rs", "numbers that nothing depends on"),
    ("jsondb/registry.rs", "one list for the whole process"),
    ("shared_bytes.rs", "a count as in `Arc`, which is not modelled either"),
    (
        "shared_bytes/large_pages.rs",
        "one list for the whole process, and nothing but its own is done under its lock",
    ),
];

/// Where locks, atomics and threads come from otherwise.
const UNMODELLED: &[&str] =
    &["parking_lot::", "std::sync::atomic", "std::thread", "crossbeam_channel::", "arc_swap::"];

/// Past this many lines a file holds more than one idea, its tests included.
const LINES_MAX: usize = 900;

/// The JavaScript files that a user's class lives in. None may know another.
const FACADES: &[&str] =
    &["flowdb.js", "flash-store.js", "flash-store-sync.js", "level.js", "keyv.js", "unstorage.js"];

/// The one JavaScript file that may load the addon.
const ADDON_IMPORTER: &str = "native.js";

#[test]
fn modules_name_only_modules_below_them() {
    let mut complaints = Vec::new();
    for (path, text) in rust_files() {
        complaints.extend(upward_paths(&path, &text));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_module_has_its_place_and_no_arrow_points_up() {
    let ranks: BTreeMap<_, _> =
        ARROWS.iter().enumerate().map(|(rank, (module, _))| (*module, rank)).collect();
    for (module, below) in ARROWS {
        for other in *below {
            assert!(ranks[other] < ranks[module], "the arrow from {module} to {other} points up");
        }
    }
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for module in declared_modules(&lib) {
        assert!(ranks.contains_key(module.as_str()), "{module} has no place among the layers");
    }
}

#[test]
fn every_file_says_what_it_is_forbids_unsafe_code_and_stays_small() {
    let files = rust_files();
    let mut complaints = Vec::new();
    for (path, text) in &files {
        complaints.extend(shape_of(path, text, &files));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What does not come from there is not in the model, and no schedule of it is looked at.
#[test]
fn locks_atomics_and_threads_come_from_sync() {
    let mut unmodelled: Vec<String> = Vec::new();
    for (path, text) in rust_files() {
        if !path.starts_with("sync/") && !is_test(&path) && is_unmodelled(&text) {
            unmodelled.push(path);
        }
    }
    let excepted: Vec<&str> = UNMODELLED_FILES.iter().map(|(path, _)| *path).collect();
    assert_eq!(unmodelled, excepted, "see UNMODELLED_FILES");
}

#[test]
fn every_exception_for_unsafe_code_is_used() {
    let files = rust_files();
    for (path, reason) in UNSAFE_FILES {
        let text = files.get(*path).unwrap_or_else(|| panic!("{path} is excepted and does not exist"));
        assert!(!reason.is_empty(), "{path} needs a reason");
        assert!(is_unsafe(text), "{path} needs no exception any more");
    }
}

#[test]
fn docs_unsafe_md_lists_every_unsafe_block_of_every_file() {
    let page = fs::read_to_string(root().join("docs/unsafe.md")).expect("the page is there");
    let mut files = BTreeMap::new();
    for folder in ["src", "tests", "benches", "flowdb-derive/src"] {
        collect(&root().join(folder), &format!("{folder}/"), ".rs", &mut files);
    }
    // It names the forms as text.
    files.remove("tests/layering.rs");
    let complaints = unlisted_unsafe(&page, &files);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn facades_do_not_know_each_other_and_one_file_loads_the_addon() {
    let mut complaints = Vec::new();
    for (name, text) in javascript_files() {
        complaints.extend(wrong_requires(&name, &text));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Whether a file is there for tests only.
fn is_test(path: &str) -> bool {
    let parts = path.trim_end_matches(".rs").split('/');
    let is_of_tests = |part: &str| part.contains("tests") || part == "contract" || part == "schedules";
    parts.into_iter().any(is_of_tests)
}

/// Whether the code before the tests of a file names locks, atomics or threads that are not those of `sync`.
fn is_unmodelled(text: &str) -> bool {
    let code = code_of(text);
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    UNMODELLED.iter().any(|path| code.contains(path))
}

/// The complaints about the modules that the file at `path` (from src/, with slashes) names.
fn upward_paths(path: &str, text: &str) -> Vec<String> {
    let module = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
    let Some((_, below)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return if path == "lib.rs" {
            vec![]
        } else {
            vec![format!("src/{path}: {module} has no place among the layers")]
        };
    };
    let own_submodules = path.ends_with("mod.rs") && path.matches('/').count() == 1;
    let depth = path.matches('/').count() + usize::from(!path.ends_with("mod.rs"));
    let code = code_of(text);
    let mut named = named_after(&code, "crate::");
    // `super` from a module just below the root is the root, and so is a longer chain from further down. An inline
    // `mod` adds one more, so that the same chain may mean the file itself: then its own submodules are meant.
    let to_root = "super::".repeat(depth);
    let inner = declared_modules(text);
    named.extend(
        named_after(&code, &to_root).into_iter().filter(|name| !(own_submodules && inner.contains(name))),
    );
    named.sort();
    named.dedup();
    let is_module = |name: &String| ARROWS.iter().any(|(module, _)| module == name);
    named
        .into_iter()
        .filter(is_module)
        .filter(|name| name != module && !below.contains(&name.as_str()))
        .map(|name| format!("src/{path}: {module} may not name {name}"))
        .collect()
}

/// The first names after each `prefix` in `code`, those of a `{group}` included.
fn named_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            names.extend(heads_of_group(group));
        } else {
            names.push(leading_name(rest));
        }
    }
    names
}

/// The first name of each member of a `{group}`, given the text after its opening brace.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                heads.push(leading_name(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => continue,
        }
        if character == '}' && start == at + 1 {
            break;
        }
    }
    heads
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `text` without comments and the contents of strings, which name modules without depending on them.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut previous = ' ';
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            if !in_string && character == '/' && characters.peek() == Some(&'/') {
                break;
            }
            let quote = character == '"'
                && previous != '\\'
                && !(previous == '\'' && characters.peek() == Some(&'\''));
            if quote {
                in_string = !in_string;
            } else if !in_string {
                code.push(character);
            }
            previous = if character == '\\' && previous == '\\' { ' ' } else { character };
        }
        code.push('\n');
    }
    code
}

/// The modules that a file declares in files of their own.
fn declared_modules(text: &str) -> Vec<String> {
    code_of(text)
        .lines()
        .filter_map(|line| {
            let at = line.find("mod ")?;
            let starts_a_word = at == 0 || line.as_bytes()[at - 1] == b' ';
            let name = line[at + 4..].strip_suffix(';')?;
            starts_a_word.then(|| name.trim().to_owned())
        })
        .collect()
}

/// The complaints about the opening, the lints and the length of one file.
fn shape_of(path: &str, text: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("src/{path}: does not open with a `//!` sentence that says what it is"));
    }
    let excepted = UNSAFE_FILES.iter().any(|(file, _)| *file == path);
    let cannot_forbid = is_expanded_by_napi(text) || is_above_an_exception(path);
    let allowed = excepted || (cannot_forbid && !is_unsafe(text));
    if path != "lib.rs" && !allowed && !forbids_unsafe(path, files) {
        complaints.push(format!("src/{path}: neither it nor a module above it has #![forbid(unsafe_code)]"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complaints.push(format!("src/{path}: {lines} lines are more than one idea ({LINES_MAX} at most)"));
    }
    complaints
}

/// Whether the file or a module above it forbids unsafe code: the lint holds for everything below.
fn forbids_unsafe(path: &str, files: &BTreeMap<String, String>) -> bool {
    let forbids =
        |file: &str| files.get(file).is_some_and(|text| code_of(text).contains("#![forbid(unsafe_code)]"));
    let mut module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    loop {
        if forbids(&format!("{module}.rs")) || forbids(&format!("{module}/mod.rs")) {
            return true;
        }
        match module.rsplit_once('/') {
            Some((parent, _)) => module = parent,
            None => return false,
        }
    }
}

/// What `#[napi]` expands to is unsafe, so a file with it can't forbid that; what it says itself must not be.
fn is_expanded_by_napi(text: &str) -> bool {
    code_of(text).contains("#[napi")
}

/// Whether there is unsafe code in a file.
fn is_unsafe(text: &str) -> bool {
    count_unsafe(text) > 0
}

/// How many blocks, implementations and functions of a file are unsafe.
fn count_unsafe(text: &str) -> usize {
    let code = code_of(text);
    ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"]
        .iter()
        .map(|form| code.matches(form).count())
        .sum()
}

/// The complaints about a page of unsafe code: files that it leaves out, or counts wrongly, or that have none.
fn unlisted_unsafe(page: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (file, rows) = section.split_once('\n').unwrap_or((section, ""));
        let counts = rows
            .lines()
            .filter_map(|row| row.strip_prefix("| `")?.split('|').nth(1)?.trim().parse::<usize>().ok());
        listed.insert(file, counts.sum());
    }
    let found =
        files.iter().map(|(file, text)| (file.as_str(), count_unsafe(text))).filter(|(_, count)| *count > 0);
    let mut complaints = Vec::new();
    for (file, count) in found {
        match listed.remove(file) {
            Some(listed) if listed == count => {}
            Some(listed) => complaints.push(format!("docs/unsafe.md: {listed} in {file}, which has {count}")),
            None => complaints.push(format!("docs/unsafe.md: lacks {file}, which has {count}")),
        }
    }
    complaints.extend(listed.keys().map(|file| format!("docs/unsafe.md: {file} has none")));
    complaints
}

/// A module that forbids unsafe code forbids it to its submodules, so the parent of an exception can't.
fn is_above_an_exception(path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches(".rs").trim_end_matches("/mod"));
    UNSAFE_FILES.iter().any(|(file, _)| file.starts_with(&folder))
}

/// The complaints about what the file `name` of lib/ requires.
fn wrong_requires(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for target in required_by(text) {
        let file = target.rsplit('/').next().unwrap_or(&target).trim_end_matches(".js");
        let inside = within_lib(name, &target);
        let in_lib = inside.is_some();
        let is_facade = |name: &str| FACADES.contains(&name);
        if is_facade(name) && inside.is_some_and(|path| is_facade(&path)) {
            complaints.push(format!("lib/{name}: a facade requires another one, {target}"));
        }
        let addon = target.ends_with(".node") || (!in_lib && file == "native");
        if addon && name != ADDON_IMPORTER {
            complaints.push(format!("lib/{name}: only lib/{ADDON_IMPORTER} may load the addon ({target})"));
        }
        if target.starts_with("../") && !in_lib && !addon && !target.ends_with("package.json") {
            complaints.push(format!("lib/{name}: reaches out of lib/ ({target})"));
        }
    }
    complaints
}

/// Which file of lib/ the file `name` of it means by `target`; `None` for what is not in lib/.
fn within_lib(name: &str, target: &str) -> Option<String> {
    let mut path: Vec<&str> = name.split('/').collect();
    path.pop();
    for (place, part) in target.split('/').enumerate() {
        match part {
            "." => {}
            ".." => _ = path.pop()?,
            // A package.
            _ if place == 0 => return None,
            _ => path.push(part),
        }
    }
    Some(format!("{}.js", path.join("/").trim_end_matches(".js")))
}

/// What a JavaScript file requires or imports by a literal name. Types in comments may come from anywhere.
fn required_by(text: &str) -> Vec<String> {
    let text = &without_block_comments(text);
    ["require('", "require(\"", "import('", "from '", "from \""]
        .iter()
        .flat_map(|opening| text.match_indices(opening).map(|(at, _)| &text[at + opening.len()..]))
        .filter_map(|rest| rest.split(['\'', '"']).next().map(str::to_owned))
        .collect()
}

fn without_block_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").map_or("", |(_, rest)| rest));
    }
    code
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of src/ by their path from there, with slashes on every platform.
fn rust_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    collect(&root().join("src"), "", ".rs", &mut files);
    assert!(files.contains_key("lib.rs"), "the sources were not found");
    files
}

fn javascript_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    collect(&root().join("lib"), "", ".js", &mut files);
    files
}

fn collect(folder: &Path, prefix: &str, extension: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the sources are where cargo found them") {
        let entry = entry.expect("a listed file is there");
        let path = format!("{prefix}{}", entry.file_name().to_str().expect("our file names are UTF-8"));
        if entry.file_type().expect("a listed file is there").is_dir() {
            collect(&entry.path(), &format!("{path}/"), extension, files);
        } else if path.ends_with(extension) {
            files.insert(path, fs::read_to_string(entry.path()).expect("a source is UTF-8 text"));
        }
    }
}

/// The checkers themselves, on samples that break one rule each.
mod samples {
    use super::*;

    fn one(path: &str, text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(path.to_owned(), text.to_owned())])
    }

    #[test]
    fn a_path_to_a_module_above_is_found_in_every_form() {
        for text in [
            "use crate::engine::Engine;",
            "use crate::{error::{Code, Error}, engine::Engine};",
            "use crate::{\n    error::Error,\n    engine,\n};",
            "fn open() { let it = crate::engine::open(\"//\"); }",
            "pub(in crate::engine) fn open() {}",
        ] {
            assert_eq!(
                upward_paths("wal/reader.rs", text),
                ["src/wal/reader.rs: wal may not name engine"],
                "{text}"
            );
        }
        assert_eq!(upward_paths("wal/reader.rs", "use super::super::engine;").len(), 1);
        assert_eq!(upward_paths("wal/mod.rs", "use super::engine;").len(), 1);
        assert_eq!(upward_paths("key.rs", "use super::engine;").len(), 1);
        assert_eq!(upward_paths("wal/mod.rs", "use crate::memtable::Memtable;").len(), 1, "the same floor");
        assert_eq!(upward_paths("helpers.rs", "").len(), 1, "a module without a place");
    }

    #[test]
    fn what_lies_below_or_is_no_code_is_allowed() {
        for text in [
            "use crate::error::Error;",
            "use crate::{error::Error, fs::File};",
            "/// Used by [`crate::engine`].\nfn read() {}",
            "fn message() -> &'static str { \"crate::engine\" }",
            "use super::engine;",
            "macro_rules! m { () => { $crate::error::Code::Io } }",
        ] {
            assert!(upward_paths("wal/reader.rs", text).is_empty(), "{text}");
        }
        let own = "mod key;\n#[cfg(test)]\nmod tests { use super::key::Key; }";
        assert!(upward_paths("binding/mod.rs", own).is_empty(), "a submodule that is called like a module");
    }

    #[test]
    fn a_file_without_its_opening_its_lint_or_a_bound_is_found() {
        let good = "//! What it is.\n\n#![forbid(unsafe_code)]\n";
        assert!(shape_of("wal/mod.rs", good, &one("wal/mod.rs", good)).is_empty());
        assert!(shape_of("wal/reader.rs", "//! A part.\n", &one("wal/mod.rs", good)).is_empty(), "inherited");
        assert!(
            shape_of("jsondb/key/read.rs", "//! A part.\n", &one("jsondb/key.rs", good)).is_empty(),
            "inherited"
        );

        let exported = "//! What it is.\n#[napi]\npub fn f() {}\n";
        assert!(shape_of("binding/mod.rs", exported, &one("binding/mod.rs", exported)).is_empty());
        let daring = "//! What it is.\n#[napi]\npub fn f() { unsafe {} }\n";
        assert_eq!(shape_of("binding/mod.rs", daring, &one("binding/mod.rs", daring)).len(), 1);

        let silent = "#![forbid(unsafe_code)]\n";
        assert_eq!(shape_of("wal/mod.rs", silent, &one("wal/mod.rs", silent)).len(), 1);
        let unguarded = "//! What it is.\n// #![forbid(unsafe_code)]\n";
        assert_eq!(shape_of("wal/mod.rs", unguarded, &one("wal/mod.rs", unguarded)).len(), 1);
        let long = good.to_owned() + &"\n".repeat(LINES_MAX);
        assert_eq!(shape_of("wal/mod.rs", &long, &one("wal/mod.rs", &long)).len(), 1);
    }

    #[test]
    fn unsafe_code_that_the_page_leaves_out_or_miscounts_is_found() {
        let daring = one("src/a.rs", "fn f() { unsafe { g() } }\nunsafe impl Send for A {}");
        let page =
            |rows: &str| format!("# Unsafe code\n\n## src/a.rs\n\n| where | unsafe |\n|---|---|\n{rows}\n");

        assert!(unlisted_unsafe(&page("| `f` | 1 | why |\n| `Send` | 1 | why |"), &daring).is_empty());
        assert_eq!(unlisted_unsafe(&page("| `f` | 1 | why |"), &daring).len(), 1);
        assert_eq!(unlisted_unsafe("# Unsafe code\n", &daring).len(), 1);
        assert_eq!(unlisted_unsafe(&page("| `f` | 2 | why |"), &one("src/b.rs", "fn f() {}")).len(), 1);
    }

    #[test]
    fn a_lock_from_elsewhere_is_found() {
        for text in
            ["use parking_lot::Mutex;", "use std::{thread, fmt};\nstd::thread::spawn(f);", "arc_swap::Guard"]
        {
            assert!(is_unmodelled(text), "{text}");
        }
        assert!(!is_unmodelled("// As parking_lot::Mutex.\nuse crate::sync::Mutex;"));
        assert!(!is_unmodelled("fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::thread::spawn;\n}"));
    }

    #[test]
    fn a_facade_that_requires_another_or_the_addon_is_found() {
        assert!(wrong_requires("flowdb.js", "const native = require('./native')").is_empty());
        assert!(wrong_requires("native.js", "const addon = require('../native.js')").is_empty());
        assert!(wrong_requires("key.js", "/** @param {import('../native').Addon} addon */").is_empty());
        assert_eq!(wrong_requires("flowdb.js", "const { FlashStore } = require('./flash-store')").len(), 1);
        assert_eq!(
            wrong_requires("flowdb.js", "const { FlashStore } = require(\"./flash-store.js\")").len(),
            1
        );
        assert_eq!(wrong_requires("flowdb.js", "const addon = require('../native')").len(), 1);
        assert_eq!(wrong_requires("errors.js", "require('../flowdb.linux-x64-gnu.node')").len(), 1);
        assert_eq!(wrong_requires("errors.js", "require('../scripts/setup')").len(), 1);
        assert!(wrong_requires("flash/sync.js", "require('../native.js'), require('./place.js')").is_empty());
        assert_eq!(wrong_requires("flash/sync.js", "const addon = require('../../native.js')").len(), 1);
        assert_eq!(wrong_requires("flash/sync.js", "require('../../scripts/setup')").len(), 1);
    }
}
