//! The examples in Rust, run as they are: what they print is what their readers are told.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::Write;
use std::path::Path;

use flowdb::error::Result;

#[path = "../examples/documents.rs"]
#[expect(dead_code, reason = "its main is for cargo run")]
mod documents;
#[path = "../examples/typed.rs"]
#[expect(dead_code, reason = "its main is for cargo run")]
mod typed;

/// What `run` prints, in a directory that is removed afterwards.
fn printed(name: &str, run: fn(&Path, &mut dyn Write) -> Result<()>) -> String {
    let dir = std::env::temp_dir().join(format!("flowdb-example-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut out = Vec::new();
    let done = run(&dir, &mut out);
    std::fs::remove_dir_all(&dir).unwrap();
    done.unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_example_of_documents_prints_what_it_promises() {
    let expected = "\
a second bob: Err(Constraint)
eve is 3
staff: \"ada@example.com\"
staff: \"bob@example.com\"
from 2 on: 2
too much: Err(Constraint)
balances: [70, 50]
version Some(2) of the session
an hour later: None
";
    assert_eq!(printed("documents", documents::run), expected);
}

#[test]
fn the_example_of_types_prints_what_it_promises() {
    let expected = "\
Basel has Some(178) thousand
large: Lyon
large: Genf
in French: [\"Biel\", \"Genf\", \"Lyon\"]
twice on one day: Err(Constraint)
the first visit has the number Some(1)
";
    assert_eq!(printed("typed", typed::run), expected);
}
