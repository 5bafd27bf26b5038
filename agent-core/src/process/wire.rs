//! What the agent and a supervisor say to each other on their stream.
//!
//! Agent to supervisor: one [`Job`], then single bytes, each a signal number for the action's process group, or [`QUIET`];
//! closing the stream means: end everything now. Supervisor to agent: [`Notice`]s of fixed size.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use super::child::Usage;
use crate::model::{Exit, OutOfMemory};

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub cwd: PathBuf,
}

/// What a supervisor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The action's process runs.
    Started { pid: i32, supervisor: i32 },
    /// It could not be started: the error number, and at which step.
    Refused { errno: i32, step: Step },
    /// The action's own process has ended; its descendants are being ended.
    Exited { exit: Exit, usage: Usage },
    /// The zygote speaks from now on: the supervisor did not answer.
    Taken,
    /// Some of these descendants have still something to say, and are heard out first.
    Lingering,
    /// The kernel has ended a process of the action for want of memory.
    OutOfMemory(OutOfMemory),
    /// Nothing of the action is left. The last notice.
    Gone { swept: u32 },
}

/// Where starting a process failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Before there was a process.
    Prepare,
    /// Changing to the working directory.
    WorkingDirectory,
    /// Executing the program.
    Execute,
}

/// Size of an encoded [`Notice`].
pub(super) const NOTICE_BYTES: usize = 32;

/// What the agent says while descendants are heard out, whenever it has not heard anything for a while. No signal has this
/// number.
pub(super) const QUIET: u8 = 0;

/// Stands for a limit that nobody has set.
const NO_LIMIT: i64 = -1;

/// A job larger than this is refused when it is written: the kernel's own limit for arguments and environment is
/// far below, so the only way to get here is a bug or an attack.
const JOB_LIMIT: usize = 64 << 20;

impl Job {
    /// A length, then everything as NUL-terminated strings, which is what `exec` makes of them anyway: argument and
    /// variable counts, program, directory, arguments, variables.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut body = Vec::with_capacity(4096);
        let mut put = |parts: &[&[u8]]| {
            if parts.iter().any(|part| part.contains(&0)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "an argument or environment variable holds a NUL byte",
                ));
            }
            for part in parts {
                body.extend_from_slice(part);
            }
            body.push(0);
            Ok(())
        };
        put(&[self.args.len().to_string().as_bytes()])?;
        put(&[self.env.len().to_string().as_bytes()])?;
        put(&[self.program.as_os_str().as_bytes()])?;
        put(&[self.cwd.as_os_str().as_bytes()])?;
        for arg in &self.args {
            put(&[arg.as_bytes()])?;
        }
        for (name, value) in &self.env {
            put(&[name.as_bytes(), b"=", value.as_bytes()])?;
        }
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= JOB_LIMIT).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "arguments and environment are too large")
        })?;
        let mut message = length.to_le_bytes().to_vec();
        message.append(&mut body);
        Ok(message)
    }

    /// Reads what [`Job::encode`] wrote.
    pub(super) fn read(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > JOB_LIMIT {
            return Err(malformed());
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let mut parts = body.split(|byte| *byte == 0);
        let mut next = || parts.next().ok_or_else(malformed);
        let arg_count = number(next()?)?;
        let env_count = number(next()?)?;
        let program = PathBuf::from(OsString::from_vec(next()?.to_vec()));
        let cwd = PathBuf::from(OsString::from_vec(next()?.to_vec()));
        let args =
            (0..arg_count).map(|_| Ok(OsString::from_vec(next()?.to_vec()))).collect::<io::Result<_>>()?;
        let env = (0..env_count)
            .map(|_| {
                let pair = next()?;
                // A variable's name may start with `=`, so the separator is looked for behind the first byte.
                let split = pair.iter().skip(1).position(|byte| *byte == b'=').ok_or_else(malformed)? + 1;
                Ok((
                    OsString::from_vec(pair[..split].to_vec()),
                    OsString::from_vec(pair[split + 1..].to_vec()),
                ))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { program, args, env, cwd })
    }
}

fn number(digits: &[u8]) -> io::Result<usize> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed message between agent and supervisor")
}

