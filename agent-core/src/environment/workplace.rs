//! What tools are told of where they work.

use std::ffi::OsString;

use crate::secrets::ChildEnvironment;

/// Nobody is there to be asked or told.
const QUIET: &[(&str, &str)] = &[
    ("PIP_NO_INPUT", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("npm_config_update_notifier", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_audit", "false"),
    ("BUNDLE_SILENCE_ROOT_WARNING", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// The variables that tools start from: those of an action, whose home and temporary directory can be written to, and
/// what keeps tools from asking. What the image says itself stands.
pub(super) fn variables(child: &ChildEnvironment) -> Vec<(OsString, OsString)> {
    let mut variables = child.variables();
    for (name, value) in QUIET {
        if !variables.iter().any(|(present, _)| present == name) {
            variables.push(((*name).into(), (*value).into()));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::secrets::HiddenVariables;

    #[test]
    fn tools_are_quiet_unless_the_image_says_otherwise() {
        let own = [("PIP_NO_INPUT", "0")].map(|(name, value)| (name.into(), value.into()));
        let child = ChildEnvironment::new(own, &HiddenVariables::default(), Path::new("/nonexistent"));
        let variables = variables(&child);
        let values = |name: &str| -> Vec<&str> {
            let held = variables.iter().filter(|(present, _)| present == name);
            held.filter_map(|(_, value)| value.to_str()).collect()
        };
        assert_eq!(values("PIP_NO_INPUT"), ["0"]);
        assert_eq!(values("GIT_TERMINAL_PROMPT"), ["0"]);
        assert_eq!(values("npm_config_fund"), ["false"]);
    }
}
