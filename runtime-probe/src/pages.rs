//! Open files, read a page at a time.
//!
//! A program's tables are looked into here and there, a few bytes each time, and most of those places share a
//! handful of pages. Each page is read once, and the memory for it is the same for every file of a probe:
//! a new process pays for every page of memory it touches.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::elf::Source;

/// How much is read at once; larger reads go to the file itself.
pub(crate) const PAGE: usize = 4096;
/// A symbol is found in five or six pages, three neighbouring ones in eight.
const SLOTS: usize = 8;

/// An open file, told from every other of its probe: descriptors are used again, numbers here are not.
#[derive(Debug)]
pub(crate) struct File {
    fd: OwnedFd,
    number: u64,
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The pages that were read last.
#[derive(Debug, Default)]
pub(crate) struct Pages(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    memory: Vec<u8>,
    slots: [Slot; SLOTS],
    /// The slot that is given away next.
    next: usize,
    files: u64,
}

/// What a slot of the memory holds: nothing, while the file's number is 0.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    file: u64,
    page: u64,
    filled: usize,
}

impl Pages {
    /// Gives an open file its number.
    pub(crate) fn file(&self, fd: OwnedFd) -> File {
        let mut inner = self.0.borrow_mut();
        inner.files += 1;
        File { fd, number: inner.files }
    }

    /// The bytes of a file.
    pub(crate) const fn source<'f>(&'f self, file: &'f File) -> FileSource<'f> {
        FileSource { file, pages: self }
    }
}

impl Inner {
    /// The slot that holds a page of a file, whose last page may be short.
    fn load(&mut self, file: &File, page: u64) -> usize {
        let held = |slot: &Slot| slot.file == file.number && slot.page == page;
        if let Some(index) = self.slots.iter().position(held) {
            return index;
        }
        let index = self.next;
        self.next = (index + 1) % SLOTS;
        let end = (index + 1) * PAGE;
        if self.memory.len() < end {
            self.memory.reserve_exact(SLOTS * PAGE - self.memory.len());
            self.memory.resize(end, 0);
        }
        let filled = pread(file, &mut self.memory[end - PAGE..end], page.saturating_mul(PAGE as u64));
        self.slots[index] = Slot { file: file.number, page, filled };
        index
    }
}

/// The bytes of an open file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSource<'f> {
    file: &'f File,
    pages: &'f Pages,
}

impl Source for FileSource<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        if buffer.len() > PAGE {
            return pread(self.file, buffer, offset);
        }
        let mut inner = self.pages.0.borrow_mut();
        let mut done = 0;
        while done < buffer.len() {
            let Some(at) = offset.checked_add(done as u64) else { break };
            let slot = inner.load(self.file, at / PAGE as u64);
            let within = usize::try_from(at % PAGE as u64).expect("less than a page");
            let page = &inner.memory[slot * PAGE..][..inner.slots[slot].filled];
            let count = page.len().saturating_sub(within).min(buffer.len() - done);
            if count == 0 {
                break;
            }
            buffer[done..done + count].copy_from_slice(&page[within..within + count]);
            done += count;
        }
        done
    }
}

/// Reads until the end or until `buffer` is full.
fn pread(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    // A regular file gives less than was asked for only at its end.
    loop {
        match rustix::io::pread(&file.fd, &mut *buffer, offset) {
            Ok(count) => return count,
            Err(Errno::INTR) => {}
            Err(_) => return 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file_of(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.into()
    }

    #[test]
    fn reads_are_what_the_file_holds_wherever_they_start() {
        let bytes: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let pages = Pages::default();
        let (first, second) = (pages.file(file_of(&bytes)), pages.file(file_of(&bytes[7..])));
        for (offset, length) in [(0, 4096), (4095, 2), (100, 8000), (8190, 4096), (159_998, 9), (200_000, 4)]
        {
            for (file, skipped) in [(&first, 0), (&second, 7), (&first, 0)] {
                let mut own = vec![0; length];
                let filled = pages.source(file).read_at(&mut own, offset as u64);
                let rest = bytes[skipped..].get(offset..).unwrap_or_default();
                assert_eq!(&own[..filled], &rest[..length.min(rest.len())], "{length} bytes at {offset}");
            }
        }
    }
}
