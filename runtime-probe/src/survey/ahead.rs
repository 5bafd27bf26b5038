//! Reading ahead, where files come from a disk and not from the page cache.
//!
//! A survey waits for one page after the other, and a disk could serve several at once. Helpers look at what is
//! still to come, each at its share, and throw away what they find: the survey then finds the pages in memory. So
//! they change nothing but the time. With a warm cache threads cost more than a whole probe, and none is started.

use std::path::PathBuf;
use std::time::Duration;

use super::{Door, Survey};
use crate::hints::Hints;
use crate::options::Options;
use crate::search::Slot;
use crate::tree::Tree;

/// From memory a candidate takes a tenth of this.
const SLOW: Duration = Duration::from_micros(200);
/// So many slow candidates tell a cold cache from a busy machine.
const WITNESSES: usize = 3;
/// So many candidates may be witnesses.
const ASKED: usize = 16;
/// More brought nothing: the disk answers four about as fast as more.
const HELPERS: usize = 4;

/// What the first candidates tell of the cache.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: usize,
    slow: usize,
}

impl Pace {
    /// Whether the next candidate's time is wanted.
    pub(super) const fn is_undecided(&self) -> bool {
        self.seen < ASKED && self.slow < WITNESSES
    }

    /// Notes a candidate's time; true once, when the cache turns out to be cold.
    pub(super) fn is_cold_after(&mut self, took: Duration) -> bool {
        self.seen += 1;
        self.slow += usize::from(took >= SLOW);
        self.slow == WITNESSES
    }
}

/// Starts helpers for what is still to come.
pub(super) fn start<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    options: &'s Options,
    hints: &'s Hints,
    rest: &[(PathBuf, Slot)],
) {
    for helper in 0..HELPERS.min(rest.len()) {
        let share: Vec<(PathBuf, Slot)> = rest.iter().skip(helper).step_by(HELPERS).cloned().collect();
        let help = move || look_at(options, hints, share);
        // Where no thread can be started, the survey is only as slow as it was.
        if std::thread::Builder::new().spawn_scoped(scope, help).is_err() {
            return;
        }
    }
}

fn look_at(options: &Options, hints: &Hints, share: Vec<(PathBuf, Slot)>) {
    let Ok(tree) = Tree::new(options.root.as_deref(), false) else { return };
    let mut survey = Survey::new(&tree, options, hints);
    for (path, slot) in share {
        let opened = tree.open(&path);
        survey.enter(opened, Door { path, slot, place: 0, on_path: true, via: None, hint: None }, None);
    }
    survey.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_slow_candidates_mean_a_cold_cache() {
        let (slow, quick) = (Duration::from_millis(2), Duration::from_micros(20));
        let decide = |times: &[Duration]| {
            let mut pace = Pace::default();
            times.iter().any(|time| pace.is_undecided() && pace.is_cold_after(*time))
        };
        assert!(decide(&[slow, quick, slow, quick, slow]));
        let late = [&[slow, slow][..], &[quick; ASKED], &[slow]].concat();
        assert!(!decide(&late), "what is slow later is a busy machine");
        assert!(!decide(&[quick; 20]));
    }
}
