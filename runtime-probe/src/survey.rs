//! From names to interpreters: every entry is opened once, judged, and put beside what it duplicates.

mod ahead;
mod rows;
mod spot;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rustix::io::Errno;

use crate::ask::{Answer, Inquiry};
use crate::capabilities::Applets;
use crate::catalogue;
use crate::environment;
use crate::evidence::{self, Buffer, Finding};
use crate::hints::{Hint, Hints};
use crate::options::{Mode, Options};
use crate::program::{self, Identity, Opened, Program};
use crate::reason::Reason;
use crate::report::{Confidence, Evidence, EvidenceKind, Interpreter, Libc, Rejected, Runnable};
use crate::search::{self, Entry, Found, Slot};
use crate::shims::{Selections, Shim};
use crate::tree::Tree;
use ahead::Pace;
use rows::Row;
use spot::Spot;

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
    /// BusyBox: its commands.
    applets: Applets,
}

/// How an interpreter is reached.
#[derive(Debug, Clone)]
struct Door {
    path: PathBuf,
    slot: Slot,
    /// The place in `PATH` order.
    place: usize,
    on_path: bool,
    /// The version manager whose shim led here.
    via: Option<&'static str>,
    /// Whether the hints name it, and what they say of its version and arguments.
    hint: Option<(Option<String>, Option<Vec<String>>)>,
}

/// What opening a door led to.
enum Outcome {
    Interpreter(Rc<Facts>),
    Shim(Shim),
}

/// A file that was judged before, as one runtime's program.
type Judged = (Identity, usize, Result<Rc<Facts>, Reason>);

/// A survey of one tree.
#[derive(Debug)]
pub(crate) struct Survey<'t> {
    tree: &'t Tree,
    options: &'t Options,
    hints: &'t Hints,
    judged: Vec<Judged>,
    /// What scans read into.
    buffer: Buffer,
    /// What version managers selected, so that each is asked once.
    selections: Selections,
    rows: Vec<Row>,
    /// Interpreters of runtimes that only the hints know.
    custom: Vec<Interpreter>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) warnings: Vec<String>,
    pub(crate) spawned: u32,
}

impl<'t> Survey<'t> {
    pub(crate) fn new(tree: &'t Tree, options: &'t Options, hints: &'t Hints) -> Self {
        Self {
            tree,
            options,
            hints,
            judged: Vec::with_capacity(96),
            buffer: Buffer::default(),
            selections: Selections::default(),
            rows: Vec::with_capacity(64),
            custom: Vec::new(),
            rejected: Vec::new(),
            warnings: Vec::new(),
            spawned: 0,
        }
    }

    /// Looks at everything that was found.
    pub(crate) fn visit(&mut self, found: &Found) {
        let (options, hints) = (self.options, self.hints);
        let mut pace = Pace::default();
        std::thread::scope(|scope| {
            for (index, entry) in found.entries.iter().enumerate() {
                let start = pace.is_undecided().then(Instant::now);
                self.look_at(found, entry);
                if start.is_some_and(|start| pace.is_cold_after(start.elapsed())) {
                    let rest = found.entries[index + 1..].iter();
                    let rest: Vec<_> = rest.map(|entry| (found.path_of(entry), entry.slot)).collect();
                    ahead::start(scope, options, hints, &rest);
                }
            }
        });
    }

    fn look_at(&mut self, found: &Found, entry: &Entry) {
        let place = &found.places[entry.place];
        let path = found.path_of(entry);
        if self.hints.ignore.iter().any(|ignored| path.starts_with(ignored)) {
            return;
        }
        let (slot, on_path) = (entry.slot, place.on_path);
        let door = Door { path, slot, place: entry.place, on_path, via: None, hint: None };
        let spot = Spot { found, entry };
        match self.known(spot) {
            Some(Ok(facts)) => self.add(facts, door),
            Some(Err(reason)) => self.reject(door, reason),
            None => {
                let opened = self.tree.open_in(place.fd.as_fd(), &entry.name, &door.path);
                self.enter(opened, door, Some(spot));
            }
        }
    }

    /// What was found out before about an entry that is the very file itself: it need not even be opened.
    fn known(&self, spot: Spot<'_>) -> Option<Result<Rc<Facts>, Reason>> {
        let entry = spot.entry;
        let runtime = entry.slot.runtime;
        let may_be = |(identity, of, _): &Judged| identity.inode() == entry.inode && *of == runtime;
        if !entry.is_file || !self.judged.iter().any(may_be) {
            return None;
        }
        self.verdict(&spot.identity(self.tree)?, runtime)
    }

