//! `attune-agent reasons`: the table of reason codes.

use std::process::ExitCode;

use agent_core::model::Reason;
use comfy_table::{ContentArrangement, Table, presets};

use crate::exit::print;

pub(crate) fn run() -> ExitCode {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["REASON", "STATUS", "MEANING"]);
    for reason in Reason::ALL {
        table.add_row([reason.code(), reason.status().as_str(), reason.meaning()]);
    }
    match print(&format!("{table}\n")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
