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

impl Transport {
    /// Whom a file has to be sent to, if to anybody. Looks at the volume, and may block for as long as that takes.
    pub(super) fn remote(&self, directory: &Path) -> Option<&Arc<Remote>> {
        match self {
            Self::Volume => None,
            Self::Api(remote) => Some(remote),
            Self::Auto(remote) => (!directory.join(SENTINEL).exists()).then_some(remote),
        }
    }
}
