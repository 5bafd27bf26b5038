//! Languages that come as an installation: a launcher, a home directory, and files that name the release.

use super::{Clue, Program, Question, Reader, Runtime, Versioned};
use crate::version::Mark;

const JAVA_RELEASE: Mark = Mark::after("JAVA_VERSION=\"").parts(1);
const NETCORE: Mark = Mark::after("Microsoft.NETCore.App ").parts(3).greatest();

pub(super) const GO: Runtime = Runtime {
    name: "go",
    title: "Go",
    aliases: &["golang"],
    extension: ".go",
    programs: &[Program {
        args: &["run"],
        versioned: &[Versioned::new("go", &[])],
        // Asked with GOTOOLCHAIN=local and in `/`: elsewhere it may start a download.
        questions: &[Question::new(&["version"], &[Mark::after("go version go")]).cost(5)],
        clues: &[Clue::file("{prefix}/VERSION", Mark::starts_with("go")), Clue::Own(Reader::GoBuildInfo)],
        ..Program::new("go", &["go"])
    }],
};

pub(super) const JAVA: Runtime = Runtime {
    name: "java",
    title: "Java",
    aliases: &["jdk", "openjdk", "jre"],
    extension: ".java",
    programs: &[Program {
        questions: &[
            // An eighth of the time of `-version`: it starts no virtual machine.
            Question::new(&["-Xinternalversion"], &[Mark::after("JRE (").parts(1)]).cost(6),
            Question::new(&["-version"], &[Mark::after("version \"").parts(1)]).cost(45),
        ],
        clues: &[
            Clue::file("{prefix}/release", JAVA_RELEASE),
            // Java 8 keeps a second launcher in `jre/bin`.
            Clue::file("{prefix}/../release", JAVA_RELEASE),
        ],
        ..Program::new("java", &["java"])
    }],
};

pub(super) const POWERSHELL: Runtime = Runtime {
    name: "powershell",
    title: "PowerShell",
    aliases: &["pwsh"],
    extension: ".ps1",
    programs: &[Program {
        args: &["-NoProfile", "-NonInteractive", "-File"],
        questions: &[Question::new(&["--version"], &[Mark::after("PowerShell ").parts(3)]).cost(150)],
        clues: &[
            Clue::file("{dir}/pwsh.deps.json", Mark::after("\"Microsoft.PowerShell.ConsoleHost/").parts(3)),
            Clue::file("{dir}/pwsh.deps.json", Mark::after("\"pwsh/").parts(3)),
        ],
        ..Program::new("pwsh", &["pwsh"])
    }],
};

pub(super) const DOTNET: Runtime = Runtime {
    name: "dotnet",
    title: ".NET",
    aliases: &[".net", "netcore"],
    extension: ".dll",
    programs: &[Program {
        // `--version` fails where only the runtime is installed.
        questions: &[Question::new(&["--list-runtimes"], &[NETCORE]).cost(3)],
        clues: &[Clue::Entries { path: "{dir}/shared/Microsoft.NETCore.App", mark: Mark::start().parts(3) }],
        ..Program::new("dotnet", &["dotnet"])
    }],
};

pub(super) const ERLANG: Runtime = Runtime {
    name: "erlang",
    title: "Erlang/OTP",
    aliases: &["erl", "otp", "escript"],
    extension: ".erl",
    programs: &[Program {
        // A virtual machine that is asked for its release takes 150 ms. `erl -version` stops before it starts one,
        // but knows only the emulator's version, which the release's files translate.
        questions: &[Question::new(&["-version"], &[Mark::after("emulator version ")])
            .through("erl")
            .cost(30)],
        clues: &[Clue::Own(Reader::ErlangRelease)],
        scripted: true,
        ..Program::new("beam", &["escript", "erl"])
    }],
};

pub(super) const ELIXIR: Runtime = Runtime {
    name: "elixir",
    title: "Elixir",
    aliases: &["ex"],
    extension: ".exs",
    programs: &[Program {
        // `--version` starts a virtual machine, 200 ms; the shell script answers this one itself, since 1.11.
        questions: &[
            Question::new(&["--short-version"], &[Mark::start().parts(3)]),
            Question::new(&["--version"], &[Mark::after("Elixir ").parts(3)]).cost(250),
        ],
        clues: &[
            Clue::Script(Mark::after("ELIXIR_VERSION=").parts(3)),
            Clue::file("{prefix}/lib/elixir/ebin/elixir.app", Mark::after("{vsn,\"").parts(3)),
        ],
        scripted: true,
        ..Program::new("elixir", &["elixir"])
    }],
};

