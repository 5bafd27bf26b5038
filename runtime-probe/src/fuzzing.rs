//! The readers of untrusted bytes, for fuzzers and property tests. No part of the public interface.

use std::path::Path;

use crate::catalogue::{self, Clue, Span};
use crate::elf::{Dynamic, Elf};
use crate::evidence::{self, Buffer};
use crate::pages::PAGE;

/// Reads `bytes` as a program in every way an interpreter is read.
pub fn program(bytes: &[u8]) {
    let source = bytes;
    let Some(elf) = Elf::parse(&bytes[..bytes.len().min(PAGE)], &source) else { return };
    elf.arch();
    elf.constants(&source);
    if let Some(dynamic) = Dynamic::read(&elf, &source) {
        dynamic.needed().count();
        dynamic.run_path();
        for name in ["Py_Version", "ruby_version", "PL_revision", "lua_ident", ""] {
            dynamic.number(name);
        }
    }
    let mut buffer = Buffer::default();
    evidence::scan_everything(&elf, &source, &mut buffer, Path::new("/usr/bin/python3"));
    for clue in catalogue::all().iter().flat_map(|runtime| runtime.programs).flat_map(|program| program.clues)
    {
        if let Clue::Text { marks, span: Span::Constants, .. } = clue {
            evidence::scan_for(&elf, &source, &mut buffer, marks);
        }
    }
}

/// Reads `bytes` as every kind of text file, and as an interpreter's answer.
pub fn text(bytes: &[u8]) {
    for program in catalogue::all().iter().flat_map(|runtime| runtime.programs) {
        for question in program.questions {
            question.answer(bytes);
        }
        for clue in program.clues {
            match clue {
                Clue::File { mark, .. }
                | Clue::Entries { mark, .. }
                | Clue::RealPath(mark)
                | Clue::Script(mark) => {
                    mark.find(bytes);
                }
                _ => {}
            }
        }
    }
    let _ = crate::hints::parse(bytes);
    crate::capabilities::Applets::from_table(evidence::applet_names(bytes));
    evidence::build_details(bytes);
}