    /// Looks at what the hints name.
    pub(crate) fn visit_hint(&mut self, hint: &Hint, runtime: Option<usize>) {
        let opened = self.tree.open(&hint.path);
        let Some(runtime) = runtime else {
            self.visit_custom(opened, hint);
            return;
        };
        let name = hint.path.file_name().unwrap_or_default();
        let slot = search::slot_of(name).filter(|slot| slot.runtime == runtime).unwrap_or(Slot {
            runtime,
            program: 0,
            rank: 0,
        });
        let door = Door {
            path: hint.path.clone(),
            slot: Slot { rank: 0, ..slot },
            place: 0,
            on_path: true,
            via: None,
            hint: Some((hint.version.clone(), hint.args.clone())),
        };
        self.enter(opened, door, None);
    }

    fn enter(&mut self, opened: Result<OwnedFd, Errno>, door: Door, spot: Option<Spot<'_>>) {
        let outcome = match opened {
            Ok(fd) => self.facts(fd, &door, spot),
            Err(error) => Err(program::failure(self.tree, &door.path, error)),
        };
        match outcome {
            Ok(Outcome::Interpreter(facts)) => self.add(facts, door),
            Ok(Outcome::Shim(Shim::Leads(manager, path))) if door.via.is_none() => {
                let opened = self.tree.open(&path);
                self.enter(opened, Door { path, via: Some(manager), ..door }, None);
            }
            Ok(Outcome::Shim(Shim::Leads(manager, _))) => {
                let cause = "that leads to another shim".to_owned();
                self.reject(door, Reason::Shim { manager: manager.into(), cause });
            }
            Ok(Outcome::Shim(Shim::Nowhere(manager, cause))) => {
                self.reject(door, Reason::Shim { manager: manager.into(), cause });
            }
            Err(reason) => self.reject(door, reason),
        }
    }

    fn reject(&mut self, door: Door, reason: Reason) {
        let name = door.slot.runtime().name.to_owned();
        self.rejected.push(Rejected { name, path: door.path, reason });
    }

    fn facts(&mut self, fd: OwnedFd, door: &Door, spot: Option<Spot<'_>>) -> Result<Outcome, Reason> {
        let opened = match spot.and_then(Spot::stat) {
            Some(stat) => Opened::seen(fd, stat),
            None => Opened::new(self.tree, fd, &door.path)?,
        };
        let runtime = door.slot.runtime;
        if let Some(verdict) = opened.identity().and_then(|identity| self.verdict(&identity, runtime)) {
            return verdict.map(Outcome::Interpreter);
        }
        let real = spot.and_then(|spot| spot.real(self.tree, opened.stat()));
        let mut program = Program::new(self.tree, opened, &door.path, real);
        if let Some(verdict) = self.verdict(&program.identity, runtime) {
            return verdict.map(Outcome::Interpreter);
        }
        program.look(self.tree);
        // Shims of different names may be one file, so what one leads to is nothing to remember.
        let name = door.slot.runtime().name;
        if let Some(shim) = self.selections.follow(self.tree, self.options, &program, &door.path, name) {
            return Ok(Outcome::Shim(shim));
        }
        let verdict = match program.judge(self.tree, spot.map(Spot::handle)) {
            Ok(runnable) => Ok(Rc::new(self.examine(&program, runnable, door))),
            Err(reason) => Err(reason),
        };
        self.judged.push((program.identity, runtime, verdict.clone()));
        verdict.map(Outcome::Interpreter)
    }

    /// What was found out about a file before.
    fn verdict(&self, identity: &Identity, runtime: usize) -> Option<Result<Rc<Facts>, Reason>> {
        let judged = self.judged.iter().find(|(other, of, _)| other == identity && *of == runtime);
        judged.map(|(.., verdict)| verdict.clone())
    }

    fn examine(&mut self, program: &Program, runnable: Runnable, door: &Door) -> Facts {
        let slot = door.slot;
        let behind = program.real.file_name().and_then(|name| search::program_named(slot.runtime, name));
        let slot = Slot { program: behind.unwrap_or(slot.program), ..slot };
        let finding = match self.options.mode {
            Mode::Fast => self
                .launcher_beside(program, slot)
                .or_else(|| evidence::read(self.tree, program, slot, &mut self.buffer)),
            Mode::Full => None,
        };
        let (version, evidence, implementation) = match finding {
            Some(Finding { version, evidence, program }) => (Some(version), evidence, program),
            None => (None, Evidence::none(), slot.program),
        };
        let is_busybox = slot.runtime().name == "shell"
            && slot.runtime().programs[implementation].implementation == "busybox";
        // While it is open; nobody asks an awk for them.
        let applets = if is_busybox {
            evidence::applets(self.tree, program, &mut self.buffer)
        } else {
            Applets::default()
        };
        Facts {
            runtime: slot.runtime,
            program: implementation,
            identity: program.identity.clone(),
            real: program.real.clone(),
            arch: program.arch(),
            libc: program.libc(),
            runnable,
            version,
            evidence,
            applets,
        }
    }

