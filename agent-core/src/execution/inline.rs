//! Code that is not in a file: the entry points of ad-hoc actions.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

use super::choice::Choice;
use super::private_file::PrivateFile;
use crate::model::{ExecutionId, InlineDelivery, Outcome, Parameters, Reason};

/// How an interpreter is given code.
#[derive(Debug)]
pub(super) struct Inline {
    /// What goes after the interpreter's own arguments.
    pub(super) args: Vec<OsString>,
    /// What the arguments name.
    pub(super) file: Option<PrivateFile>,
    /// Whether the parameters are in the code, so that standard input holds nothing.
    pub(super) holds_parameters: bool,
}

/// The option by which an interpreter takes code as an argument; `-c` for whichever is not here.
const CODE_OPTIONS: &[(&str, &str)] = &[
    ("bun", "-e"),
    ("elixir", "-e"),
    ("groovy", "-e"),
    ("julia", "-e"),
    ("lua", "-e"),
    ("node", "-e"),
    ("perl", "-e"),
    ("php", "-r"),
    ("powershell", "-Command"),
    ("r", "-e"),
    ("ruby", "-e"),
    ("scala", "-e"),
];

/// Variables that mean something to the shell itself: an assignment would change how the code runs, or fail.
const SHELL_VARIABLES: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "EUID",
    "GLOBIGNORE",
    "GROUPS",
    "HOME",
    "IFS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "OPTIND",
    "PATH",
    "POSIXLY_CORRECT",
    "PPID",
    "PS4",
    "PWD",
    "SHELLOPTS",
    "TMPDIR",
    "UID",
];

/// How `choice` is given `code`.
pub(super) fn prepare(
    code: &str,
    choice: &Choice<'_>,
    execution: ExecutionId,
    parameters: &Parameters,
    private_dir: &Path,
) -> Result<Inline, Box<Outcome>> {
    let Some(runtime) = choice.runtime.filter(|_| choice.program.is_some()) else {
        let message = "the entry point is code, and the action names no runtime that could run it";
        return Err(Box::new(Outcome::without_process(Reason::EntrypointMissing, message)));
    };
    let strategy = choice.config().inline_execution.clone().unwrap_or_default();
    match strategy.strategy {
        InlineDelivery::Direct => {
            let canonical = runtime.canonical();
            let option = CODE_OPTIONS.iter().find(|(name, _)| *name == canonical).map_or("-c", |(_, o)| o);
            Ok(Inline { args: vec![option.into(), code.into()], file: None, holds_parameters: false })
        }
        InlineDelivery::TempFile => {
            let helpers = strategy.inject_shell_helpers;
            let text = if helpers { shell_script(code, parameters)? } else { code.to_owned() };
            let extension = strategy.extension.or(choice.config().interpreter.file_extension.clone());
            let extension = extension.map(|name| format!(".{}", name.trim_start_matches('.')));
            let extension = extension.unwrap_or_default();
            let file = PrivateFile::write(private_dir, execution, &extension, text.as_bytes())?;
            let args = vec![file.path().into()];
            Ok(Inline { args, file: Some(file), holds_parameters: helpers })
        }
    }
}

/// The code behind an assignment of each parameter to two variables that no child process sees (CONTRACT §3.4):
/// `PARAM_<NAME>`, and the name itself unless the shell gives it a meaning.
fn shell_script(code: &str, parameters: &Parameters) -> Result<String, Box<Outcome>> {
    let mut script = "#!/bin/bash\nset -e\n".to_owned();
    for (name, value) in parameters {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.contains('\0') {
            let message = format!("the parameter `{name}` holds a NUL byte, which a shell variable cannot");
            return Err(Box::new(Outcome::without_process(Reason::ParametersInvalid, message)));
        }
        let quoted = text.replace('\'', r"'\''");
        let plain = identifier(name);
        let mut assign = |variable: &str| script.push_str(&format!("{variable}='{quoted}'\n"));
        assign(&format!("PARAM_{}", plain.to_uppercase()));
        if !plain.starts_with(|c: char| c.is_ascii_digit()) && !SHELL_VARIABLES.contains(&plain.as_str()) {
            assign(&plain);
        }
    }
    script.push_str(code);
    if !script.ends_with('\n') {
        script.push('\n');
    }
    Ok(script)
}

/// A parameter's name as a shell variable's.
fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_become_variables_and_nothing_else() {
        let parameters: Parameters = serde_json::from_value(json!({
            "name": "it's $(touch /tmp/x) `id`", "n": 3, "no": null, "list": [1, "a"], "PATH": "/evil", "a-b": "1\n2",
            "2x": "digit"
        }))
        .unwrap();
        let script = shell_script("echo \"$name\"", &parameters).unwrap();
        let expected = "#!/bin/bash\nset -e\nPARAM_NAME='it'\\''s $(touch /tmp/x) `id`'\n\
            name='it'\\''s $(touch /tmp/x) `id`'\nPARAM_N='3'\nn='3'\nPARAM_NO=''\nno=''\n\
            PARAM_LIST='[1,\"a\"]'\nlist='[1,\"a\"]'\nPARAM_PATH='/evil'\nPARAM_A_B='1\n2'\na_b='1\n2'\n\
            PARAM_2X='digit'\necho \"$name\"\n";
        assert_eq!(script, expected);
    }
}
