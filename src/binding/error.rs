//! Errors on their way to JavaScript: code, message and the chain of causes, as JSON.
//!
//! `lib/native.js` makes an `Error` of it there, because only JavaScript can say who called.
#![forbid(unsafe_code)]

use std::any::Any;

use serde_json::{Map, Value, json};

use crate::error::{Code, Error};

/// `error` as `{ "code", "message", "cause"? }`; the operating system's error is the last cause, as
/// `{ "errno"?, "message" }`.
pub(crate) fn to_json(error: &Error) -> String {
    describe(error).to_string()
}

fn describe(error: &Error) -> Value {
    let mut object = Map::new();
    object.insert("code".to_owned(), error.code().as_str().into());
    object.insert("message".to_owned(), error.message().into());
    let cause = error.cause().map(describe).or_else(|| error.io_cause().map(describe_io));
    if let Some(cause) = cause {
        object.insert("cause".to_owned(), cause);
    }
    Value::Object(object)
}

fn describe_io(error: &std::io::Error) -> Value {
    match error.raw_os_error() {
        Some(errno) => json!({ "errno": errno, "message": error.to_string() }),
        None => json!({ "message": error.to_string() }),
    }
}

/// The error of a job that panicked: a defect, reported instead of taking Node down.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Error {
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(Code::Internal, format!("a defect in FlowDB, please report it: {what}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_chain_of_causes_reaches_the_operating_system() {
        let io = Error::io("opening", Path::new("x"), std::io::Error::from_raw_os_error(2));
        let error = io.wrap(Code::Closed, "not open");

        let value: Value = serde_json::from_str(&to_json(&error)).unwrap();

        assert_eq!(value["code"], "FLOWDB_CLOSED");
        assert_eq!(value["cause"]["code"], "FLOWDB_IO");
        assert_eq!(value["cause"]["cause"]["errno"], 2);
    }
}
