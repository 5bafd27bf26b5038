//! Asking interpreters for their version, several at once, each with a deadline.
//!
//! An interpreter is a stranger: it may hang, print for ever, answer on the wrong stream, fail after it
//! answered, or leave a grandchild behind that holds its output open. So nobody is waited for longer than
//! its deadline, no output is kept beyond [`LIMIT`], standard input is empty, the environment holds
//! nothing that changes an answer, the working directory is `/`, and when a question is settled the whole
//! process group ends.

mod child;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::catalogue::Question;
use child::Child;

/// More output than this is not read: a version comes first.
pub(crate) const LIMIT: usize = 64 * 1024;
/// A child that has run this long is waiting rather than computing: another may start beside it.
const PATIENCE: Duration = Duration::from_millis(150);
/// Children alive at once, however many are waiting.
const MOST_CHILDREN: usize = 64;

/// An interpreter to ask.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// What to run.
    pub(crate) path: PathBuf,
    /// What to ask, in order, until it answers.
    pub(crate) questions: &'static [Question],
}

/// What came of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It said its version; the words it was asked with.
    Version(String, String),
    /// It could not be started.
    DoesNotStart(String),
    /// It failed, and said no version.
    Failed(String),
    /// It did not say its version, but that does not mean that it does not work: a busy machine is slow.
    Unclear(String),
}

/// Puts all inquiries; the answers come in the same order. Also says how many processes were started.
pub(crate) fn all(inquiries: &[Inquiry], search_path: &OsStr, deadline: Duration) -> (Vec<Answer>, u32) {
    if inquiries.is_empty() {
        return (Vec::new(), 0); // counting processors alone costs as much as reading two interpreters
    }
    let mut desk = Desk {
        inquiries,
        search_path,
        answers: vec![None; inquiries.len()],
        waiting: (0..inquiries.len()).map(|inquiry| (inquiry, 0)).collect(),
        live: Vec::new(),
        spawned: 0,
        deadline,
        at_once: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    // The longest is asked first, or it would run alone at the end. The list is taken from its end.
    desk.waiting.sort_by_key(|&(inquiry, _)| inquiries[inquiry].questions.first().map_or(0, |q| q.cost));
    while desk.start() {
        desk.wait();
        desk.settle();
    }
    let answers = desk
        .answers
        .into_iter()
        .map(|answer| answer.unwrap_or(Answer::Unclear("it has no question to answer".into())));
    (answers.collect(), desk.spawned)
}

struct Desk<'i> {
    inquiries: &'i [Inquiry],
    search_path: &'i OsStr,
    answers: Vec<Option<Answer>>,
    /// Inquiry and question.
    waiting: Vec<(usize, usize)>,
    live: Vec<(usize, usize, Child)>,
    spawned: u32,
    deadline: Duration,
    at_once: usize,
}

impl Desk<'_> {
    /// Starts as many children as may run; false when there is nothing left to do.
    fn start(&mut self) -> bool {
        let now = Instant::now();
        while self.live.len() < MOST_CHILDREN {
            let computing = self.live.iter().filter(|(.., child)| now < child.started + PATIENCE).count();
            if computing >= self.at_once {
                break;
            }
            let Some((inquiry, question)) = self.waiting.pop() else {
                break;
            };
            let Inquiry { path, questions } = &self.inquiries[inquiry];
            let Some(asked) = questions.get(question) else {
                continue;
            };
            match Child::spawn(path, asked, self.search_path) {
                Ok(child) => {
                    self.spawned += 1;
                    self.live.push((inquiry, question, child));
                }
                Err(error) => {
                    let error = error.to_string();
                    let error = error.split(" (os error").next().unwrap_or(&error).to_lowercase();
                    self.answers[inquiry] = Some(Answer::DoesNotStart(error));
                }
            }
        }
        !self.live.is_empty()
    }

    /// Sleeps until some child says something, ends, or runs out of time.
    fn wait(&self) {
        let now = Instant::now();
        let mut until = self.live.iter().map(|(.., child)| child.started + self.deadline).min();
        if !self.waiting.is_empty() {
            let patience =
                self.live.iter().map(|(.., child)| child.started + PATIENCE).filter(|at| *at > now);
            until = until.into_iter().chain(patience).min();
        }
        let mut left = until.unwrap_or(now).saturating_duration_since(now);
        if self.live.iter().any(|(.., child)| !child.has_descriptor()) {
            left = left.min(Duration::from_millis(5)); // an old kernel: look now and then
        }
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3 * self.live.len());
        for (.., child) in &self.live {
            fds.extend(child.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        let timeout = Timespec::try_from(left + Duration::from_micros(500)).ok();
        // An interrupted wait is a short wait: the loop comes back.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
    }

    /// Takes what was said, and settles what is settled.
    fn settle(&mut self) {
        let now = Instant::now();
        let mut index = 0;
        while index < self.live.len() {
            let (inquiry, question, child) = &mut self.live[index];
            let (inquiry, question) = (*inquiry, *question);
            let asked = &self.inquiries[inquiry].questions[question];
            let expired = now >= child.started + self.deadline;
            let Some(outcome) = child.step(asked, expired) else {
                index += 1;
                continue;
            };
            self.live.swap_remove(index);
            match outcome {
                Answer::Failed(_) | Answer::Unclear(_)
                    if question + 1 < self.inquiries[inquiry].questions.len() && !expired =>
                {
                    self.waiting.push((inquiry, question + 1));
                }
                answer => self.answers[inquiry] = Some(answer),
            }
        }
    }
}
