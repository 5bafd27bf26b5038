//! `attune-agent pack`: bring packs into a control plane.

use std::path::Path;
use std::process::ExitCode;

use agent_core::control_plane::attune::register_pack;
use agent_core::control_plane::embedded::Embedded;
use agent_core::packs::{Pack, write_builtin};

use crate::cli::{PackArgs, PackVerb};
use crate::exit::{Failure, print};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: PackArgs) -> Result<ExitCode, Failure> {
    let PackVerb::Register { directory, builtin, embedded } = args.verb;
    let embedded = embedded.as_deref();
    if let Some(directory) = directory {
        tell(&register(session, &directory, embedded).await?)?;
    }
    if !builtin.is_empty() {
        // Beside the packs: an image that holds this program alone has no other place to write to.
        let beside = embedded.unwrap_or(&session.config.directories.packs);
        std::fs::create_dir_all(beside)?;
        let staging = tempfile::Builder::new().prefix(".builtin.").tempdir_in(beside)?;
        for name in builtin {
            let directory = write_builtin(&name, staging.path())?;
            tell(&register(session, &directory, embedded).await?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn register(session: &Session, directory: &Path, embedded: Option<&Path>) -> Result<Pack, Failure> {
    if let Some(embedded) = embedded {
        let plane = Embedded::open(embedded).await?;
        let pack = plane.register_pack(directory).await?;
        plane.close().await;
        return Ok(pack);
    }
    let config = &session.config;
    Ok(register_pack(&config.servers, directory, &config.directories.packs).await?)
}

fn tell(pack: &Pack) -> Result<(), Failure> {
    let (actions, runtimes) = (pack.actions.len(), pack.runtimes.len());
    print(&format!(
        "pack {} {} is registered: {actions} action{}, {runtimes} runtime{}\n",
        pack.manifest.reference,
        pack.manifest.version,
        plural(actions),
        plural(runtimes),
    ))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
