//! `attune-agent config`: what is configured and where it comes from, and what may be.

use std::process::ExitCode;

use agent_core::config::{Config, Effective, Shown, Sources, schema};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::cli::{Common, ConfigArgs, ConfigVerb};
use crate::exit::{Failure, print, tell};

pub(crate) fn run(common: &Common, args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match args.verb {
        ConfigVerb::Show { json } => show(common, json),
        ConfigVerb::Schema => {
            print(&format!("{:#}\n", schema()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(common: &Common, as_json: bool) -> Result<ExitCode, Failure> {
    let environment = common.named().into_iter().chain(std::env::vars_os());
    let sources = Sources::read(&common.config_file(), environment)?;
    if let Some(missing) = sources.missing_file() {
        let missing = missing.display();
        tell(&format!("warning: ATTUNE_CONFIG names the configuration file {missing}, which is not there"));
    }
    let settings = sources.effective()?;
    let rows: Vec<_> = settings.iter().map(|effective| (effective, origin(common, effective))).collect();
    if as_json {
        let rows: Vec<_> = rows.iter().map(|(effective, from)| object(effective, from)).collect();
        print(&format!("{}\n", json!(rows)))?;
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["SETTING", "VALUE", "FROM"]);
        for (effective, from) in rows {
            let value = match &effective.value {
                Shown::Text(text) => text.as_str(),
                Shown::Hidden => "(set)",
                Shown::Unset => "(not set)",
            };
            table.add_row([effective.setting.key, value, &from]);
        }
        print(&format!("{table}\n"))?;
    }
    // Shown first, because what is wrong is among it.
    Config::load(&sources)?;
    Ok(ExitCode::SUCCESS)
}

/// Where a value comes from, for people.
fn origin(common: &Common, effective: &Effective) -> String {
    match &effective.from {
        Some(_) if effective.setting.key == "worker.name" && common.name.is_some() => "--name".to_owned(),
        Some(place) => place.clone(),
        None if effective.value == Shown::Unset => String::new(),
        None => "default".to_owned(),
    }
}

fn object(effective: &Effective, from: &str) -> Value {
    let value = match &effective.value {
        Shown::Text(text) => json!(text),
        Shown::Hidden | Shown::Unset => Value::Null,
    };
    json!({
        "setting": effective.setting.key,
        "value": value,
        "set": effective.from.is_some(),
        "from": (!from.is_empty()).then_some(from),
    })
}
