//! `cargo xtask docs`: the reference page, written from the tables in the code and from the program's own help.

use std::path::PathBuf;
use std::process::Command;

use crate::step::{self, Failure, Result};

const PAGE: &str = "docs/reference.md";

/// Under this line of its help, the program lists its exit codes.
const EXIT_CODES: &str = "Exit codes:\n";

/// Under this line of a help, there is a list of verbs.
const VERBS: &str = "Commands:\n";

/// Writes the page.
pub(crate) fn write() -> Result {
    let path = step::workspace().join(PAGE);
    std::fs::write(&path, page()?)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}

/// Fails where the page is not what the code says now.
pub(crate) fn check() -> Result {
    let page = page()?;
    // A page that cannot be read differs from its first line on.
    let written = std::fs::read_to_string(step::workspace().join(PAGE)).unwrap_or_default();
    if page == written {
        return Ok(());
    }
    let same = page.lines().zip(written.lines()).take_while(|(ours, theirs)| ours == theirs).count();
    Err(Failure::new(format!(
        "{PAGE} is not what the code says, from line {} on: `cargo xtask docs` writes it again",
        same + 1
    )))
}

fn page() -> Result<String> {
    let programs = Programs::build()?;
    let agent = programs.help(&[])?;
    let (usage, codes) = agent
        .split_once(EXIT_CODES)
        .ok_or_else(|| Failure::new("the help of attune-agent lists no exit codes"))?;
    let mut page = format!(
        "\
# Reference

This page is written from the code by `cargo xtask docs`; what is to be changed is changed there.

## Command line

### attune-agent

{}",
        block(usage)
    );
    programs.describe(&[], &agent, &mut page)?;
    page.push_str(&format!(
        "\
## Exit codes

{}
## Settings

Each has one place in the configuration file (`--config`, YAML; a dot is a level) and a variable; what is set by both is
taken from the variable, and an empty variable is none.

{}
## Reasons

Every result says in `reason` why its execution ended. A code is never renamed, and never used for anything else.

{}",
        exit_codes(codes),
        programs.table("settings")?,
        programs.table("reasons")?,
    ));
    Ok(page)
}

/// Where the built programs are.
struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Builds what is asked for the page, with the features that the tests have too: nothing is built twice.
    fn build() -> Result<Self> {
        step::run(&mut step::cargo(&["build", "--workspace", "--locked", "--bins", "--examples"]))?;
        Ok(Self { directory: step::target_directory()?.join("debug") })
    }

    fn table(&self, name: &str) -> Result<String> {
        step::read(Command::new(self.directory.join("examples/reference")).arg(name))
    }

    /// The help of a verb, as wide as it is where there is no terminal.
    fn help(&self, verb: &[&str]) -> Result<String> {
        let mut agent = Command::new(self.directory.join("attune-agent"));
        step::read(agent.args(verb).arg("--help").env_remove("COLUMNS"))
    }

    /// Describes every verb that `help`, the help of `verb`, lists, and theirs.
    fn describe(&self, verb: &[&str], help: &str, page: &mut String) -> Result {
        for below in verbs(help) {
            let verb = [verb, &[below]].concat();
            let help = self.help(&verb)?;
            page.push_str(&format!("### attune-agent {}\n\n{}", verb.join(" "), block(&help)));
            self.describe(&verb, &help, page)?;
        }
        Ok(())
    }
}

/// The verbs that a help lists. Each begins a line after two spaces; its description may go on in further lines.
fn verbs(help: &str) -> impl Iterator<Item = &str> {
    let list = help.split_once(VERBS).map_or("", |(_, list)| list);
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|verb| !verb.is_empty() && *verb != "help")
}

/// A block of text as it is, but for blanks at the ends of lines.
fn block(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n\n", lines.join("\n"))
}

/// The table of exit codes, from lines with a code and its meaning.
fn exit_codes(list: &str) -> String {
    let rows = list.lines().filter_map(|line| line.trim().split_once(' '));
    let rows: String = rows.map(|(code, meaning)| format!("| {code} | {} |\n", meaning.trim())).collect();
    format!("| code | meaning |\n| --- | --- |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
A program.

Usage: program <COMMAND>

Commands:
  pack  Bring packs into a control plane, wherever
        it is
  run   Be a worker
  help  Print this message

Options:
  -h, --help  Print help

Exit codes:
  0    it worked
  130  stopped waiting
";

    #[test]
    fn verbs_are_what_begins_a_line_of_their_list() {
        assert_eq!(verbs(HELP).collect::<Vec<_>>(), ["pack", "run"]);
        assert_eq!(verbs("Usage: program\n").count(), 0);
    }

    #[test]
    fn exit_codes_become_rows() {
        let (_, codes) = HELP.split_once(EXIT_CODES).unwrap();
        let rows = exit_codes(codes);
        assert_eq!(rows, "| code | meaning |\n| --- | --- |\n| 0 | it worked |\n| 130 | stopped waiting |\n");
    }
}