impl Notice {
    pub(super) fn encode(self) -> [u8; NOTICE_BYTES] {
        let (tag, words): (u8, [i64; 3]) = match self {
            Self::Started { pid, supervisor } => (1, [pid.into(), supervisor.into(), 0]),
            Self::Refused { errno, step } => (2, [errno.into(), step as i64, 0]),
            Self::Exited { exit: Exit::Code(code), usage } => {
                (3, [code.into(), micros(usage.cpu), saturated(usage.peak_kib)])
            }
            Self::Exited { exit: Exit::Signal(signal), usage } => {
                (4, [signal.into(), micros(usage.cpu), saturated(usage.peak_kib)])
            }
            Self::OutOfMemory(OutOfMemory { limit, peak }) => {
                (6, [limit.map_or(NO_LIMIT, saturated), saturated(peak), 0])
            }
            Self::Gone { swept } => (5, [swept.into(), 0, 0]),
            Self::Lingering => (7, [0; 3]),
            Self::Taken => (8, [0; 3]),
        };
        let mut bytes = [0; NOTICE_BYTES];
        bytes[0] = tag;
        for (slot, word) in bytes[8..].chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; NOTICE_BYTES]) -> io::Result<Self> {
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[8 + 8 * index..16 + 8 * index]);
            i64::from_le_bytes(word)
        };
        let small = |index| i32::try_from(word(index)).map_err(|_| malformed());
        let usage = || {
            Ok::<_, io::Error>(Usage {
                cpu: Duration::from_micros(u64::try_from(word(1)).map_err(|_| malformed())?),
                peak_kib: u64::try_from(word(2)).map_err(|_| malformed())?,
            })
        };
        Ok(match bytes[0] {
            1 => Self::Started { pid: small(0)?, supervisor: small(1)? },
            2 => Self::Refused { errno: small(0)?, step: Step::from_word(word(1))? },
            3 => Self::Exited { exit: Exit::Code(small(0)?), usage: usage()? },
            4 => Self::Exited { exit: Exit::Signal(small(0)?), usage: usage()? },
            6 => Self::OutOfMemory(OutOfMemory {
                limit: u64::try_from(word(0)).ok(),
                peak: u64::try_from(word(1)).map_err(|_| malformed())?,
            }),
            5 => Self::Gone { swept: u32::try_from(word(0)).map_err(|_| malformed())? },
            7 => Self::Lingering,
            8 => Self::Taken,
            _ => return Err(malformed()),
        })
    }
}

impl Step {
    fn from_word(word: i64) -> io::Result<Self> {
        [Self::Prepare, Self::WorkingDirectory, Self::Execute]
            .into_iter()
            .find(|step| *step as i64 == word)
            .ok_or_else(malformed)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = OsString> {
        proptest::collection::vec(1..=255u8, 0..40).prop_map(OsString::from_vec)
    }

    fn name() -> impl Strategy<Value = OsString> {
        proptest::collection::vec((1..=255u8).prop_filter("no =", |byte| *byte != b'='), 1..20)
            .prop_map(OsString::from_vec)
    }

    proptest! {
        #[test]
        fn a_job_survives_the_wire(
            program in text(),
            cwd in text(),
            args in proptest::collection::vec(text(), 0..8),
            env in proptest::collection::vec((name(), text()), 0..8),
        ) {
            let job = Job { program: program.into(), args, env, cwd: cwd.into() };
            prop_assert_eq!(Job::read(job.encode().unwrap().as_slice()).unwrap(), job);
        }

        #[test]
        fn garbage_is_refused_not_believed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Only a panic or an endless loop would be wrong here.
            drop(Job::read(bytes.as_slice()));
            if let Ok(bytes) = <[u8; NOTICE_BYTES]>::try_from(bytes.as_slice()) {
                drop(Notice::decode(&bytes));
            }
        }
    }

    #[test]
    fn notices_survive_the_wire() {
        let usage = Usage { cpu: Duration::from_micros(1234), peak_kib: 5678 };
        for notice in [
            Notice::Started { pid: 42, supervisor: 41 },
            Notice::Refused { errno: 2, step: Step::Execute },
            Notice::Exited { exit: Exit::Code(7), usage },
            Notice::Exited { exit: Exit::Signal(9), usage },
            Notice::OutOfMemory(OutOfMemory { limit: Some(1 << 30), peak: 1 << 29 }),
            Notice::OutOfMemory(OutOfMemory { limit: None, peak: 7 }),
            Notice::Lingering,
            Notice::Taken,
            Notice::Gone { swept: 3 },
        ] {
            assert_eq!(Notice::decode(&notice.encode()).unwrap(), notice);
        }
    }

    #[test]
    fn a_nul_byte_is_refused() {
        let job =
            Job { program: "/bin/true".into(), args: vec!["a\0b".into()], env: vec![], cwd: "/".into() };
        assert!(job.encode().unwrap_err().to_string().contains("NUL"));
    }
}
