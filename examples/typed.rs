//! Types with a store of their own, from attributes: `cargo run --example typed [directory]`.
//!
//! Programs take the derive macro from the crate `flowdb` with its feature `derive`, by `use flowdb::jsondb::ObjectStore`,
//! which brings the trait as well.

use std::io::Write;
use std::path::{Path, PathBuf};

use flowdb::config::Config;
use flowdb::error::{Error, Result};
use flowdb::jsondb::JsonDb;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, flowdb_derive::ObjectStore)]
#[store(name = "cities", key_path("country", "name"))]
#[serde(rename_all = "camelCase")]
struct City {
    country: String,
    name: String,
    #[index]
    people_in_thousands: u32,
    #[index(multi_entry)]
    languages: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, flowdb_derive::ObjectStore)]
#[store(name = "visits", key_path = "id", auto_increment)]
#[index(name = "city and day", paths("city", "day"), unique)]
struct Visit {
    /// Given by the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    city: (String, String),
    day: String,
}

fn main() -> Result<()> {
    let usual = || std::env::temp_dir().join(format!("flowdb-typed-{}", std::process::id()));
    let dir = std::env::args_os().nth(1).map_or_else(usual, PathBuf::from);
    run(&dir, &mut std::io::stdout())
}

/// Uses the database in `dir`, and says what it sees.
pub fn run(dir: &Path, out: &mut dyn Write) -> Result<()> {
    let db = JsonDb::open(Config::new(dir))?;
    let cities = db.store_of::<City>()?;
    let city = |country: &str, name: &str, people_in_thousands, languages: &[&str]| City {
        country: country.to_owned(),
        name: name.to_owned(),
        people_in_thousands,
        languages: languages.iter().map(|language| (*language).to_owned()).collect(),
    };
    cities.put_many(&[
        city("CH", "Basel", 178, &["de"]),
        city("CH", "Biel", 56, &["de", "fr"]),
        city("CH", "Genf", 203, &["fr"]),
        city("FR", "Lyon", 522, &["fr"]),
    ])?;

    let basel = cities.get(("CH", "Basel"))?;
    say(out, &format!("Basel has {:?} thousand", basel.map(|city| city.people_in_thousands)))?;
    for city in cities.range_by_index("peopleInThousands", 200..)?.reversed() {
        say(out, &format!("large: {}", city?.name))?;
    }
    let french = cities.get_all_by_index("languages", "fr")?;
    say(out, &format!("in French: {:?}", french.iter().map(|city| &city.name[..]).collect::<Vec<_>>()))?;

    let visits = db.store_of::<Visit>()?;
    let visit = Visit { id: None, city: ("CH".into(), "Biel".into()), day: "2026-05-01".into() };
    visits.put(&visit)?;
    let again = visits.put(&visit);
    say(out, &format!("twice on one day: {:?}", again.map_err(|error| error.code())))?;
    let first = visits.get_by_index("city and day", (("CH", "Biel"), "2026-05-01"))?;
    say(out, &format!("the first visit has the number {:?}", first.and_then(|visit| visit.id)))?;
    db.close()
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}").map_err(|cause| Error::io("writing to", Path::new("the output"), cause))
}
