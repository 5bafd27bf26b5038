//! Languages whose interpreter is one program, with a library at most.

use super::{Clue, Form, Program, Question, Reader, Runtime, Span, Versioned};
use crate::version::Mark;

const PYTHONS: &[&str] =
    &["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.16"];
const PYPYS: &[&str] = &["2.7", "3.9", "3.10", "3.11"];
const RUBIES: &[&str] = &["2.7", "3.0", "3.1", "3.2", "3.3", "3.4", "4.0"];
const PHPS: &[&str] = &["7.4", "8.0", "8.1", "8.2", "8.3", "8.4", "8.5"];

pub(super) const PYTHON: Runtime = Runtime {
    name: "python",
    title: "Python",
    aliases: &["python3", "py", "cpython"],
    extension: ".py",
    programs: &[
        Program {
            versioned: &[Versioned::new("python", PYTHONS)],
            questions: &[Question::new(&["--version"], &[Mark::after("Python ")])],
            clues: &[
                Clue::Symbol { name: "Py_Version", form: Form::PythonHex, library: "libpython" },
                Clue::Own(Reader::PythonFunction),
                Clue::Own(Reader::PythonText),
                Clue::Own(Reader::PythonFiles),
            ],
            ..Program::new("cpython", &["python3", "python", "python2"])
        },
        // The version is the language's: that is what an action asks for.
        Program {
            versioned: &[Versioned::new("pypy", PYPYS)],
            questions: &[Question::new(&["--version"], &[Mark::after("Python ")]).cost(30)],
            clues: &[Clue::Own(Reader::PythonFiles)],
            ..Program::new("pypy", &["pypy3", "pypy"])
        },
    ],
};

pub(super) const NODE: Runtime = Runtime {
    name: "node",
    title: "Node.js",
    aliases: &["nodejs", "node.js", "javascript", "js"],
    extension: ".js",
    programs: &[Program {
        versioned: &[Versioned::new("node-", &[])],
        questions: &[Question::new(&["--version"], &[Mark::after("v").parts(3)]).cost(6)],
        clues: &[
            Clue::Own(Reader::NodeFunction),
            // The address of its own headers: early among the constants of every build, where
            // `node.js/v` may be ten megabytes deep.
            Clue::library_text("libnode", &[Mark::after("/node-v").parts(3).then(".tar")]),
            Clue::file("{prefix}/include/node/node_version.h", Mark::after("Node.js v").parts(3)),
            Clue::Text {
                marks: &[Mark::after("node.js/v").parts(3)],
                library: "libnode",
                span: Span::Everything,
            },
        ],
        ..Program::new("node", &["node", "nodejs"])
    }],
};

pub(super) const DENO: Runtime = Runtime {
    name: "deno",
    title: "Deno",
    aliases: &[],
    extension: ".ts",
    programs: &[Program {
        args: &["run"],
        questions: &[Question::new(&["--version"], &[Mark::after("deno ").parts(3)]).cost(5)],
        clues: &[Clue::Text {
            marks: &[Mark::after("Deno/").parts(3).unless_after(b'-')],
            library: "",
            span: Span::Everything,
        }],
        ..Program::new("deno", &["deno"])
    }],
};

pub(super) const BUN: Runtime = Runtime {
    name: "bun",
    title: "Bun",
    aliases: &[],
    extension: ".ts",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::start().parts(3)]).cost(2)],
        clues: &[Clue::Text { marks: &[Mark::after("Bun/").parts(3)], library: "", span: Span::Everything }],
        ..Program::new("bun", &["bun"])
    }],
};

pub(super) const RUBY: Runtime = Runtime {
    name: "ruby",
    title: "Ruby",
    aliases: &["rb"],
    extension: ".rb",
    programs: &[Program {
        versioned: &[Versioned::new("ruby", RUBIES)],
        questions: &[Question::new(&["--version"], &[Mark::after("ruby ").parts(3)]).cost(10)],
        clues: &[
            Clue::Symbol {
                name: "ruby_version",
                form: Form::Text(Mark::start().parts(3)),
                library: "libruby",
            },
            Clue::library_text("libruby", &[Mark::after("ruby ").parts(3)]),
        ],
        ..Program::new("ruby", &["ruby"])
    }],
};

