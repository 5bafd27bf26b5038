//! Requests over HTTP/1.1, with or without TLS, on connections that are kept for the next request.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::refusal;
use crate::error::{Error, ErrorKind, Result};
use crate::tls::Authorities;

/// A connection that takes longer to be made will not be.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// An answer that takes longer to begin, or to go on, will not come.
const ANSWER_PATIENCE: Duration = Duration::from_mins(1);

/// Answers to requests about files are short.
const LONGEST_ANSWER: usize = 64 << 10;

/// Connections that are kept for the next request.
const IDLE: usize = 4;

type Sender = SendRequest<Full<Bytes>>;

/// One server.
pub(super) struct Client {
    host: String,
    port: u16,
    authority: String,
    prefix: String,
    tls: Option<TlsConnector>,
    idle: Arc<Mutex<Vec<Sender>>>,
}

impl Client {
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let not_a_url = || {
            Error::new(ErrorKind::Invalid, "`api.url` is not the URL of an API")
                .hint("it has the form https://host:port, without a user or a password")
        };
        let uri: Uri = url.parse().map_err(|error| not_a_url().because(error))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(not_a_url());
        };
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(not_a_url());
        }
        let (tls, usual_port) = match scheme {
            "http" => (None, 80),
            "https" => (Some(Authorities { file: ca_file, setting: "api.ca_file" }.connector()?), 443),
            _ => return Err(not_a_url()),
        };
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(usual_port),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            tls,
            idle: Arc::default(),
        })
    }

    /// What a request says as its host.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What every path begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Sends a request and awaits the head of its answer.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Exchange> {
        let sending = async {
            loop {
                let kept = self.idle().pop();
                let is_kept = kept.is_some();
                let mut sender = match kept {
                    Some(sender) => sender,
                    None => self.connect().await?,
                };
                match sender.try_send_request(request).await {
                    Ok(response) => return Ok((sender, response)),
                    Err(mut error) => match error.take_message() {
                        // The server has closed a connection that was kept: the request never left.
                        Some(unsent) if is_kept => request = unsent,
                        _ => return Err(self.away(error.into_error())),
                    },
                }
            }
        };
        let answered = timeout(ANSWER_PATIENCE, sending).await.map_err(|_| self.silent())?;
        let (sender, response) = answered?;
        Ok(Exchange { sender, response, idle: Arc::clone(&self.idle) })
    }

    async fn connect(&self) -> Result<Sender> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
            let stream = stream.map_err(|error| self.away(error))?;
            // Requests are short, and the last piece of one must not wait for anything.
            stream.set_nodelay(true).map_err(|error| self.away(error))?;
            match &self.tls {
                None => self.shake_hands(stream).await,
                Some(connector) => {
                    let name = ServerName::try_from(self.host.clone()).map_err(|error| self.away(error))?;
                    let stream = connector.connect(name, stream).await.map_err(|error| self.away(error))?;
                    self.shake_hands(stream).await
                }
            }
        };
        timeout(CONNECT_PATIENCE, connecting).await.map_err(|_| self.silent())?
    }

    async fn shake_hands(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Sender> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.away(error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer on it is told; nobody else has to be.
            connection.await.ok();
        });
        Ok(sender)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self, error: impl std::error::Error) -> Error {
        // The cause is what tells a refused connection from a certificate that nobody trusts.
        let mut sentence = error.to_string();
        if let Some(source) = error.source() {
            sentence = format!("{sentence}: {source}");
        }
        Error::new(ErrorKind::Unavailable, format!("the API at {} cannot be reached", self.authority))
            .because(sentence)
    }

    fn silent(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the API at {} does not answer", self.authority))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// An answer of which the head has come.
pub(super) struct Exchange {
    sender: Sender,
    response: Response<Incoming>,
    idle: Arc<Mutex<Vec<Sender>>>,
}

impl Exchange {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Reads an answer that is short, and keeps the connection.
    pub(super) async fn read(self) -> Result<Answer> {
        let (head, body) = self.response.into_parts();
        let reading = Limited::new(body, LONGEST_ANSWER).collect();
        timeout(ANSWER_PATIENCE, reading)
            .await
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the API does not end its answer"))?
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the API's answer broke off").because(error)
            })?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(self.sender);
        }
        Ok(Answer(Response::from_parts(head, ())))
    }

    /// A successful answer that is long; the connection ends with it.
    pub(super) fn into_body(self) -> Result<Body> {
        if let Some(refused) = refusal(&self.response) {
            return Err(refused);
        }
        Ok(Body { body: self.response.into_body(), _sender: self.sender })
    }
}

/// An answer that was read.
pub(super) struct Answer(Response<()>);

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Itself, where it is a success.
    pub(super) fn granted(self) -> Result<Self> {
        match refusal(&self.0) {
            Some(refused) => Err(refused),
            None => Ok(self),
        }
    }
}

/// An answer that is read piece by piece.
pub(crate) struct Body {
    body: Incoming,
    _sender: Sender,
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(ANSWER_PATIENCE, self.body.frame())
                .await
                .map_err(|_| Error::new(ErrorKind::Unavailable, "the API does not go on with its answer"))?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(
                        Error::new(ErrorKind::Unavailable, "the API's answer broke off").because(error)
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_below_what() {
        let client = Client::new("http://api.example/attune/", None).unwrap();
        assert_eq!((client.host.as_str(), client.port, client.prefix()), ("api.example", 80, "/attune"));
        let client = Client::new("https://[::1]:8443", None).unwrap();
        assert_eq!((client.host.as_str(), client.port, client.prefix()), ("::1", 8443, ""));
        for wrong in ["", "api.example", "ftp://api.example", "http://user:secret@api.example"] {
            let error = Client::new(wrong, None).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
