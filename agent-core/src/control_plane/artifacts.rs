//! What is asked of a control plane that keeps artifacts, and knows packs that are not here. One that keeps none has nothing to answer: then live logs are
//! all there is.

use std::fmt;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::model::{ArtifactVersionId, ExecutionId, FileVersion, NewLog, PackRef, Stream};

/// What remembers which files there are, and of which action they are the output.
///
/// Every call may be repeated after an answer that was lost, and has a deadline of its implementation's choosing.
pub trait ArtifactRegistry: fmt::Debug + Send + Sync + 'static {
    /// Enters logs, each as a new version of its action's artifact, which is made where it is missing. What is entered
    /// already is answered again. The files are yet to be put where the answer says.
    fn enter_logs(&self, logs: Vec<NewLog>) -> BoxFuture<'_, Result<Vec<LogVersion>>>;

    /// The versions with a file that an execution has made by itself, while it ran.
    fn own_versions(&self, execution: ExecutionId) -> BoxFuture<'_, Result<Vec<FileVersion>>>;

    /// Writes down how large files have turned out to be.
    fn set_sizes(&self, sizes: Vec<(ArtifactVersionId, u64)>) -> BoxFuture<'_, Result<()>>;

    /// Removes versions that have turned out to hold nothing.
    fn remove_versions(&self, versions: Vec<ArtifactVersionId>) -> BoxFuture<'_, Result<()>>;
}

/// What remembers which packs there are.
pub trait PackRegistry: fmt::Debug + Send + Sync + 'static {
    /// Every pack that the control plane knows.
    fn packs(&self) -> BoxFuture<'_, Result<Vec<PackRef>>>;
}

/// A log that is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVersion {
    /// Whose.
    pub execution: ExecutionId,
    /// Which of its streams.
    pub stream: Stream,
    /// The version, and where its file belongs.
    pub version: FileVersion,
}