pub(super) const R: Runtime = Runtime {
    name: "r",
    title: "R",
    aliases: &["rscript"],
    extension: ".R",
    programs: &[Program {
        questions: &[Question::new(&["--version"], &[Mark::after("version ").parts(3)])],
        clues: &[Clue::Own(Reader::RHome)],
        scripted: true,
        ..Program::new("r", &["Rscript", "R"])
    }],
};

pub(super) const PERL: Runtime = Runtime {
    name: "perl",
    title: "Perl",
    aliases: &["perl5", "pl"],
    extension: ".pl",
    programs: &[Program {
        versioned: &[Versioned::new("perl", &[])],
        questions: &[Question::new(&["-e", "print $^V"], &[Mark::after("v").parts(3)])],
        clues: &[Clue::Symbol {
            name: "PL_revision",
            form: Form::Bytes("PL_version", "PL_subversion"),
            library: "libperl",
        }],
        ..Program::new("perl", &["perl"])
    }],
};

pub(super) const PHP: Runtime = Runtime {
    name: "php",
    title: "PHP",
    aliases: &[],
    extension: ".php",
    programs: &[Program {
        versioned: &[Versioned::new("php", PHPS)],
        // Without `-n` it loads every extension first, a third of the time.
        questions: &[Question::new(&["-n", "--version"], &[Mark::after("PHP ").parts(3)]).cost(15)],
        clues: &[Clue::text(&[Mark::after("PHP/").parts(3)])],
        ..Program::new("php", &["php", "php-cli"])
    }],
};

pub(super) const LUA: Runtime = Runtime {
    name: "lua",
    title: "Lua",
    aliases: &["luajit"],
    extension: ".lua",
    programs: &[
        Program {
            versioned: &[Versioned::new("lua", &["5.1", "5.2", "5.3", "5.4", "5.5"])],
            questions: &[Question::new(&["-v"], &[Mark::after("Lua ").parts(2)])],
            clues: &[
                Clue::Symbol {
                    name: "lua_ident",
                    form: Form::Text(Mark::after("Lua ").parts(2)),
                    library: "liblua",
                },
                Clue::library_text("liblua", &[Mark::after("Lua ").parts(3)]),
            ],
            ..Program::new("lua", &["lua"])
        },
        Program {
            questions: &[Question::new(&["-v"], &[Mark::after("LuaJIT ").parts(2)])],
            clues: &[Clue::library_text("libluajit", &[Mark::after("LuaJIT ").parts(2)])],
            versioned: &[Versioned::new("luajit-", &[])],
            ..Program::new("luajit", &["luajit"])
        },
    ],
};

pub(super) const TCL: Runtime = Runtime {
    name: "tcl",
    title: "Tcl",
    aliases: &["tclsh"],
    extension: ".tcl",
    programs: &[Program {
        versioned: &[Versioned::new("tclsh", &["8.5", "8.6", "8.7", "9.0"])],
        // There is no flag: a script is the only way to ask.
        questions: &[Question::new(&[], &[Mark::start()]).input("puts [info patchlevel]\n").cost(4)],
        clues: &[Clue::library_text(
            "libtcl",
            &[Mark::before("\0tcl_patchLevel\0"), Mark::after("tcl_patchLevel\0")],
        )],
        ..Program::new("tclsh", &["tclsh"])
    }],
};

pub(super) const JULIA: Runtime = Runtime {
    name: "julia",
    title: "Julia",
    aliases: &[],
    extension: ".jl",
    programs: &[Program {
        versioned: &[Versioned::new("julia-", &[])],
        questions: &[Question::new(&["--version"], &[Mark::after("julia version ")]).cost(100)],
        clues: &[
            Clue::Entries { path: "{prefix}/lib", mark: Mark::after("libjulia.so.").parts(3) },
            Clue::RealPath(Mark::after("/julia-").parts(3)),
        ],
        ..Program::new("julia", &["julia"])
    }],
};

pub(super) const GUILE: Runtime = Runtime {
    name: "guile",
    title: "Guile",
    aliases: &["scheme"],
    extension: ".scm",
    programs: &[Program {
        versioned: &[Versioned::new("guile-", &["2.2", "3.0"]), Versioned::new("guile", &["2.2", "3.0"])],
        questions: &[Question::new(&["--version"], &[Mark::after("Guile) ").parts(2)]).cost(12)],
        clues: &[Clue::library_text("libguile-", &[Mark::after("guileversion\0").parts(2)])],
        ..Program::new("guile", &["guile"])
    }],
};
