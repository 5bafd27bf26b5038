//! Versions that nobody was asked for: what the catalogue's clues show.
//!
//! Best evidence first. A symbol or a constant comes from the very object that would run; a file beside
//! it was installed with it; a name was given by somebody. A script is never evidence by itself, unless it
//! is one that carries its version.

mod applets;
mod erlang;
mod files;
mod library;
mod node;
mod python;
mod scan;

pub(crate) use applets::{applets, names as applet_names};
pub(crate) use erlang::release_of as erlang_release;

use std::path::Path;

use crate::catalogue::{self, Clue, Form, Program as Entry, Reader, Span};
use crate::elf::{Dynamic, Elf, Source};
use crate::pages::FileSource;
use crate::program::{Kind, Program};
use crate::report::{Evidence, EvidenceKind};
use crate::search::Slot;
use crate::tree::Tree;
use crate::version::Mark;
use library::Library;
pub(crate) use python::build_details;
pub(crate) use scan::Buffer;

/// A version and how it is known.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) version: String,
    pub(crate) evidence: Evidence,
    /// The implementation that the evidence belongs to.
    pub(crate) program: usize,
}

/// The version of a file that was found as `slot`, and what it really is.
pub(crate) fn read(tree: &Tree, program: &Program, slot: Slot, buffer: &mut Buffer) -> Option<Finding> {
    let mut case = Case { tree, program, library: None, buffer };
    if program.is_script() && !slot.program().scripted {
        return None;
    }
    let own = slot.program().clues.iter().find_map(|clue| case.read(clue));
    if let Some((version, evidence)) = own {
        return Some(Finding { version, evidence, program: slot.program });
    }
    case.disguised(slot)
}

/// One file and the clues it may hold.
struct Case<'c> {
    tree: &'c Tree,
    program: &'c Program,
    /// The library that was asked for last, and whether the program needs it.
    library: Option<(&'static str, Option<Library>)>,
    buffer: &'c mut Buffer,
}

type Version = (String, Evidence);

