//! Parameters from the command line.

use std::io::Read;
use std::path::Path;

use agent_core::config::parse_yaml;
use agent_core::model::{Action, Parameters};
use agent_core::{Error, ErrorKind};

use crate::cli::ParameterArgs;
use crate::exit::Failure;

/// The file's parameters, and over them those that were given one by one, each read as the action declares it.
pub(crate) fn gather(args: &ParameterArgs, action: &Action) -> Result<Parameters, Failure> {
    let mut parameters = args.params_file.as_deref().map(read).transpose()?.unwrap_or_default();
    for pair in &args.params {
        let (name, text) = split(pair, "--param name=value")?;
        let value = action.parameters.parse(name, text).map_err(|error| {
            let hint = error.hint();
            Failure::usage(format!("{}: {error}", action.reference), hint)
        })?;
        parameters.insert(name.to_owned(), value);
    }
    Ok(parameters)
}

/// Splits `name=value`.
pub(crate) fn split<'a>(pair: &'a str, written: &str) -> Result<(&'a str, &'a str), Failure> {
    pair.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("`{pair}` has no `=`"), format!("write it as `{written}`")))
}

/// JSON is YAML, so one reader serves both, but JSON is read as itself: it is many times faster.
fn read(path: &Path) -> Result<Parameters, Failure> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorKind::Usage, format!("cannot read parameters from {}", path.display())).because(error)
    };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
    } else {
        text = std::fs::read_to_string(path).map_err(unreadable)?;
    }
    match serde_json::from_str(&text) {
        Ok(parameters) => Ok(parameters),
        Err(_) => Ok(parse_yaml(&text, path)?),
    }
}
