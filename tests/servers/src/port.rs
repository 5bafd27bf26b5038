//! Loopback ports that stay one server's, also while it is stopped.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::failure::{Failure, Result};

/// Below the range from which Linux takes ports for outgoing connections: one of those could take the port of a
/// server that starts again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port, reserved among all test processes of this machine for as long as this value lives.
pub(crate) struct Port {
    number: u16,
    /// A name in the abstract namespace exists once, and goes with whoever holds it.
    _reservation: UnixListener,
}

impl Port {
    /// A port that nobody listens on.
    pub(crate) fn free() -> Result<Self> {
        // From different places, so that processes that start at once seldom try the same.
        let start = std::process::id() % u32::from(RANGE.end - RANGE.start);
        let start = RANGE.start + u16::try_from(start).expect("a remainder below the range's length");
        (start..RANGE.end)
            .chain(RANGE.start..start)
            .find_map(Self::reserve)
            .ok_or_else(|| Failure::new(format!("no port of {}..{} is free", RANGE.start, RANGE.end)))
    }

    fn reserve(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("attune-test-port-{number}")).ok()?;
        let reservation = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self { number, _reservation: reservation })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
