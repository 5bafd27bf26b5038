//! From names to interpreters: every entry is opened once, judged, and put beside what it duplicates.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ask::{Answer, Inquiry};
use crate::capabilities::Capabilities;
use crate::catalogue;
use crate::environment::{self, Environment};
use crate::evidence::{self, Finding};
use crate::options::Mode;
use crate::program::{self, Identity, Program};
use crate::reason::Reason;
use crate::report::{Confidence, Evidence, EvidenceKind, Interpreter, Libc, Rejected, Runnable};
use crate::search::{self, Found, Slot};
use crate::tree::Tree;

/// What is known about one file, whichever names lead to it.
#[derive(Debug, Clone)]
struct Facts {
    runtime: usize,
    program: usize,
    identity: Identity,
    real: PathBuf,
    arch: Option<&'static str>,
    libc: Option<Libc>,
    runnable: Runnable,
    version: Option<String>,
    evidence: Evidence,
}

/// An interpreter in the making.
#[derive(Debug)]
struct Row {
    facts: Facts,
    slot: Slot,
    place: usize,
    path: PathBuf,
    names: Vec<OsString>,
    on_path: bool,
    via: Option<&'static str>,
    environment: Option<Environment>,
}

/// A survey of one tree.
#[derive(Debug)]
pub(crate) struct Survey<'t> {
    tree: &'t Tree,
    mode: Mode,
    files: Vec<Result<Facts, (Identity, usize, Reason)>>,
    rows: Vec<Row>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) warnings: Vec<String>,
    pub(crate) spawned: u32,
}

impl<'t> Survey<'t> {
    pub(crate) fn new(tree: &'t Tree, mode: Mode) -> Self {
        Self {
            tree,
            mode,
            files: Vec::new(),
            rows: Vec::new(),
            rejected: Vec::new(),
            warnings: Vec::new(),
            spawned: 0,
        }
    }

    /// Looks at everything that was found.
    pub(crate) fn visit(&mut self, found: &Found) {
        for entry in &found.entries {
            let place = &found.places[entry.place];
            let name = OsStr::from_bytes(entry.name.to_bytes());
            let path = place.path.join(name);
            let opened = self.tree.open_in(place.fd.as_fd(), &entry.name, &path);
            let facts = match opened {
                Ok(fd) => self.facts(fd, &path, entry.slot),
                Err(error) => Err(program::failure(self.tree, &path, error)),
            };
            match facts {
                Ok(facts) => self.add(facts, entry.slot, entry.place, path, name, place.on_path),
                Err(reason) => self.reject(entry.slot, path, reason),
            }
        }
    }

    fn reject(&mut self, slot: Slot, path: PathBuf, reason: Reason) {
        self.rejected.push(Rejected {
            name: slot.runtime().name.to_owned(),
            path,
            reason,
        });
    }

    fn facts(&mut self, fd: std::os::fd::OwnedFd, path: &Path, slot: Slot) -> Result<Facts, Reason> {
        let mut program = Program::new(self.tree, fd, path)?;
        for known in &self.files {
            match known {
                Ok(facts) if facts.identity == program.identity && facts.runtime == slot.runtime => {
                    return Ok(facts.clone());
                }
                Err((identity, runtime, reason))
                    if *identity == program.identity && *runtime == slot.runtime =>
                {
                    return Err(reason.clone());
                }
                _ => {}
            }
        }
        let facts = self.examine(&mut program, slot);
        self.files.push(match &facts {
            Ok(facts) => Ok(facts.clone()),
            Err(reason) => Err((program.identity, slot.runtime, reason.clone())),
        });
        facts
    }

    fn examine(&self, program: &mut Program, slot: Slot) -> Result<Facts, Reason> {
        let runnable = program.judge(self.tree)?;
        let behind = program
            .real
            .file_name()
            .and_then(|name| search::program_named(slot.runtime, name));
        let slot = Slot {
            program: behind.unwrap_or(slot.program),
            ..slot
        };
        let finding = match self.mode {
            Mode::Fast => evidence::read(self.tree, program, slot),
            Mode::Full => None,
        };
        let (version, evidence, implementation) = match finding {
            Some(Finding {
                version,
                evidence,
                program,
            }) => (Some(version), evidence, program),
            None => (None, Evidence::none(), slot.program),
        };
        Ok(Facts {
            runtime: slot.runtime,
            program: implementation,
            identity: program.identity.clone(),
            real: program.real.clone(),
            arch: program.arch(),
            libc: program.libc(),
            runnable,
            version,
            evidence,
        })
    }

    fn add(&mut self, facts: Facts, slot: Slot, place: usize, path: PathBuf, name: &OsStr, on_path: bool) {
        let environment = environment::of(self.tree, &path, &facts.real, catalogue::all()[slot.runtime].name);
        let twin = self.rows.iter_mut().find(|row| {
            row.facts.runtime == slot.runtime
                && row.facts.identity == facts.identity
                && row.environment == environment
        });
        let Some(row) = twin else {
            self.rows.push(Row {
                facts,
                slot,
                place,
                path,
                names: vec![name.to_owned()],
                on_path,
                via: None,
                environment,
            });
            return;
        };
        if !row.names.iter().any(|known| known == name) {
            row.names.push(name.to_owned());
        }
        // A better name is a better handle, but not where it is off the path.
        if slot.rank < row.slot.rank && on_path >= row.on_path {
            row.slot = slot;
            row.place = place;
            row.path = path;
            row.on_path = on_path;
        }
    }

