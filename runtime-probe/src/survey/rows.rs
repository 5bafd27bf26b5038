//! Interpreters in the making: one row for each, however many names and links lead to it.

use std::cmp::Ordering;
use std::rc::Rc;

use super::{Door, Facts, name_of};
use crate::capabilities::{self, Capabilities};
use crate::catalogue::Program as Entry;
use crate::environment::Environment;
use crate::hints::Hint;
use crate::program::Program;
use crate::report::{Confidence, Evidence, EvidenceKind, Interpreter, Runnable};
use crate::tree::Tree;

/// An interpreter in the making.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) facts: Rc<Facts>,
    /// The best way to reach it.
    pub(super) door: Door,
    pub(super) environment: Option<Environment>,
    names: Vec<String>,
}

impl Row {
    pub(super) fn new(facts: Rc<Facts>, door: Door, environment: Option<Environment>) -> Self {
        let names = vec![name_of(&door.path)];
        Self { facts, door, environment, names }
    }

    /// The catalogue's entry for what it really is.
    pub(super) fn program(&self) -> &'static Entry {
        &self.door.slot.runtime().programs[self.facts.program]
    }

    pub(super) fn confidence(&self) -> Confidence {
        self.facts.evidence.kind.confidence()
    }

    /// Whether both are of one release, given that they are one program in one directory. Launchers of one
    /// installation need not show their version for that; `python3.9` and `python3.12` must.
    fn is_same_release(&self, other: &Self) -> bool {
        let program = self.program();
        let (own, its) = (&self.facts.version, &other.facts.version);
        own.is_some() && own == its || program.is_launcher()
    }

    /// Another door leads here. It is the better one if its name is better, unless it is off the path.
    pub(super) fn also(&mut self, door: Door) {
        let name = name_of(&door.path);
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        if self.is_worse_than(&door) {
            self.door = door;
        }
    }

    fn is_worse_than(&self, door: &Door) -> bool {
        self.door.hint.is_none() && door.slot.rank < self.door.slot.rank && door.on_path >= self.door.on_path
    }

    /// The order of the report: by runtime; then what the hints name, what is on `PATH`, the better
    /// name, the earlier directory.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| {
            let Door { slot, place, on_path, hint, .. } = &row.door;
            (slot.runtime, hint.is_none(), !on_path, slot.rank, *place)
        };
        key(self).cmp(&key(other)).then_with(|| {
            // `python3.12` before `python3.9` in one directory.
            let version = |row: &Self| row.facts.version.clone().unwrap_or_default();
            crate::version::compare(&version(other), &version(self))
        })
    }

    /// Lets the hints speak: they correct what was read, but not what the interpreter answered. Returns
    /// a warning where they contradict it.
    pub(super) fn take_hint(&mut self) -> Option<String> {
        let (Some(hinted), _) = self.door.hint.as_ref()? else {
            return None;
        };
        let read = self.facts.version.clone();
        let differs = read.as_ref().filter(|read| *read != hinted && self.confidence() == Confidence::Exact);
        let warning = differs.map(|read| {
            let path = self.door.path.display();
            format!("{path}: the hints say version {hinted}, and it shows {read}")
        });
        if self.facts.evidence.kind != EvidenceKind::Answer {
            let facts = Rc::make_mut(&mut self.facts);
            facts.version = Some(hinted.clone());
            facts.evidence = Evidence { kind: EvidenceKind::Hint, file: None, what: None };
        }
        warning
    }

    pub(super) fn into_interpreter(self, tree: &Tree) -> Interpreter {
        let program = self.program();
        let Self { facts, door, environment, names } = self;
        let facts = Rc::unwrap_or_clone(facts);
        let runtime = door.slot.runtime();
        let found_as = name_of(&door.path);
        let mut names: Vec<String> = names.into_iter().filter(|name| *name != found_as).collect();
        names.sort();
        names.insert(0, found_as.clone());
        // A bare `busybox` must be told that it is a shell; `sh`, which leads to it, knows.
        let is_bare = program.implementation != "busybox" || found_as.starts_with("busybox");
        let usual = || program.args.iter().filter(|_| is_bare || runtime.name != "shell");
        let args = match door.hint {
            Some((_, Some(args))) => args,
            _ => usual().map(|arg| (*arg).to_owned()).collect(),
        };
        let mut interpreter = Interpreter {
            name: runtime.name.to_owned(),
            path: door.path,
            found_as,
            args,
            version: facts.version,
            confidence: facts.evidence.kind.confidence(),
            evidence: facts.evidence,
            implementation: program.implementation.to_owned(),
            real: facts.real,
            names,
            on_path: door.on_path,
            via: door.via.map(Into::into),
            arch: facts.arch.map(Into::into),
            libc: facts.libc,
            runnable: facts.runnable,
            environment,
            capabilities: Capabilities::default(),
        };
        let applets = facts.applets;
        interpreter.capabilities = Capabilities { applets, ..capabilities::of(tree, &interpreter) };
        interpreter
    }
}

/// Two programs of one installation are one interpreter: `R` and `Rscript`, `erl` and `escript`.
pub(super) fn merge_twins(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let twin = kept.iter_mut().find(|other| {
            other.door.slot.runtime == row.door.slot.runtime
                && other.facts.program == row.facts.program
                && other.is_same_release(&row)
                && other.facts.real.parent() == row.facts.real.parent()
                && other.environment == row.environment
        });
        let Some(twin) = twin else {
            kept.push(row);
            continue;
        };
        let (better, other) = if twin.is_worse_than(&row.door) {
            (row, std::mem::take(&mut twin.names))
        } else {
            twin.names.extend(row.names);
            continue;
        };
        *twin = better;
        twin.names.extend(other);
    }
    kept
}

/// An interpreter of a runtime that only the hints know.
pub(super) fn custom(hint: &Hint, program: &Program, runnable: Runnable) -> Interpreter {
    let kind = if hint.version.is_some() { EvidenceKind::Hint } else { EvidenceKind::None };
    let found_as = name_of(&hint.path);
    Interpreter {
        name: hint.name.clone(),
        path: hint.path.clone(),
        found_as: found_as.clone(),
        args: hint.args.clone().unwrap_or_default(),
        version: hint.version.clone(),
        evidence: Evidence { kind, file: None, what: None },
        confidence: kind.confidence(),
        implementation: hint.name.clone(),
        real: program.real.clone(),
        names: vec![found_as],
        on_path: true,
        via: None,
        arch: program.arch().map(Into::into),
        libc: program.libc(),
        runnable,
        environment: None,
        capabilities: Capabilities::default(),
    }
}
