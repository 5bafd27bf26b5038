//! What is below the zygote: supervisors that work, and what is left where one does not.
//!
//! A supervisor can be stopped, or ended, by whoever has its user: its own action has. One that is stopped is continued at
//! once. One that the agent asks to end, as it does not answer, is ended here; the zygote is a subreaper, so all that it
//! looked after comes here, and whatever is no supervisor here is ended.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::Usage;
use super::confinement::Measures;
use super::sweep::{PATIENCE, children, state, with_all_below};
use super::sys::{self, Change};
use super::wire::Notice;
use crate::model::Exit;

/// How long supervisors may take when the agent is gone, before they are ended with what is below them. Each ends its
/// action by force as soon as it sees that, so that it takes milliseconds.
const PARTING: Duration = Duration::from_secs(2);

/// All that is below the zygote.
pub(super) struct Family<'a> {
    measures: &'a Measures,
    supervisors: Vec<(Pid, u64)>,
    losses: Vec<Loss>,
    /// Since when there have been orphans.
    orphaned: Option<Instant>,
    /// When whatever still lives is ended by force.
    parting: Option<Instant>,
}

/// An execution that has no supervisor, or has none before long.
struct Loss {
    supervisor: Option<Pid>,
    leader: i32,
    /// Whom to tell.
    agent: Option<UnixStream>,
    exited: Option<(Exit, Usage)>,
    swept: u32,
}

impl<'a> Family<'a> {
    pub(super) fn new(measures: &'a Measures) -> Self {
        Self { measures, supervisors: Vec::new(), losses: Vec::new(), orphaned: None, parting: None }
    }

    pub(super) fn add(&mut self, supervisor: Pid, number: u64) {
        self.supervisors.push((supervisor, number));
    }

    /// Whether nothing is left, or nothing that could be ended.
    pub(super) fn is_gone(&self) -> bool {
        let none_lives = self.supervisors.iter().all(|(supervisor, _)| has_ended(*supervisor));
        none_lives && self.losses.is_empty() && !self.has_orphans()
    }

    /// Whether something has to be looked at again, though nothing tells of it.
    pub(super) fn is_unsettled(&self) -> bool {
        self.has_orphans() || !self.losses.is_empty() || self.parting.is_some()
    }

    /// What cannot be ended is waited for no longer.
    fn has_orphans(&self) -> bool {
        self.orphaned.is_some_and(|since| since.elapsed() < PATIENCE)
    }

    /// The agent is gone, which supervisors see for themselves, unless somebody has stopped them.
    pub(super) fn part(&mut self) {
        self.parting = Some(Instant::now() + PARTING);
        for (supervisor, _) in &self.supervisors {
            kill_process(*supervisor, Signal::CONT).ok();
        }
    }

    /// Ends a supervisor and what is below it; `agent` is told of it in the supervisor's words.
    pub(super) fn end(&mut self, number: u64, leader: i32, mut agent: UnixStream) {
        let supervisor = self.supervisors.iter().find(|(_, of)| *of == number).map(|(pid, _)| *pid);
        // An agent that is gone by now need not be told.
        let agent = agent.write_all(&Notice::Taken.encode()).is_ok().then_some(agent);
        self.losses.push(Loss { supervisor, leader, agent, exited: None, swept: 0 });
        if let Some(supervisor) = supervisor {
            self.kill(supervisor);
        }
    }

    fn kill(&self, supervisor: Pid) {
        if let Some(cage) = self.measures.cage_of(supervisor.as_raw_pid()) {
            cage.kill();
        }
        // It is not reaped yet, so the number is its own.
        kill_process(supervisor, Signal::KILL).ok();
    }

    /// Takes note of children that have ended or were stopped.
    pub(super) fn look_after_children(&mut self) -> io::Result<()> {
        loop {
            match sys::next_change() {
                Ok(Some(Change::Ended(reaped))) => {
                    let known = self.supervisors.iter().position(|(pid, _)| *pid == reaped.pid);
                    if let Some(known) = known {
                        self.supervisors.swap_remove(known);
                        self.lose_unless_settled(reaped.pid);
                        continue;
                    }
                    for loss in &mut self.losses {
                        if loss.leader == reaped.pid.as_raw_pid() {
                            loss.exited = Some((reaped.exit, reaped.usage));
                        } else {
                            loss.swept += 1;
                        }
                    }
                }
                Ok(Some(Change::Stopped(child))) => {
                    if self.supervisors.iter().any(|(pid, _)| *pid == child) {
                        kill_process(child, Signal::CONT).ok();
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// A supervisor removes its group before it ends. One that has not was ended from outside.
    fn lose_unless_settled(&mut self, supervisor: Pid) {
        if self.losses.iter().any(|loss| loss.supervisor == Some(supervisor)) {
            return;
        }
        if let Some(cage) = self.measures.cage_of(supervisor.as_raw_pid()).filter(super::cgroup::Cage::exists)
        {
            cage.kill();
            let supervisor = Some(supervisor);
            self.losses.push(Loss { supervisor, leader: 0, agent: None, exited: None, swept: 0 });
        }
    }

    /// Ends what has no supervisor, and tells of executions of which nothing is left.
    pub(super) fn settle(&mut self) {
        if self.parting.is_some_and(|until| until <= Instant::now()) {
            self.supervisors.iter().for_each(|(supervisor, _)| self.kill(*supervisor));
        }
        let is_supervisor = |pid: &Pid| self.supervisors.iter().any(|(supervisor, _)| supervisor == pid);
        let orphans: Vec<Pid> = children().into_iter().filter(|pid| !is_supervisor(pid)).collect();
        if orphans.is_empty() {
            self.orphaned = None;
        } else {
            self.orphaned.get_or_insert_with(Instant::now);
            for orphan in with_all_below(orphans) {
                // It may have ended by itself meanwhile.
                kill_process(orphan, Signal::KILL).ok();
            }
            if self.has_orphans() {
                return;
            }
        }
        let lives = |loss: &Loss| {
            let supervisor = self.supervisors.iter().find(|(pid, _)| Some(*pid) == loss.supervisor);
            supervisor.is_some_and(|(pid, _)| !has_ended(*pid))
        };
        let losses = std::mem::take(&mut self.losses);
        let (kept, over): (Vec<_>, Vec<_>) = losses.into_iter().partition(lives);
        self.losses = kept;
        for loss in over {
            self.tell(loss);
        }
    }

    fn tell(&self, loss: Loss) {
        let Loss { supervisor, agent, exited, swept, .. } = loss;
        let cage = supervisor.and_then(|supervisor| self.measures.cage_of(supervisor.as_raw_pid()));
        let evidence = cage.as_ref().and_then(super::cgroup::Cage::out_of_memory);
        cage.iter().for_each(super::cgroup::Cage::remove);
        let Some(mut agent) = agent else { return };
        let notices = [
            exited.map(|(exit, usage)| Notice::Exited { exit, usage }),
            evidence.map(Notice::OutOfMemory),
            Some(Notice::Gone { swept }),
        ];
        for notice in notices.into_iter().flatten() {
            if agent.write_all(&notice.encode()).is_err() {
                // It has given up waiting.
                return;
            }
        }
    }
}

/// Whether a supervisor has ended, which a debugger may keep from being reaped. What was below it is here by then.
fn has_ended(supervisor: Pid) -> bool {
    matches!(state(supervisor), None | Some('Z' | 'X'))
}