    /// Asks the interpreters for which `wanted` holds, and believes them.
    pub(crate) fn ask(
        &mut self,
        wanted: impl Fn(&catalogue::Program, Confidence) -> bool,
        deadline: std::time::Duration,
    ) {
        let mut asked = Vec::new();
        let mut inquiries = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let program = &catalogue::all()[row.facts.runtime].programs[row.facts.program];
            let confidence = row.facts.evidence.kind.confidence();
            if program.questions.is_empty() || !wanted(program, confidence) {
                continue;
            }
            let path = match program.questions[0].through {
                "" => row.path.clone(),
                sibling => row.path.with_file_name(sibling),
            };
            asked.push(index);
            inquiries.push(Inquiry {
                path,
                questions: program.questions,
            });
        }
        let (answers, spawned) = crate::ask::all(&inquiries, deadline);
        self.spawned += spawned;
        let mut refused = Vec::new();
        for (index, answer) in asked.into_iter().zip(answers) {
            if let Some(reason) = self.believe(index, answer) {
                refused.push((index, reason));
            }
        }
        for (index, reason) in refused.into_iter().rev() {
            let row = self.rows.remove(index);
            self.reject(row.slot, row.path, reason);
        }
    }

    /// Notes an answer; `Some` is why the interpreter is none.
    fn believe(&mut self, index: usize, answer: Answer) -> Option<Reason> {
        let row = &mut self.rows[index];
        match answer {
            Answer::Version(version, question) => {
                let erlang = catalogue::all()[row.facts.runtime].name == "erlang";
                let version = match evidence::erlang_release(self.tree, &row.facts.real, &version) {
                    Some((release, _)) if erlang => release,
                    _ => version,
                };
                row.facts.version = Some(version);
                row.facts.evidence = Evidence::read(EvidenceKind::Answer, &row.path, question);
                row.facts.runnable = Runnable::Likely;
                None
            }
            Answer::DoesNotStart(error) => Some(Reason::DoesNotStart { error }),
            Answer::Failed(detail) => Some(Reason::Failed { detail }),
            Answer::Unclear(detail) => {
                self.warnings.push(format!("{}: {detail}", row.path.display()));
                row.facts.runnable = Runnable::Unknown;
                None
            }
        }
    }

    /// The interpreters, in the order of the report.
    pub(crate) fn finish(mut self) -> (Vec<Interpreter>, Vec<Rejected>) {
        self.merge_twins();
        self.rows.sort_by(|left, right| {
            let key = |row: &Row| (row.facts.runtime, !row.on_path, row.slot.rank, row.place);
            key(left).cmp(&key(right))
        });
        let tree = self.tree;
        let interpreters = self.rows.into_iter().map(|row| interpreter(tree, row)).collect();
        (interpreters, self.rejected)
    }

    /// Two programs of one installation are one interpreter: `R` and `Rscript`, `erl` and `escript`.
    fn merge_twins(&mut self) {
        let mut kept: Vec<Row> = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            let twin = kept.iter_mut().find(|other| {
                other.facts.runtime == row.facts.runtime
                    && other.facts.program == row.facts.program
                    && other.facts.version.is_some()
                    && other.facts.version == row.facts.version
                    && other.facts.real.parent() == row.facts.real.parent()
                    && other.environment == row.environment
            });
            match twin {
                Some(twin) => {
                    let (mut better, other) = if row.slot.rank < twin.slot.rank && row.on_path >= twin.on_path
                    {
                        let better = std::mem::replace(twin, row);
                        (std::mem::take(&mut twin.names), better.names)
                    } else {
                        (std::mem::take(&mut twin.names), row.names)
                    };
                    better.extend(other);
                    twin.names = better;
                }
                None => kept.push(row),
            }
        }
        self.rows = kept;
    }
}

fn interpreter(_tree: &Tree, row: Row) -> Interpreter {
    let runtime = &catalogue::all()[row.facts.runtime];
    let program = &runtime.programs[row.facts.program];
    let found_as = text(row.path.file_name().unwrap_or_default());
    // `busybox` needs to be told that it is a shell; `sh`, which leads to it, knows.
    let args =
        if program.implementation == "busybox" && !found_as.starts_with("busybox") && runtime.name == "shell"
        {
            &[][..]
        } else {
            program.args
        };
    let mut names: Vec<String> = row.names.iter().map(|name| text(name)).collect();
    names.sort_by_key(|name| (*name != found_as, name.clone()));
    names.dedup();
    Interpreter {
        name: runtime.name.to_owned(),
        path: row.path,
        found_as,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        version: row.facts.version,
        confidence: row.facts.evidence.kind.confidence(),
        evidence: row.facts.evidence,
        implementation: program.implementation.to_owned(),
        real: row.facts.real,
        names,
        on_path: row.on_path,
        via: row.via,
        arch: row.facts.arch,
        libc: row.facts.libc,
        runnable: row.facts.runnable,
        environment: row.environment,
        capabilities: Capabilities::default(),
    }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
