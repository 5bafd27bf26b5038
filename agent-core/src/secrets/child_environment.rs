//! What an action's environment starts from: the image's own variables, without anything that the agent itself was
//! configured with.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Variables with these prefixes configure the control plane's services and hold their credentials.
pub const HIDDEN_PREFIXES: &[&str] = &["ATTUNE__", "DB_"];

/// Further keys of the secret that a pod is given whole (CONTRACT §6.2), and what configures this agent.
pub const HIDDEN_NAMES: &[&str] = &[
    "ATTUNE_AGENT_TOKEN",
    "ATTUNE_CONFIG",
    "ATTUNE_MQ_URL",
    "ATTUNE_WORKER_NAME",
    "ATTUNE_WORKER_RUNTIMES",
    "ATTUNE_WORKER_TYPE",
    "AMQP_URL",
    "DATABASE_URL",
    "DEFAULT_ADMIN_LOGIN",
    "DEFAULT_ADMIN_PERMISSION_SET_REF",
    "LOADER_SCRIPT",
    "RUST_LOG",
    "TEST_DISPLAY_NAME",
    "TEST_LOGIN",
    "TEST_PASSWORD",
];

/// Where an image has no `PATH`, what a shell would use.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables that every action is given.
#[derive(Debug, Clone)]
pub struct ChildEnvironment {
    variables: Vec<(OsString, OsString)>,
    temp_dir: PathBuf,
}

impl ChildEnvironment {
    /// Keeps what may be seen of `own`, and supplies `HOME`, `TMPDIR` and `PATH` where they are missing: `TMPDIR` is
    /// `/tmp` where that exists and `fallback_dir` elsewhere, and so is `HOME` where nobody has set one.
    pub fn new(own: impl IntoIterator<Item = (OsString, OsString)>, fallback_dir: &Path) -> Self {
        let mut variables: Vec<_> = own.into_iter().filter(|(name, _)| !is_hidden(name)).collect();
        let system_temp = Path::new("/tmp");
        let fallback = if system_temp.is_dir() { system_temp } else { fallback_dir };
        let mut supply = |name: &str, value: &OsStr| {
            if !variables.iter().any(|(present, held)| present == name && !held.is_empty()) {
                variables.retain(|(present, _)| present != name);
                variables.push((name.into(), value.into()));
            }
        };
        supply("PATH", OsStr::new(DEFAULT_PATH));
        supply("HOME", fallback.as_os_str());
        supply("TMPDIR", fallback.as_os_str());
        let temp_dir =
            variables.iter().find(|(name, _)| name == "TMPDIR").map(|(_, value)| PathBuf::from(value));
        Self { variables, temp_dir: temp_dir.unwrap_or_else(|| fallback.to_owned()) }
    }

    /// The variables.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables.clone()
    }

    /// The directory for temporary files.
    pub fn temp_dir(&self) -> PathBuf {
        self.temp_dir.clone()
    }
}

fn is_hidden(name: &OsStr) -> bool {
    let upper = name.as_bytes().to_ascii_uppercase();
    HIDDEN_PREFIXES.iter().any(|prefix| upper.starts_with(prefix.as_bytes()))
        || HIDDEN_NAMES.iter().any(|hidden| upper == hidden.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_of(own: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = own.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = ChildEnvironment::new(own, Path::new("/var/lib/attune"));
        let text = |text: OsString| text.into_string().unwrap();
        environment.variables().into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn the_images_variables_stay_and_the_agents_go() {
        let variables = made_of(&[
            ("JAVA_HOME", "/opt/java"),
            ("LD_LIBRARY_PATH", "/usr/local/cuda/lib64"),
            ("ATTUNE__DATABASE__URL", "postgres://attune:secret@db/attune"),
            ("attune__security__jwt_secret", "secret"),
            ("DB_PASSWORD", "secret"),
            ("TEST_PASSWORD", "secret"),
        ]);
        assert!(variables.contains(&("JAVA_HOME".into(), "/opt/java".into())));
        assert!(variables.contains(&("LD_LIBRARY_PATH".into(), "/usr/local/cuda/lib64".into())));
        assert!(!variables.iter().any(|(_, value)| value.contains("secret")), "{variables:?}");
    }

    #[test]
    fn an_empty_image_still_has_a_home() {
        let variables = made_of(&[("HOME", "")]);
        for name in ["PATH", "HOME", "TMPDIR"] {
            assert!(variables.iter().any(|(present, value)| present == name && !value.is_empty()), "{name}");
        }
    }
}
