//! What we know about the world: the values that cross the ports, with the control plane's own names.

mod action;
mod artifact;
mod ending;
mod event;
mod execution;
mod ids;
mod outcome;
mod reason;
mod refs;
mod result;
mod runtime;
mod schema;
mod sealed;
mod status;
mod version;
mod worker;

pub use action::{Action, OutputFormat, ParameterDelivery, ParameterFormat};
pub use artifact::{
    FilePath, FileVersion, NewLog, NotBelow, OwnFiles, Retention, RetentionPolicy, Stream, UnknownPolicy,
};
pub use ending::{ClaimKey, Ending};
pub use event::Event;
pub use execution::{Attempt, Dispatch, Execution, Parameters, WorkOrder};
pub use ids::{ActionId, ArtifactVersionId, ExecutionId, PackId, RuntimeId, RuntimeVersionId, WorkerId};
pub use outcome::{Exit, LogPlace, OutOfMemory, Outcome, StreamReport};
pub use reason::Reason;
pub use refs::{InvalidRef, PackRef, Ref};
pub use result::{AGENT, ResultField, shown_result};
pub use runtime::{
    DependenciesConfig, EnvOperation, EnvVar, EnvironmentConfig, ExecutionConfig, InlineDelivery,
    InlineStrategy, InterpreterConfig, Runtime, RuntimeVersion, canonical_name,
};
pub use schema::{ParameterError, ParameterSpec, ParameterType, Schema};
pub use sealed::{Cause, Envelope, Origin, Sealed, SealedKey, SealedOutput, SealedParameter};
pub use status::{ExecutionStatus, UnknownLabel, WorkerStatus, WorkerType};
pub use version::{CONSTRAINT_GRAMMAR, InvalidVersion, Version, VersionConstraint};
pub use worker::{Capabilities, DetectedInterpreter, Registration, Taint, TaintEffect};
