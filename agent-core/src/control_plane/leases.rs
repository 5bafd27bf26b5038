//! What building an environment asks of a control plane that keeps account of environments (CONTRACT §1.12).
//!
//! The lock on the volume keeps builders apart where it can; the lease does so where it cannot, and shows people what is
//! being built, what failed and why. A build never waits for a control plane that does not answer.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::model::{PackRef, Runtime, RuntimeId, RuntimeVersionId};

/// An environment that is to be built.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Whose.
    pub pack: PackRef,
    /// For which runtime.
    pub runtime: RuntimeId,
    /// For which of its declared versions.
    pub version: Option<(RuntimeVersionId, String)>,
    /// Where it will be.
    pub path: PathBuf,
    /// Its name without the checksum: what images of one kind share.
    pub kind: String,
    /// Which volume it is on.
    pub volume: String,
    /// SHA-256 of what it is made from.
    pub checksum: String,
    /// Who asks: unique for this build.
    pub holder: String,
    /// Who held the volume's lock and died with it.
    pub predecessor: Option<String>,
}

/// The answer.
#[derive(Debug)]
pub enum LeaseReply {
    /// Build it, and renew this meanwhile.
    Granted(Lease),
    /// Somebody builds this very environment.
    Held,
    /// Build it without: the control plane does not know the pack, or somebody builds another environment under the same
    /// row, for another image or on another volume.
    Unleased,
}

/// The right to build, for some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `pack_environment.id`.
    pub row: i64,
    /// Who holds it.
    pub holder: String,
}

/// What became of a build.
#[derive(Debug, Clone)]
pub struct Built {
    /// `None` where nobody wanted it any more, and nothing is to be said of it.
    pub result: Option<std::result::Result<(), String>>,
    /// The end of what was printed.
    pub log: String,
}

/// Keeps account of environments.
pub trait EnvironmentLeases: fmt::Debug + Send + Sync {
    /// Asks for the right to build.
    fn acquire<'a>(&'a self, request: &'a LeaseRequest) -> BoxFuture<'a, Result<LeaseReply>>;

    /// Says that the build goes on. False where somebody else has the right by now.
    fn renew<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<bool>>;

    /// Says what came of it, and gives the right back.
    fn settle<'a>(
        &'a self,
        lease: Option<&'a Lease>,
        request: &'a LeaseRequest,
        built: &'a Built,
    ) -> BoxFuture<'a, Result<()>>;

    /// The runtimes that a pack's actions name.
    fn runtimes_of<'a>(&'a self, pack: &'a PackRef) -> BoxFuture<'a, Result<Vec<Runtime>>>;
}