pub(super) const GROOVY: Runtime = Runtime {
    name: "groovy",
    title: "Groovy",
    aliases: &[],
    extension: ".groovy",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::after("Groovy Version: ")]).cost(800)],
        clues: &[
            Clue::Entries { path: "{prefix}/lib", mark: Mark::after("groovy-").parts(3).then(".jar") },
            Clue::RealPath(Mark::after("/groovy-").parts(3)),
        ],
        scripted: true,
        ..Program::new("groovy", &["groovy"])
    }],
};

pub(super) const KOTLIN: Runtime = Runtime {
    name: "kotlin",
    title: "Kotlin",
    aliases: &["kt"],
    extension: ".kts",
    programs: &[Program {
        questions: &[Question::new(&["-version"], &[Mark::after("Kotlin version ").parts(3)]).cost(700)],
        clues: &[Clue::file("{prefix}/build.txt", Mark::start().parts(3))],
        scripted: true,
        ..Program::new("kotlin", &["kotlin"])
    }],
};

pub(super) const SCALA: Runtime = Runtime {
    name: "scala",
    title: "Scala",
    aliases: &[],
    extension: ".scala",
    programs: &[Program {
        versioned: &[Versioned::new("scala", &["3"])],
        questions: &[Question::new(&["-version"], &[Mark::after("version ").parts(3)]).any_exit().cost(900)],
        clues: &[
            Clue::file("{prefix}/VERSION", Mark::after("version:=").parts(3)),
            Clue::RealPath(Mark::after("/scala-").parts(3)),
            Clue::RealPath(Mark::after("/scala3-").parts(3)),
        ],
        scripted: true,
        ..Program::new("scala", &["scala"])
    }],
};

pub(super) const HASKELL: Runtime = Runtime {
    name: "haskell",
    title: "Haskell",
    aliases: &["ghc", "runghc", "hs"],
    extension: ".hs",
    programs: &[Program {
        versioned: &[Versioned::new("runghc-", &[])],
        questions: &[Question::new(&["--version"], &[Mark::after("runghc ").parts(3)]).cost(100)],
        clues: &[Clue::RealPath(Mark::after("ghc-").parts(3)), Clue::Script(Mark::after("ghc-").parts(3))],
        scripted: true,
        ..Program::new("ghc", &["runghc", "runhaskell"])
    }],
};

pub(super) const OCAML: Runtime = Runtime {
    name: "ocaml",
    title: "OCaml",
    aliases: &["ml"],
    extension: ".ml",
    programs: &[Program {
        questions: &[Question::new(&["-version"], &[Mark::after("version ")]).cost(5)],
        clues: &[
            Clue::file("{prefix}/lib/ocaml/VERSION", Mark::start()),
            Clue::file("{prefix}/lib/ocaml/Makefile.config", Mark::after("\nVERSION=")),
        ],
        ..Program::new("ocaml", &["ocaml"])
    }],
};

pub(super) const SWIFT: Runtime = Runtime {
    name: "swift",
    title: "Swift",
    aliases: &[],
    extension: ".swift",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::after("Swift version ")]).cost(100)],
        ..Program::new("swift", &["swift"])
    }],
};

pub(super) const MONO: Runtime = Runtime {
    name: "mono",
    title: "Mono",
    aliases: &[],
    extension: ".exe",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::after("compiler version ").parts(3)]).cost(2)],
        clues: &[Clue::text(&[Mark::after("--version=number\0").parts(3)])],
        ..Program::new("mono", &["mono", "mono-sgen"])
    }],
};

pub(super) const SBCL: Runtime = Runtime {
    name: "lisp",
    title: "Common Lisp",
    aliases: &["sbcl", "commonlisp"],
    extension: ".lisp",
    programs: &[Program {
        args: &["--script"],
        questions: &[Question::new(&["--version"], &[Mark::after("SBCL ").parts(3)])],
        clues: &[Clue::text(&[Mark::before("\0SBCL %s\n").parts(3)])],
        ..Program::new("sbcl", &["sbcl"])
    }],
};
