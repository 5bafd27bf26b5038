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

/// Which variables actions do not see, and nobody else either once the agent has read them.
#[derive(Debug, Clone, Default)]
pub struct HiddenVariables {
    further: Vec<String>,
}

impl HiddenVariables {
    /// Those of the two tables, and `further` names, each also the beginning of names with `*` behind it.
    pub fn new(further: &[String]) -> Self {
        Self { further: further.iter().map(|name| name.to_ascii_uppercase()).collect() }
    }

    /// Whether this variable is one of them. Upper and lower case are the same.
    pub fn cover(&self, name: &OsStr) -> bool {
        let upper = name.as_bytes().to_ascii_uppercase();
        // A variable with `_FILE` behind its name says where a credential is.
        let upper = upper.strip_suffix(b"_FILE").unwrap_or(&upper);
        HIDDEN_PREFIXES.iter().any(|prefix| upper.starts_with(prefix.as_bytes()))
            || HIDDEN_NAMES.iter().any(|hidden| upper == hidden.as_bytes())
            || self.further.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => upper.starts_with(prefix.as_bytes()),
                None => upper == pattern.strip_suffix("_FILE").unwrap_or(pattern).as_bytes(),
            })
    }
}

/// The variables that every action is given.
#[derive(Debug, Clone)]
pub struct ChildEnvironment {
    variables: Vec<(OsString, OsString)>,
    temp_dir: PathBuf,
}

impl ChildEnvironment {
    /// Keeps what may be seen of `own`, and supplies `HOME`, `TMPDIR` and `PATH` where they are missing. A `HOME` or
    /// `TMPDIR` that this user cannot write to, as under a user id that the image does not know, counts as missing:
    /// `/tmp` stands in where it can be written to, and `fallback_dir` elsewhere.
    pub fn new(
        own: impl IntoIterator<Item = (OsString, OsString)>,
        hidden: &HiddenVariables,
        fallback_dir: &Path,
    ) -> Self {
        let mut variables: Vec<_> = own.into_iter().filter(|(name, _)| !hidden.cover(name)).collect();
        let system_temp = Path::new("/tmp");
        let fallback = if is_writable(system_temp) { system_temp } else { fallback_dir };
        let mut supply = |name: &str, value: &OsStr, will_do: fn(&Path) -> bool| {
            let will_do = |held: &OsString| !held.is_empty() && will_do(Path::new(held));
            if !variables.iter().any(|(present, held)| present == name && will_do(held)) {
                variables.retain(|(present, _)| present != name);
                variables.push((name.into(), value.into()));
            }
        };
        supply("PATH", OsStr::new(DEFAULT_PATH), |_| true);
        supply("HOME", fallback.as_os_str(), is_writable);
        supply("TMPDIR", fallback.as_os_str(), is_writable);
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

/// Whether this user can make files in a directory.
fn is_writable(directory: &Path) -> bool {
    use rustix::fs::Access;
    directory.is_dir()
        && rustix::fs::access(directory, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_of(own: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = own.iter().map(|(name, value)| (name.into(), value.into()));
        let hidden = HiddenVariables::new(&["MY_TOKEN".into(), "Vault_*".into()]);
        let environment = ChildEnvironment::new(own, &hidden, Path::new("/var/lib/attune"));
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
            ("DATABASE_URL_FILE", "/run/secret"),
            ("MY_TOKEN", "secret"),
            ("MY_TOKEN_FILE", "/run/secret"),
            ("VAULT_ADDR", "secret"),
        ]);
        assert!(variables.contains(&("JAVA_HOME".into(), "/opt/java".into())));
        assert!(variables.contains(&("LD_LIBRARY_PATH".into(), "/usr/local/cuda/lib64".into())));
        assert!(!variables.iter().any(|(_, value)| value.contains("secret")), "{variables:?}");
    }

    #[test]
    fn an_empty_image_still_has_a_home() {
        for home in ["", "/nowhere"] {
            let variables = made_of(&[("HOME", home)]);
            for name in ["PATH", "HOME", "TMPDIR"] {
                let value =
                    variables.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str());
                assert!(value.is_some_and(|value| !value.is_empty() && value != home), "{name}={value:?}");
            }
        }
    }
}
