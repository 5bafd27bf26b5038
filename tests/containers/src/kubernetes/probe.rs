//! Probes, asked at the times at which a kubelet asks them.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::network::Network;
use crate::{PATIENCE, Running};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Probe {
    exec: Option<Exec>,
    tcp_socket: Option<TcpSocket>,
    #[serde(default)]
    initial_delay_seconds: u64,
    #[serde(default = "ten")]
    period_seconds: u64,
    #[serde(default = "one")]
    timeout_seconds: u64,
    #[serde(default = "three")]
    failure_threshold: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exec {
    command: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpSocket {
    port: u16,
}

fn ten() -> u64 {
    10
}

fn one() -> u64 {
    1
}

fn three() -> u32 {
    3
}

impl Probe {
    /// Asks until the answer is good: no more often than a startup probe may fail.
    pub(super) fn await_start(&self, container: &Running<'_>, network: &Network) {
        self.await_within(container, network, self.failure_threshold);
    }

    /// Asks until the answer is good. A kubelet would ask for ever.
    pub(super) fn await_ready(&self, container: &Running<'_>, network: &Network) {
        let periods = PATIENCE.as_secs().div_ceil(self.period_seconds.max(1));
        self.await_within(container, network, u32::try_from(periods).unwrap_or(u32::MAX));
    }

    fn await_within(&self, container: &Running<'_>, network: &Network, attempts: u32) {
        let mut pause = Duration::from_secs(self.initial_delay_seconds);
        let mut wrong = String::new();
        for _ in 0..attempts {
            container.expect_life(pause);
            match self.ask(container, network) {
                Ok(()) => return,
                Err(error) => wrong = error,
            }
            pause = Duration::from_secs(self.period_seconds);
        }
        panic!("{}: {wrong}; it said:\n{}", container.name(), container.said());
    }

    /// Asks once; the error says what is wrong.
    pub(super) fn ask(&self, container: &Running<'_>, network: &Network) -> Result<(), String> {
        let deadline = Duration::from_secs(self.timeout_seconds);
        match (&self.exec, &self.tcp_socket) {
            (Some(Exec { command }), None) => {
                let begun = Instant::now();
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                let ran = container.try_exec(&words, deadline);
                let said = format!("{}{}", ran.stdout, ran.stderr);
                match ran.code {
                    0 => Ok(()),
                    code => Err(format!("{command:?}: {code} after {:?}: {said}", begun.elapsed())),
                }
            }
            (None, Some(TcpSocket { port })) => {
                let connects = network.connects(*port, deadline);
                if connects { Ok(()) } else { Err(format!("nobody listens on {port}")) }
            }
            _ => panic!("{}: it is not known here how this probe asks", container.name()),
        }
    }
}
