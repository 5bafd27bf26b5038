//! The crate's one error: what failed, in a fragment that reads well after "failed to …", and what to do about it.

use std::error::Error as StdError;
use std::fmt;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was asked for does not exist or does not fit; the caller has to ask differently.
    Usage,
    /// A file that a person wrote (configuration, pack) cannot be used as it is.
    Invalid,
    /// Something else already holds what is needed.
    Conflict,
    /// The file system or the operating system refused.
    System,
    /// The control plane refused.
    ControlPlane,
    /// The control plane cannot be reached, or cannot answer just now: the same call may work later.
    Unavailable,
}

/// What failed, and a hint.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind; `message` is a lower-case fragment without a period.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// With what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose move it is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // The cause belongs to the sentence: an operator sees one line, not a chain.
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // Already part of the message.
        self.source.as_deref().and_then(StdError::source)
    }
}

/// Attaches what was being done to an error of the operating system.
pub(crate) trait Doing<T> {
    /// `what` is a fragment such as "read pack.yaml".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(ErrorKind::System, format!("cannot {}", what())).because(error))
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(std::io::Error::from).doing(what)
    }
}
