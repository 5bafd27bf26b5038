//! What the agent asks of the zygote: one message each, of a fixed size, with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// A request. A number names a supervisor: the agent gives it, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Fork a supervisor. With it come the stream to the agent, then standard input, output and error.
    Start { number: u64 },
    /// End a supervisor that does not answer, and everything below it, and tell of that in its place, on the stream that
    /// comes along. `leader` is the action's own process.
    End { number: u64, leader: i32 },
    /// Close the descriptor that comes along: whoever asks wants to know that somebody is there.
    Answer,
}

/// Size of an encoded [`Request`].
const BYTES: usize = 16;

/// Descriptors that come with a request at most.
const DESCRIPTORS: usize = 4;

impl Request {
    fn encode(self) -> [u8; BYTES] {
        let (tag, number, leader) = match self {
            Self::Start { number } => (1, number, 0),
            Self::End { number, leader } => (2, number, leader),
            Self::Answer => (3, 0, 0),
        };
        let mut bytes = [0; BYTES];
        bytes[0] = tag;
        bytes[4..8].copy_from_slice(&leader.to_le_bytes());
        bytes[8..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    fn decode(bytes: [u8; BYTES]) -> io::Result<Self> {
        let [tag, _, _, _, a, b, c, d, number @ ..] = bytes;
        let (leader, number) = (i32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(number));
        match tag {
            1 => Ok(Self::Start { number }),
            2 => Ok(Self::End { number, leader }),
            3 => Ok(Self::Answer),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends it as one message.
    pub(super) fn send(self, to: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(to, &[IoSlice::new(&self.encode())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes the next one; [`io::ErrorKind::UnexpectedEof`] where the agent is gone.
    pub(super) fn receive(from: impl AsFd) -> io::Result<(Self, std::vec::IntoIter<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; BYTES];
        let received = loop {
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&from, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => Some(rights),
                _ => None,
            })
            .flatten()
            .collect();
        Ok((Self::decode(bytes)?, descriptors.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_socket() {
        for request in [
            Request::Start { number: u64::MAX },
            Request::End { number: 7, leader: 4_194_304 },
            Request::Answer,
        ] {
            assert_eq!(Request::decode(request.encode()).unwrap(), request);
        }
        assert!(Request::decode([0; BYTES]).is_err());
    }
}
