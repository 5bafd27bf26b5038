//! The control plane that a command talks to: a directory, or the servers that are configured.

use std::path::Path;

use agent_core::Result;
use agent_core::control_plane::Journal;
use agent_core::control_plane::attune::{self, Attune};
use agent_core::control_plane::embedded::{self, Embedded};
use agent_core::model::{Action, Execution, ExecutionId};
use agent_core::telemetry::health::Health;

pub(crate) use agent_core::control_plane::attune::Submission;

use crate::session::Session;

/// How the broker's operators see a command.
const NAME: &str = "attune-agent submit";

/// Where executions are asked for and followed.
pub(crate) enum Plane {
    Embedded(Embedded),
    Attune(Attune),
}

impl Plane {
    /// The one in `directory`, else the servers of the configuration.
    pub(crate) async fn open(session: &Session, directory: Option<&Path>) -> Result<Self> {
        if let Some(directory) = directory {
            return Ok(Self::Embedded(Embedded::open(directory).await?));
        }
        let attune = Attune::new(&session.config.servers, NAME, 0, Journal::in_memory(), Health::default())?;
        attune.wait().await?;
        Ok(Self::Attune(attune))
    }

    /// The action of this name.
    pub(crate) async fn action(&self, reference: &str) -> Result<Action> {
        match self {
            Self::Embedded(plane) => plane.action(reference).await,
            Self::Attune(plane) => plane.action(reference).await,
        }
    }

    /// Asks for an execution.
    pub(crate) async fn submit(&self, submission: &Submission) -> Result<ExecutionId> {
        match self {
            Self::Embedded(plane) => {
                let attune::Submission { action_ref, parameters, env_vars, labels: _, direct: _ } =
                    submission.clone();
                plane.submit(&embedded::Submission { action_ref, parameters, env_vars }).await
            }
            Self::Attune(plane) => Ok(plane.submit(submission).await?.execution),
        }
    }

    /// Awaits an execution's end.
    pub(crate) async fn finished(&self, id: ExecutionId) -> Result<Execution> {
        match self {
            Self::Embedded(plane) => plane.finished(id).await,
            Self::Attune(plane) => plane.finished(id).await,
        }
    }

    /// Asks to cancel an execution.
    pub(crate) async fn cancel(&self, id: ExecutionId) -> Result<()> {
        match self {
            Self::Embedded(plane) => plane.cancel(id).await,
            Self::Attune(plane) => plane.cancel(id).await,
        }
    }

    /// Ends the connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(plane) => plane.close().await,
            Self::Attune(plane) => plane.close().await,
        }
    }
}
