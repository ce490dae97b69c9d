//! The one error type of the crate: a stable code, what was being done, and the cause beneath it.
//!
//! Codes are API and are matched on; messages are for people and may change. An error is cheap to clone,
//! because one failed open or sync is reported to every operation that depended on it.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure an [`Error`] is. JavaScript sees it as `FLOWDB_` + the name in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The operating system refused a file operation.
    Io,
    /// Bytes on disk are not what was written there.
    Corruption,
    /// An earlier write or sync failed, so that the log can't be trusted: reads go on, writes don't.
    Poisoned,
    /// Another process has the database open.
    Locked,
    /// The database, transaction or cursor has been closed.
    Closed,
    /// A later commit changed something that this transaction had read.
    Conflict,
    /// A unique index or `add` met a key that is already there.
    Constraint,
    /// The named store or index does not exist, or the database doesn't and `create_if_missing` is off.
    NotFound,
    /// The named store or index exists with another definition.
    Exists,
    /// A write in a read-only transaction or database.
    ReadOnly,
    /// The transaction has been committed or aborted.
    TransactionInactive,
    /// The files were written by a newer format, or the schema version is older than the database's.
    Version,
    /// A value that can't be a key.
    InvalidKey,
    /// A value that can't be stored.
    InvalidValue,
    /// An argument or option out of its documented range.
    InvalidArgument,
    /// A key holds another kind of structure than the command works on.
    WrongType,
    /// A value that structured clone doesn't take.
    NotCloneable,
    /// The caller aborted the operation.
    Aborted,
    /// A named limit on work in flight was reached; the operation may be tried again.
    Busy,
    /// More came than may wait for whoever takes it.
    Overflow,
    /// Not available on this platform or in this mode.
    Unsupported,
    /// A defect of FlowDB: please report it.
    Internal,
}

impl Code {
    /// The code as JavaScript sees it, for example `FLOWDB_CORRUPTION`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Io => "FLOWDB_IO",
            Self::Corruption => "FLOWDB_CORRUPTION",
            Self::Poisoned => "FLOWDB_POISONED",
            Self::Locked => "FLOWDB_LOCKED",
            Self::Closed => "FLOWDB_CLOSED",
            Self::Conflict => "FLOWDB_CONFLICT",
            Self::Constraint => "FLOWDB_CONSTRAINT",
            Self::NotFound => "FLOWDB_NOT_FOUND",
            Self::Exists => "FLOWDB_EXISTS",
            Self::ReadOnly => "FLOWDB_READ_ONLY",
            Self::TransactionInactive => "FLOWDB_TRANSACTION_INACTIVE",
            Self::Version => "FLOWDB_VERSION",
            Self::InvalidKey => "FLOWDB_INVALID_KEY",
            Self::InvalidValue => "FLOWDB_INVALID_VALUE",
            Self::InvalidArgument => "FLOWDB_INVALID_ARGUMENT",
            Self::WrongType => "FLOWDB_WRONG_TYPE",
            Self::NotCloneable => "FLOWDB_NOT_CLONEABLE",
            Self::Aborted => "FLOWDB_ABORTED",
            Self::Busy => "FLOWDB_BUSY",
            Self::Overflow => "FLOWDB_OVERFLOW",
            Self::Unsupported => "FLOWDB_UNSUPPORTED",
            Self::Internal => "FLOWDB_INTERNAL",
        }
    }
}

/// Messages show so many characters of a text that a user gave.
const TEXT_SHOWN_MAX: usize = 100;

/// Messages show so many characters of a path: the systems that we know open none that is longer by much.
const PATH_SHOWN_MAX: usize = 1_000;

/// `text` in quotes, as messages show it: cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(TEXT_SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// `path` as messages show it: cut where it is longer than one that could be opened.
pub(crate) fn shown_path(path: &Path) -> String {
    let mut whole = path.display().to_string();
    if let Some((end, _)) = whole.char_indices().nth(PATH_SHOWN_MAX) {
        whole.truncate(end);
        whole.push('…');
    }
    whole
}

/// A failure: its [`Code`], what was being done to what, and the cause beneath it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    code: Code,
    message: String,
    cause: Option<Cause>,
}

enum Cause {
    Flow(Error),
    Io(std::io::Error),
}

impl Error {
    /// An error of `code`; `message` says what was being done, to which file or key, and what can be done.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { code, message: message.into(), cause: None }))
    }

    /// An operating-system error met while `doing` something to `path`, for example `"opening"`.
    #[must_use]
    pub fn io(doing: &str, path: &Path, cause: std::io::Error) -> Self {
        let message = format!("{doing} {}: {cause}", shown_path(path));
        Self(Arc::new(Inner { code: Code::Io, message, cause: Some(Cause::Io(cause)) }))
    }

    /// Damaged bytes in `path`; `what` says which part and how it is wrong.
    #[must_use]
    pub fn corruption(path: &Path, what: impl fmt::Display) -> Self {
        Self::new(Code::Corruption, format!("{}: {what}", path.display()))
    }

    /// A new error of `code` with this one as its cause.
    #[must_use]
    pub fn wrap(&self, code: Code, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { code, message: message.into(), cause: Some(Cause::Flow(self.clone())) }))
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What was being done, to what.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The FlowDB error beneath this one.
    #[must_use]
    pub fn cause(&self) -> Option<&Error> {
        match &self.0.cause {
            Some(Cause::Flow(error)) => Some(error),
            _ => None,
        }
    }

    /// The operating system's error beneath this one, for example `StorageFull`.
    #[must_use]
    pub fn io_cause(&self) -> Option<&std::io::Error> {
        match &self.0.cause {
            Some(Cause::Io(error)) => Some(error),
            Some(Cause::Flow(error)) => error.io_cause(),
            None => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.message)?;
        match self.cause() {
            Some(cause) => write!(f, " (cause: {cause:?})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(Cause::Flow(error)) => Some(error),
            Some(Cause::Io(error)) => Some(error),
            None => None,
        }
    }
}

/// `None` for damage, and for what a newer FlowDB may have written: what a fuzzed reader may say of bytes.
///
/// # Panics
///
/// For any other error.
#[cfg(any(test, fuzzing))]
pub(crate) fn undamaged<T>(result: Result<T>) -> Option<T> {
    let is_told = |error: &Error| matches!(error.code(), Code::Corruption | Code::Version);
    result.inspect_err(|error| assert!(is_told(error), "{error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_gave_is_cut_where_it_is_long() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown(&"é".repeat(1 << 20)), format!("\"{}\"…", "é".repeat(TEXT_SHOWN_MAX)));
        assert_eq!(shown_path(Path::new("/a/b")), "/a/b");
        let cause = std::io::Error::from_raw_os_error(36);
        let error = Error::io("opening", Path::new(&"/long".repeat(1 << 18)), cause);
        assert!(error.message().len() < 2_000, "{} bytes", error.message().len());
    }
}
