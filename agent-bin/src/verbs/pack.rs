//! `attune-agent pack`: bring packs into a control plane.

use std::process::ExitCode;

use agent_core::control_plane::attune::register_pack;
use agent_core::control_plane::embedded::Embedded;

use crate::cli::{PackArgs, PackVerb};
use crate::exit::{Failure, print};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: PackArgs) -> Result<ExitCode, Failure> {
    let PackVerb::Register { directory, embedded } = args.verb;
    let pack = if let Some(embedded) = embedded {
        let plane = Embedded::open(&embedded).await?;
        let pack = plane.register_pack(&directory).await?;
        plane.close().await;
        pack
    } else {
        let config = &session.config;
        register_pack(&config.servers, &directory, &config.directories.packs).await?
    };
    let (actions, runtimes) = (pack.actions.len(), pack.runtimes.len());
    print(&format!(
        "pack {} {} is registered: {actions} action{}, {runtimes} runtime{}\n",
        pack.manifest.reference,
        pack.manifest.version,
        plural(actions),
        plural(runtimes),
    ))?;
    Ok(ExitCode::SUCCESS)
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