    /// What another launcher of the same installation showed: `R` is started by the release that `Rscript` is.
    fn launcher_beside(&self, program: &Program, slot: Slot) -> Option<Finding> {
        if !slot.program().is_launcher() {
            return None;
        }
        let judged = self.judged.iter().filter_map(|(.., verdict)| verdict.as_ref().ok());
        let mut beside = judged.filter(|facts| {
            (facts.runtime, facts.program) == (slot.runtime, slot.program)
                && facts.real.parent() == program.real.parent()
        });
        let Facts { version, evidence, program, .. } = &**beside.next()?;
        Some(Finding { version: version.clone()?, evidence: evidence.clone(), program: *program })
    }

    fn add(&mut self, facts: Rc<Facts>, door: Door) {
        let runtime = door.slot.runtime().name;
        let environment = environment::of(self.tree, &door.path, &facts.real, runtime);
        let twin = self.rows.iter_mut().find(|row| {
            row.facts.runtime == facts.runtime
                && row.facts.identity == facts.identity
                && row.environment == environment
        });
        match twin {
            Some(row) => row.also(door),
            None => self.rows.push(Row::new(facts, door, environment)),
        }
    }

    /// Asks the interpreters for which `wanted` holds, and believes them.
    pub(crate) fn ask(&mut self, wanted: impl Fn(&catalogue::Program, Confidence) -> bool) {
        self.rows = rows::merge_twins(std::mem::take(&mut self.rows));
        let mut asked = Vec::new();
        let mut inquiries = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let program = row.program();
            if program.questions.is_empty() || !wanted(program, row.confidence()) {
                continue;
            }
            let path = match program.questions[0].through {
                "" => row.door.path.clone(),
                sibling => row.door.path.with_file_name(sibling),
            };
            asked.push(index);
            inquiries.push(Inquiry { path, questions: program.questions });
        }
        let search_path = self.options.search_path();
        let (answers, spawned) = crate::ask::all(&inquiries, &search_path, self.options.deadline);
        self.spawned += spawned;
        let mut refused = Vec::new();
        for (index, answer) in asked.into_iter().zip(answers) {
            if let Some(reason) = self.believe(index, answer) {
                refused.push((index, reason));
            }
        }
        for (index, reason) in refused.into_iter().rev() {
            let row = self.rows.remove(index);
            self.reject(row.door, reason);
        }
    }

    /// Notes an answer; `Some` is why the interpreter is none.
    fn believe(&mut self, index: usize, answer: Answer) -> Option<Reason> {
        let row = &mut self.rows[index];
        let facts = Rc::make_mut(&mut row.facts);
        match answer {
            Answer::Version(version, question) => {
                // Erlang says only its emulator's version, which the installation translates.
                let is_erlang = row.door.slot.runtime().name == "erlang";
                let release =
                    is_erlang.then(|| evidence::erlang_release(self.tree, &facts.real, &version)).flatten();
                facts.version = Some(release.map_or(version, |(release, _)| release));
                facts.evidence = Evidence::read(EvidenceKind::Answer, &row.door.path, question);
                facts.runnable = Runnable::Likely;
                None
            }
            Answer::DoesNotStart(error) => Some(Reason::DoesNotStart { error }),
            Answer::Failed(cause) => Some(Reason::Failed { cause }),
            Answer::Unclear(detail) => {
                self.warnings.push(format!("{}: {detail}", row.door.path.display()));
                facts.runnable = Runnable::Unknown;
                None
            }
        }
    }

    /// The interpreters, in the order of the report.
    pub(crate) fn finish(&mut self) -> Vec<Interpreter> {
        // What nobody else holds need not be copied.
        self.judged.clear();
        let mut rows = rows::merge_twins(std::mem::take(&mut self.rows));
        rows.sort_by(Row::order);
        for row in &mut rows {
            self.warnings.extend(row.take_hint());
        }
        let mut interpreters: Vec<Interpreter> =
            rows.into_iter().map(|row| row.into_interpreter(self.tree)).collect();
        interpreters.append(&mut self.custom);
        interpreters
    }

    /// An interpreter of a runtime that the catalogue does not know.
    fn visit_custom(&mut self, opened: Result<OwnedFd, Errno>, hint: &Hint) {
        let looked = opened.map_err(|error| program::failure(self.tree, &hint.path, error)).and_then(|fd| {
            let opened = Opened::new(self.tree, fd, &hint.path)?;
            let mut program = Program::new(self.tree, opened, &hint.path, None);
            program.look(self.tree);
            let runnable = program.judge(self.tree, None)?;
            Ok((program, runnable))
        });
        match looked {
            Ok((program, runnable)) => self.custom.push(rows::custom(hint, &program, runnable)),
            Err(reason) => {
                self.rejected.push(Rejected { name: hint.name.clone(), path: hint.path.clone(), reason });
            }
        }
    }
}

/// A file's name as text.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
