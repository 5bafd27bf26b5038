//! `attune-agent pack`: bring packs into a control plane.

use std::process::ExitCode;

use agent_core::control_plane::embedded::Embedded;

use crate::cli::{PackArgs, PackVerb};
use crate::exit::{Failure, print};

pub(crate) async fn run(args: PackArgs) -> Result<ExitCode, Failure> {
    let PackVerb::Register { directory, embedded } = args.verb;
    let plane = Embedded::open(&embedded).await?;
    let pack = plane.register_pack(&directory).await?;
    let (actions, runtimes) = (pack.actions.len(), pack.runtimes.len());
    print(&format!(
        "pack {} {} is registered: {actions} action{}, {runtimes} runtime{}\n",
        pack.manifest.reference,
        pack.manifest.version,
        plural(actions),
        plural(runtimes),
    ))?;
    plane.close().await;
    Ok(ExitCode::SUCCESS)
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
