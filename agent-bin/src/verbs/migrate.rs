//! `attune-agent migrate`: the control plane's tables, for people without Attune.

use std::process::ExitCode;

use agent_core::control_plane::attune::{Migrated, migrate};

use crate::exit::{Failure, print};
use crate::session::Session;

pub(crate) async fn run(session: &Session) -> Result<ExitCode, Failure> {
    let said = match migrate(&session.config.servers).await? {
        Migrated::Created(schema) => format!("the tables are made in the schema `{schema}`"),
        Migrated::AlreadyThere(schema) => format!("the tables are there already, in the schema `{schema}`"),
    };
    print(&format!("{said}\n"))?;
    Ok(ExitCode::SUCCESS)
}
