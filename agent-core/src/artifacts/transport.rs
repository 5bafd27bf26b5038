//! How files reach the API: over a volume that it shares, or over the network (CONTRACT §3.10).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::api::Api;

/// The API writes this file into its directory of artifacts when it starts: who sees it, shares the volume.
const SENTINEL: &str = ".attune-api-sentinel";

/// `artifacts.transport`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportChoice {
    /// A volume that is shared with the API.
    Volume,
    /// The API itself.
    Api,
    /// Whichever there is.
    Auto,
}

/// Text that names no transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transport is one of volume, api, auto")]
pub struct UnknownTransport;

impl FromStr for TransportChoice {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, UnknownTransport> {
        match text {
            "volume" => Ok(Self::Volume),
            "api" => Ok(Self::Api),
            "auto" => Ok(Self::Auto),
            _ => Err(UnknownTransport),
        }
    }
}

/// How files get to where the API finds them.
#[derive(Debug)]
pub enum Transport {
    /// They are written there.
    Volume,
    /// They are written where the API may look for them: nobody has said where it is, so that they cannot be sent.
    Undeclared,
    /// They are sent to it.
    Api(Arc<Remote>),
    /// They are sent for as long as the volume does not show that the API shares it. That is looked for with each file,
    /// because the API may start after the worker.
    Auto(Arc<Remote>),
}

/// The API, and where files wait for it.
pub struct Remote {
    /// Who takes them.
    pub api: Arc<Api>,
    /// A directory of this worker's own.
    pub spool: PathBuf,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("spool", &self.spool).finish_non_exhaustive()
    }
}

/// Where files are that are not the worker's own.
#[derive(Debug)]
pub(super) enum Reach<'t> {
    /// The API sees them where they are.
    Shared,
    /// Perhaps it does.
    Unknown,
    /// It does not, and can be sent them.
    Remote(&'t Arc<Remote>),
}

impl Transport {
    /// Whom a file has to be sent to, if to anybody. Looks at the volume, and may block for as long as that takes.
    pub(super) fn remote(&self, directory: &Path) -> Option<&Arc<Remote>> {
        match self {
            Self::Volume | Self::Undeclared => None,
            Self::Api(remote) => Some(remote),
            Self::Auto(remote) => (!is_shared(directory)).then_some(remote),
        }
    }

    /// How what an action has put below `directory` reaches the API. Looks at the volume, and may block for as long as
    /// that takes.
    pub(super) fn reach(&self, directory: &Path) -> Reach<'_> {
        match self {
            Self::Volume => Reach::Shared,
            // Whatever is configured: a file must not be sent over itself.
            _ if is_shared(directory) => Reach::Shared,
            Self::Undeclared => Reach::Unknown,
            Self::Api(remote) | Self::Auto(remote) => Reach::Remote(remote),
        }
    }

    /// Whether there is somebody to send files to.
    pub(super) const fn sends(&self) -> bool {
        matches!(self, Self::Api(_) | Self::Auto(_))
    }

    /// Whether files have to be sent, as far as is known, and cannot be at the moment.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Api(remote) | Self::Auto(remote) if remote.api.is_away())
    }
}

fn is_shared(directory: &Path) -> bool {
    directory.join(SENTINEL).exists()
}
