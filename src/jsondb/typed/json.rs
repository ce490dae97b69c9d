//! Between documents and values: serde, and errors that name the document.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Code, Error, Result};
use crate::jsondb::{Document, Format, Row};

/// The document that `value` is in `store`.
pub(super) fn write<T: Serialize>(store: &str, value: &T) -> Result<Document> {
    let bytes = serde_json::to_vec(value).map_err(|cause| {
        let message = format!("writing a {} to {store:?} as JSON: {cause}", type_name::<T>());
        Error::new(Code::InvalidValue, message)
    })?;
    Ok(Document { format: Format::Json, bytes })
}

/// The value that the document of `row` is.
pub(super) fn read<T: DeserializeOwned>(store: &str, row: &Row) -> Result<T> {
    let not_one = |why: &str| {
        let name = type_name::<T>();
        let message = format!("reading the document {} of {store:?} as a {name}: {why}", row.key);
        Error::new(Code::InvalidValue, message)
    };
    if row.document.format != Format::Json {
        return Err(not_one("it is not JSON"));
    }
    serde_json::from_slice(&row.document.bytes).map_err(|cause| not_one(&cause.to_string()))
}

/// The name of a type without the modules it is in.
fn type_name<T>() -> &'static str {
    let whole = std::any::type_name::<T>();
    let end = whole.find('<').unwrap_or(whole.len());
    whole[..end].rfind("::").map_or(whole, |at| &whole[at + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_their_programs_name_them() {
        assert_eq!(type_name::<u8>(), "u8");
        assert_eq!(type_name::<Document>(), "Document");
        assert_eq!(type_name::<Vec<Document>>(), "Vec<flowdb::jsondb::Document>");
    }
}