impl Case<'_> {
    fn read(&mut self, clue: &Clue) -> Option<Version> {
        let real = &self.program.real;
        match *clue {
            Clue::Symbol { name, form, library } => self.in_object(library, |elf, source, path, _| {
                let version = symbol(elf, source, name, form)?;
                Some((version, Evidence::read(EvidenceKind::Symbol, path, name)))
            }),
            Clue::Text { marks, library, span } => self.in_object(library, |elf, source, path, buffer| {
                let (index, version) = scan::first(elf, source, buffer, span, marks)?;
                Some((version, Evidence::read(EvidenceKind::Text, path, marks[index].text())))
            }),
            Clue::File { path, mark } => files::line(self.tree, real, path, &mark),
            Clue::Entries { path, mark } => files::greatest_entry(self.tree, real, path, &mark),
            Clue::RealPath(mark) => {
                let version = mark.find(real.as_os_str().as_encoded_bytes())?;
                Some((version.to_owned(), Evidence::read(EvidenceKind::Name, real, mark.text())))
            }
            Clue::Script(mark) => {
                let Kind::Script { text, .. } = &self.program.kind else {
                    return None;
                };
                let version = mark.find(text)?;
                Some((version.to_owned(), Evidence::read(EvidenceKind::Text, real, mark.text())))
            }
            Clue::Own(reader) => self.own(reader),
        }
    }

    fn own(&mut self, reader: Reader) -> Option<Version> {
        let real = &self.program.real;
        match reader {
            Reader::PythonFunction => self.in_object("libpython", |elf, source, path, _| {
                let version = python::returned(elf, source)?;
                Some((version, Evidence::read(EvidenceKind::Text, path, python::FUNCTION)))
            }),
            Reader::NodeFunction => self.in_object("libnode", |elf, source, path, _| {
                let version = node::returned(elf, source)?;
                Some((version, Evidence::read(EvidenceKind::Text, path, node::FUNCTION)))
            }),
            Reader::PythonText => self.in_object("libpython", |elf, source, path, buffer| {
                let (version, what) = python::text(elf, source, buffer, path, real)?;
                Some((version, Evidence::read(EvidenceKind::Text, path, what)))
            }),
            Reader::PythonFiles => python::files(self.tree, real),
            Reader::RHome => files::r_home(self.tree, real),
            Reader::ErlangRelease => erlang::release(self.tree, self.program),
            Reader::GoBuildInfo => self.in_object("", |elf, source, path, buffer| {
                let version = scan::go_build_info(elf, source, buffer)?;
                Some((version, Evidence::read(EvidenceKind::Text, path, "Go buildinf")))
            }),
        }
    }

    /// Looks into the object that carries the engine: the library, if the program needs it, else itself.
    fn in_object<T>(
        &mut self,
        library: &'static str,
        look: impl FnOnce(&Elf, &FileSource<'_>, &Path, &mut Buffer) -> Option<T>,
    ) -> Option<T> {
        let Kind::Elf(elf) = &self.program.kind else {
            return None;
        };
        let source = self.tree.pages.source(&self.program.file);
        if !library.is_empty() {
            if self.library.as_ref().is_none_or(|(name, _)| *name != library) {
                let found = library::needed(self.tree, &self.program.real, elf, &source, library);
                self.library = Some((library, found));
            }
            if let Some((_, Some(found))) = &self.library {
                return look(&found.elf, &self.tree.pages.source(&found.file), &found.path, self.buffer);
            }
        }
        look(elf, &source, &self.program.real, self.buffer)
    }

    /// A program under another's name: a copy of bash called `dash`, a busybox called `awk`. One pass over
    /// its constants looks for everything that the runtime's other programs would say.
    fn disguised(&mut self, slot: Slot) -> Option<Finding> {
        let Kind::Elf(elf) = &self.program.kind else {
            return None;
        };
        let programs: &'static [Entry] = catalogue::all()[slot.runtime].programs;
        let own_text = |clue: &'static Clue| match clue {
            Clue::Text { marks, library: "", span: Span::Constants } => *marks,
            _ => &[],
        };
        let others = programs.iter().enumerate().filter(|(index, _)| *index != slot.program);
        let (owners, marks): (Vec<usize>, Vec<Mark>) = others
            .flat_map(|(index, program)| {
                program.clues.iter().flat_map(own_text).map(move |mark| (index, *mark))
            })
            .unzip();
        if marks.is_empty() {
            return None;
        }
        let source = self.tree.pages.source(&self.program.file);
        let (index, version) = scan::first(elf, &source, self.buffer, Span::Constants, &marks)?;
        Some(Finding {
            version,
            evidence: Evidence::read(EvidenceKind::Text, &self.program.real, marks[index].text()),
            program: owners[index],
        })
    }
}

/// The version behind an exported symbol.
fn symbol(elf: &Elf, source: &FileSource<'_>, name: &str, form: Form) -> Option<String> {
    let dynamic = Dynamic::read(elf, source)?;
    match form {
        Form::Text(mark) => {
            let mut buffer = [0; 128];
            mark.find(dynamic.data(name, &mut buffer)?).map(str::to_owned)
        }
        Form::PythonHex => python::version_of_hex(dynamic.number(name)?),
        Form::Bytes(second, third) => {
            let byte = |name| dynamic.number(name).and_then(|number| u8::try_from(number).ok());
            Some(format!("{}.{}.{}", byte(name)?, byte(second)?, byte(third)?))
        }
    }
}

/// Every scan that has rules of its own, over bytes from anywhere.
pub(crate) fn scan_everything(elf: &Elf, source: &impl Source, buffer: &mut Buffer, path: &Path) {
    python::returned(elf, source);
    node::returned(elf, source);
    python::text(elf, source, buffer, path, path);
    scan::go_build_info(elf, source, buffer);
}

/// One scan of a program's constants.
pub(crate) fn scan_for(
    elf: &Elf,
    source: &impl Source,
    buffer: &mut Buffer,
    marks: &[Mark],
) -> Option<String> {
    scan::first(elf, source, buffer, Span::Constants, marks).map(|(_, version)| version)
}
