//! Who a server runs as, and where its programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Doing, Failure, Result};

/// Neither server wants to be root: where the test is, the server runs as the user whom its package made for it.
pub(crate) enum Account {
    Own,
    Of { user: u32, group: u32 },
}

impl Account {
    /// The account `name` where this process is root, and this process's own otherwise.
    pub(crate) fn of_server(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let users = std::fs::read_to_string("/etc/passwd").doing("read /etc/passwd")?;
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.into_iter().find_map(|fields| match fields.as_slice() {
            [user, _, uid, gid, ..] if *user == name => {
                Some(Self::Of { user: uid.parse().ok()?, group: gid.parse().ok()? })
            }
            _ => None,
        });
        found.ok_or_else(|| {
            Failure::new(format!("root cannot run this server without a user `{name}`, and there is none"))
        })
    }

    /// `program` as this account, to be ended by `signal` should its parent go.
    pub(crate) fn words(&self, program: &Path, signal: &str) -> Vec<String> {
        let mut words = vec!["setpriv".to_owned(), "--pdeathsig".to_owned(), signal.to_owned()];
        if let Self::Of { user, group } = self {
            words.extend([format!("--reuid={user}"), format!("--regid={group}"), "--init-groups".to_owned()]);
        }
        words.extend(["--".to_owned(), program.display().to_string()]);
        words
    }

    /// `program` as this account, in an environment of which only the path is left: what configures servers and
    /// clients outside must not configure these.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let words = self.words(program, "KILL");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", path()).env("LANG", "C.UTF-8");
        command
    }

    /// Makes it the owner of `path`.
    pub(crate) fn give(&self, path: &Path) -> Result {
        match self {
            Self::Own => Ok(()),
            Self::Of { user, group } => std::os::unix::fs::chown(path, Some(*user), Some(*group))
                .doing("give a file to a server's user"),
        }
    }

    /// A new directory of this account's, removed by whoever called.
    pub(crate) fn directory(&self) -> Result<tempfile::TempDir> {
        // Open to others, since those who connect read the authority's certificate in it.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let made = tempfile::Builder::new().prefix("attune-test-").permissions(everybody).tempdir();
        let directory = made.doing("make a temporary directory")?;
        self.give(directory.path())?;
        Ok(directory)
    }

    /// Writes a file that only this account reads.
    pub(crate) fn write_secret(&self, path: &Path, text: &str) -> Result {
        std::fs::write(path, text).doing("write to a temporary directory")?;
        let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, only_owner).doing("protect a file")?;
        self.give(path)
    }
}

/// The search path for programs; Debian keeps some of what is needed where only root looks.
pub(crate) fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// The first of `directories`, then of the path, that holds `program`.
pub(crate) fn find(
    program: &str,
    directories: impl IntoIterator<Item = PathBuf>,
    package: &str,
) -> Result<PathBuf> {
    let path = path();
    let mut places = directories.into_iter().chain(std::env::split_paths(&path));
    places.find_map(|place| Some(place.join(program)).filter(|file| file.is_file())).ok_or_else(|| {
        Failure::new(format!(
            "`{program}` is not installed; on Debian, this installs it: \
             sudo apt-get install -y --no-install-recommends {package}"
        ))
    })
}
