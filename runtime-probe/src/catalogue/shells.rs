//! Shells and awk: the programs an image has when it has nothing else.

use super::{Clue, Program, Question, Runtime, Versioned};
use crate::version::Mark;

const BASH: Mark = Mark::after("@(#)Bash version ");
const BUSYBOX: Mark = Mark::after("BusyBox v");
const MKSH: &[Mark] = &[Mark::after("MIRBSD KSH R").parts(1), Mark::after("LEGACY KSH R").parts(1)];
const KSH: &[Mark] =
    &[Mark::after("(AT&T Research) 93u+m/").parts(1), Mark::after("(AT&T Research) ").parts(1)];

pub(super) const SHELL: Runtime = Runtime {
    name: "shell",
    title: "Shell",
    aliases: &["bash", "sh", "dash", "ash", "posix"],
    extension: ".sh",
    programs: &[
        Program {
            questions: &[Question::new(&["--version"], &[Mark::after("version ")])],
            clues: &[Clue::text(&[BASH])],
            ..Program::new("bash", &["bash"])
        },
        // Whatever else `sh` turns out to be is decided by what is behind it, not by the name. dash has
        // neither a version in its file nor a flag that prints one.
        Program::new("dash", &["sh", "dash"]),
        Program::new("ash", &["ash"]),
        Program {
            args: &["sh"],
            questions: &[Question::new(&["--help"], &[BUSYBOX]).any_exit()],
            clues: &[Clue::text(&[BUSYBOX])],
            ..Program::new("busybox", &["busybox", "busybox.static"])
        },
        Program {
            questions: &[Question::new(&["--version"], &[Mark::after("zsh ")])],
            clues: &[Clue::text(&[Mark::before("\0zsh %s (%s-%s-%s)")])],
            ..Program::new("zsh", &["zsh"])
        },
        Program {
            questions: &[Question::new(&["--version"], KSH).any_exit()],
            clues: &[Clue::text(KSH)],
            ..Program::new("ksh93", &["ksh", "ksh93"])
        },
        Program {
            questions: &[Question::new(&["-c", "echo \"$KSH_VERSION\""], &[Mark::after("KSH R").parts(1)])],
            clues: &[Clue::text(MKSH)],
            ..Program::new("mksh", &["mksh", "lksh", "oksh"])
        },
        Program {
            questions: &[Question::new(&["--version"], &[Mark::after("version ")])],
            ..Program::new("yash", &["yash"])
        },
    ],
};

pub(super) const FISH: Runtime = Runtime {
    name: "fish",
    title: "fish",
    aliases: &[],
    extension: ".fish",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::after("version ")]).cost(2)],
        clues: &[Clue::file("{prefix}/share/pkgconfig/fish.pc", Mark::after("\nVersion: "))],
        ..Program::new("fish", &["fish"])
    }],
};

pub(super) const AWK: Runtime = Runtime {
    name: "awk",
    title: "AWK",
    aliases: &["gawk", "mawk"],
    extension: ".awk",
    programs: &[
        Program {
            args: &["-f"],
            questions: &[Question::new(&["--version"], &[Mark::after("GNU Awk ")])],
            clues: &[Clue::text(&[Mark::after("GNU Awk ")])],
            versioned: &[Versioned::new("gawk-", &[])],
            ..Program::new("gawk", &["gawk", "awk"])
        },
        // It puts its version together at run time, and nobody chooses an awk by it.
        Program {
            args: &["-f"],
            worth_asking: false,
            questions: &[Question::new(&["-W", "version"], &[Mark::after("mawk ")])],
            ..Program::new("mawk", &["mawk"])
        },
        Program {
            args: &["-f"],
            questions: &[Question::new(&["--version"], &[Mark::after("awk version ").parts(1)])],
            clues: &[Clue::text(&[Mark::after("awk version ").parts(1)])],
            ..Program::new("onetrueawk", &["original-awk", "bwk"])
        },
        // It has no name of its own here: it is what `awk` leads to.
        Program {
            args: &["-f"],
            questions: &[Question::new(&["--help"], &[BUSYBOX]).any_exit()],
            clues: &[Clue::text(&[BUSYBOX])],
            ..Program::new("busybox", &[])
        },
    ],
};
