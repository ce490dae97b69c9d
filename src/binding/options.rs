//! The settings of a database as they come from JavaScript: names and texts, by the table of `config`.
//!
//! `lib/options.js` reads the same table through [`options`], so that names and limits stand in one place.

use napi_derive::napi;

use crate::config::{self, Config, Kind};
use crate::error::Result;

/// One setting for `create`.
#[napi(object)]
pub struct OptionSetting {
    /// The name as the engine has it.
    pub name: String,
    /// The value as text.
    pub value: String,
}

/// What an option takes.
#[napi(object)]
pub struct OptionDescription {
    /// The name as the engine has it, in snake case.
    pub name: String,
    /// Another name for the same.
    pub alias: Option<String>,
    /// `path`, `flag`, `whole`, `megabytes` or `word`.
    pub kind: String,
    /// The least number; in bytes where the kind is `megabytes`.
    pub least: f64,
    /// The greatest number.
    pub most: f64,
    /// The words that may stand for the option's name, and those for its alias.
    pub words: Vec<Vec<String>>,
    /// The default: a number, or the place of a word.
    pub default: f64,
}

/// Every option of a database.
pub(crate) fn options() -> Vec<OptionDescription> {
    let defaults = Config::new("");
    let described = config::settings().map(|setting| {
        let (kind, limits, words) = match setting.kind {
            Kind::Path => ("path", (0, 0), &[][..]),
            Kind::Flag => ("flag", (0, 1), &[][..]),
            Kind::Whole { least, most } => ("whole", (least, most), &[][..]),
            Kind::Megabytes { least, most } => ("megabytes", (least, most), &[][..]),
            Kind::Word(words) => ("word", (0, words.len() as u64 - 1), words),
        };
        OptionDescription {
            name: setting.name.to_owned(),
            // The exact fields are for Rust.
            alias: setting.alias.filter(|_| kind == "word").map(str::to_owned),
            kind: kind.to_owned(),
            least: limits.0 as f64,
            most: limits.1 as f64,
            words: words
                .iter()
                .map(|(word, synonym)| vec![(*word).to_owned(), (*synonym).to_owned()])
                .collect(),
            default: setting.value(&defaults) as f64,
        }
    });
    described.collect()
}

/// The configuration that `settings` make, with the engine's defaults where nothing is said.
pub(crate) fn into_config(settings: Vec<OptionSetting>) -> Result<Config> {
    let mut config = Config::new("");
    for OptionSetting { name, value } in settings {
        config.set(&name, &value)?;
    }
    Ok(config)
}
