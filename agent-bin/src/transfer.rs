//! How the files of a worker on the configured servers reach the control plane's API.

use std::sync::Arc;

use agent_core::api::Api;
use agent_core::artifacts::{Artifacts, Remote, Transport, TransportChoice};
use agent_core::config::Config;
use agent_core::control_plane::attune::Attune;
use agent_core::worker::WorkDir;
use agent_core::{Error, ErrorKind, Result};

/// Artifacts in the rows of `plane`, and their files over the transport that is configured.
pub(crate) fn artifacts(config: &Config, plane: &Attune, work_dir: &WorkDir) -> Result<Artifacts> {
    let registry = Arc::new(plane.artifacts(config.worker.log_retention));
    let choice = config.transport.choice;
    let transport = match (choice, api(config)?, work_dir.private_dir()) {
        (TransportChoice::Volume, ..) | (TransportChoice::Auto, None, _) => Transport::Volume,
        (TransportChoice::Api, None, _) => {
            return Err(refused("`security.jwt_secret`, which signs the worker's token, is not set")
                .hint("set ATTUNE__SECURITY__JWT_SECRET to the secret of the control plane's API"));
        }
        (TransportChoice::Api, Some(_), None) => {
            return Err(refused("there is no directory in which files can wait for it")
                .hint("name one that this user can write to: `worker.work_dir`"));
        }
        (TransportChoice::Auto, Some(_), None) => {
            tracing::warn!(
                "logs cannot be sent to the API, because there is no directory in which they can wait"
            );
            Transport::Volume
        }
        // Output of actions is nobody else's to read.
        (TransportChoice::Api, Some(api), Some(private)) => {
            Transport::Api(Arc::new(Remote { api, spool: private.join("logs") }))
        }
        (TransportChoice::Auto, Some(api), Some(private)) => {
            Transport::Auto(Arc::new(Remote { api, spool: private.join("logs") }))
        }
    };
    Ok(Artifacts::kept(config.directories.artifacts.clone(), transport, registry))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`artifacts.transport` is api, and {why}"))
}

/// The API, where there is a secret to speak to it with, and somebody has said that it should be spoken to.
fn api(config: &Config) -> Result<Option<Arc<Api>>> {
    let is_wanted = config.transport.api_is_named || config.transport.choice == TransportChoice::Api;
    let Some(secret) = config.security.jwt_secret.as_ref().filter(|_| is_wanted) else { return Ok(None) };
    let api = Api::new(&config.api_url, config.transport.ca_file.as_deref(), secret)?;
    Ok(Some(Arc::new(api)))
}
