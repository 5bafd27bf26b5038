//! How a worker on the configured servers exchanges files and packs with the control plane's API.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_core::api::Api;
use agent_core::artifacts::{Artifacts, Remote, Transport, TransportChoice};
use agent_core::config::Config;
use agent_core::control_plane::attune::Attune;
use agent_core::packs::{RemotePacks, pack_directories};
use agent_core::worker::WorkDir;
use agent_core::{Error, ErrorKind, Result};

/// Artifacts in the rows of `plane`, and their files over the transport that is configured.
pub(crate) fn artifacts(
    config: &Config,
    api: Option<Arc<Api>>,
    plane: &Attune,
    work_dir: &WorkDir,
) -> Result<Artifacts> {
    let registry = Arc::new(plane.artifacts(config.worker.log_retention));
    let choice = config.transport.choice;
    let transport = match (choice, api, work_dir.private_dir()) {
        (TransportChoice::Volume, ..) => Transport::Volume,
        (TransportChoice::Auto, None, _) => Transport::Undeclared,
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
                "logs and artifacts cannot be sent to the API, because there is no directory in which they can wait"
            );
            Transport::Undeclared
        }
        // Output of actions is nobody else's to read.
        (TransportChoice::Api, Some(api), Some(private)) => {
            Transport::Api(Arc::new(Remote { api, spool: private.join("logs") }))
        }
        (TransportChoice::Auto, Some(api), Some(private)) => {
            Transport::Auto(Arc::new(Remote { api, spool: private.join("logs") }))
        }
    };
    let directory = config.directories.artifacts.clone();
    let unshared = unshared_artifacts(&directory, choice, work_dir);
    Ok(Artifacts::kept(directory, unshared, transport, registry))
}

/// The directory that actions are given while the API does not share `configured`: that one where it can be written, else
/// one of the worker's own.
fn unshared_artifacts(configured: &Path, choice: TransportChoice, work_dir: &WorkDir) -> PathBuf {
    let Err(error) = make_writable(configured) else { return configured.to_owned() };
    let own = match choice {
        // It was said that there is no other place.
        TransportChoice::Volume => None,
        TransportChoice::Api | TransportChoice::Auto => work_dir.artifacts_dir(),
    };
    if let Some(own) = own.filter(|own| make_writable(own).is_ok()) {
        tracing::info!(configured = %configured.display(), %error, used = %own.display(),
            "actions write artifacts to another directory than the configured one, unless the API shares that");
        return own;
    }
    tracing::warn!(configured = %configured.display(), %error, hint = "`artifacts_dir` names a directory",
        "actions have no directory for artifacts that they can write to");
    configured.to_owned()
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`artifacts.transport` is api, and {why}"))
}

/// The API, where there is a secret to speak to it with, and somebody has said that it should be spoken to.
pub(crate) fn api(config: &Config) -> Result<Option<Arc<Api>>> {
    let is_wanted = config.transport.api_is_named || config.transport.choice == TransportChoice::Api;
    let Some(secret) = config.security.jwt_secret.as_ref().filter(|_| is_wanted) else { return Ok(None) };
    let api = Api::new(&config.api_url, config.transport.ca_file.as_deref(), secret)?;
    Ok(Some(Arc::new(api)))
}

/// What fetches packs from the API, where it does not share `directory`. Where nothing can be put there, it is another
/// directory from then on.
pub(crate) fn packs(
    directory: &mut PathBuf,
    api: Option<&Arc<Api>>,
    plane: &Attune,
    work_dir: &WorkDir,
) -> Option<Arc<RemotePacks>> {
    let api = api.filter(|_| !RemotePacks::is_shared(directory))?;
    if let Err(error) = make_writable(directory) {
        if pack_directories(directory).is_ok_and(|packs| !packs.is_empty()) {
            tracing::info!(directory = %directory.display(), "packs are taken as they are: nothing can be added to them");
            return None;
        }
        let Some(private) = work_dir.private_dir() else {
            tracing::warn!(%error, "packs cannot be fetched from the API, because there is no directory for them");
            return None;
        };
        let instead = private.join("packs");
        tracing::info!(configured = %directory.display(), %error, used = %instead.display(),
            "packs from the API are kept in another directory than the configured one");
        *directory = instead;
    }
    Some(RemotePacks::new(Arc::clone(api), Arc::new(plane.clone()), directory.clone()))
}

/// That one may write is known only once something is written.
fn make_writable(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    tempfile::Builder::new().prefix(".probe-").tempfile_in(directory)?.close()
}
