//! Who a worker runs as, and what that user has.

use std::path::Path;

use rustix::process::{getegid, geteuid};

use super::check::Check;
use super::files::try_to_write;

const CATEGORY: &str = "user";

pub(super) fn checks() -> Vec<Check> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    // An image of a single file has none.
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = match name_of(user, &accounts) {
        Some(name) => Check::fine(CATEGORY, format!("user {user} ({name}), group {group}")),
        None => Check::doubtful(
            CATEGORY,
            format!("user {user}, who is not in /etc/passwd, group {group}"),
            "a worker needs no name; programs that ask for one, such as ssh, whoami or git, fail in actions",
        ),
    };
    vec![account, home()]
}

/// The name in the lines of `/etc/passwd`.
fn name_of(user: u32, accounts: &str) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(user)).then_some(name)
    })
}

fn home() -> Check {
    let instead = "actions are given a temporary directory in its place";
    let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) else {
        return Check::fine(CATEGORY, format!("HOME is not set: {instead}"));
    };
    let home = Path::new(&home);
    match try_to_write(home) {
        Ok(()) => Check::fine(CATEGORY, format!("HOME is {}", home.display())),
        Err(error) => Check::fine(CATEGORY, format!("HOME is {}, {error}: {instead}", home.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_third_field() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nbroken\n1000:x:7:7::/:\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(name_of(0, accounts), Some("root"));
        assert_eq!(name_of(1000, accounts), Some("alice"));
        assert_eq!(name_of(1_000_680_000, accounts), None);
    }
}
