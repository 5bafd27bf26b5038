//! The reference page: the program's own help, and tables that only the library knows.

use super::programs::Programs;
use crate::step::{Failure, Result};

/// Under this line of its help, the program lists its exit codes.
const EXIT_CODES: &str = "Exit codes:\n";

/// Under this line of a help, there is a list of verbs.
const VERBS: &str = "Commands:\n";

/// The page.
pub(super) fn page(programs: &Programs) -> Result<String> {
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
    describe(programs, &[], &agent, &mut page)?;
    page.push_str(&format!(
        "\
## Exit codes

{}
## Settings

Each has one place in the configuration file (`--config`, YAML; a dot is a level) and a variable; what is set by both is
taken from the variable, and an empty variable is none.

There is one configuration file: that of `--config`, else that of `ATTUNE_CONFIG`. Nothing is looked for beside it: the
`config.yaml` and `config.<environment>.yaml` of the working directory, which Attune's services read, are not read, and a
worker that finds one there warns. A file that `--config` names has to be there; one that `ATTUNE_CONFIG` names need not,
which is a warning. Settings of other services, and those that have no meaning here, are left alone.

{}
## Result

`execution.result` is an object, and so is what `submit --json` and `exec` print after `execution_id`, `action_ref` and
`status`. A workflow reads the first, as `{{{{ result().KEY }}}}`, where the keys of `data` stand beside those at the top and do
not overwrite them. So the top has the keys of Attune's own worker alone, and everything that this agent says beyond those is
below `_agent`: whatever an action calls what it returns, a workflow reads it, unless Attune has that name too.
What is printed is for people and scripts, and has our fields beside the others; what the action returned is in `data`, and nowhere
else. Every field may be absent, but `succeeded` and the reason.

{}
Paths lead to the volume of artifacts as this worker sees it. A file that only the worker could open is never named: where logs
go to the API, the artifact is.

## Reasons

Every result says in `_agent.reason`, and every document that is printed in `reason`, why its execution ended. A code is never
renamed, and never used for anything else.

{}",
        exit_codes(codes),
        programs.table("settings")?,
        programs.table("result")?,
        programs.table("reasons")?,
    ));
    Ok(page)
}

/// Describes every verb that `help`, the help of `verb`, lists, and theirs.
fn describe(programs: &Programs, verb: &[&str], help: &str, page: &mut String) -> Result {
    for below in verbs(help) {
        let verb = [verb, &[below]].concat();
        let help = programs.help(&verb)?;
        page.push_str(&format!("### attune-agent {}\n\n{}", verb.join(" "), block(&help)));
        describe(programs, &verb, &help, page)?;
    }
    Ok(())
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
