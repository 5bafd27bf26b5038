//! RabbitMQ's HTTP API, as far as tests need it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::failure::{Doing, Failure, Result};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the API is, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    host: String,
    port: u16,
    authorization: String,
}

impl Api {
    pub(crate) fn new(host: &str, port: u16, user: &str, password: &str) -> Self {
        let authorization = STANDARD.encode(format!("{user}:{password}"));
        Self { host: host.to_owned(), port, authorization }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let body = self.request("GET", path, "")?;
        serde_json::from_str(&body).doing("read RabbitMQ's answer")
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result {
        self.request("PUT", path, &body.to_string()).map(drop)
    }

    pub(crate) fn delete(&self, path: &str) -> Result {
        self.request("DELETE", path, "").map(drop)
    }

    /// The body of the answer to a request that was granted.
    fn request(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let answer = self.exchange(method, path, body).doing(&format!("{method} {path} of RabbitMQ"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            return Ok(body.to_owned());
        }
        let first = head.lines().next().unwrap_or_default();
        Err(Failure::new(format!("RabbitMQ answers {method} {path} with {first:?} {body}")))
    }

    /// One request on one connection. It speaks HTTP/1.0, in which the answer is what comes until the end.
    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut stream = self.connect(deadline)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Self { host, authorization, .. } = self;
        write!(
            stream,
            "{method} /api/{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Basic {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        let mut piece = [0; 8192];
        loop {
            stream.set_read_timeout(Some(left(deadline)?))?;
            match stream.read(&mut piece)? {
                0 => return String::from_utf8(answer).map_err(std::io::Error::other),
                length => answer.extend_from_slice(&piece[..length]),
            }
        }
    }

    fn connect(&self, deadline: Instant) -> std::io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        let mut refused = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, left(deadline)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

/// The time until `deadline`, which is never nothing.
fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
