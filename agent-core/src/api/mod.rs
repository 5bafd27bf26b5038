//! Attune's API, as far as a worker speaks to it: files and packs, where there is no volume to share (CONTRACT §3.10).

mod http;
mod token;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;

use self::http::{Answer, Client};
use self::token::WorkerToken;
use crate::config::{Secret, percent_encoded};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{FilePath, PackRef, WorkerId};

/// The API, and the token that it knows this worker by.
#[derive(Debug)]
pub struct Api {
    client: Client,
    token: WorkerToken,
    /// The last request found nobody.
    away: AtomicBool,
}

impl Api {
    /// The API at `url`, which verifies tokens with `secret`. Nothing is connected yet.
    ///
    /// # Errors
    /// Where the URL is none, or the certificates cannot be read.
    pub fn new(url: &str, ca_file: Option<&Path>, secret: &Secret) -> Result<Self> {
        Ok(Self {
            client: Client::new(url, ca_file)?,
            token: WorkerToken::new(secret),
            away: AtomicBool::new(false),
        })
    }

    /// From now on, tokens name this worker.
    pub fn identify(&self, worker: WorkerId) {
        self.token.identify(worker);
    }

    /// Whether it was away when it was last asked for anything: then nobody has to wait for it.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Creates a file, or replaces it.
    pub(crate) async fn put(&self, path: &FilePath, content: Bytes) -> Result<()> {
        self.file(Method::PUT, path, content).await?.granted().map(drop)
    }

    /// Appends to a file.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] too where the file is gone: it has to be sent again.
    pub(crate) async fn append(&self, path: &FilePath, content: Bytes) -> Result<()> {
        let answer = self.file(Method::PATCH, path, content).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(Error::new(ErrorKind::Unavailable, format!("the API has lost the file {path}")));
        }
        answer.granted().map(drop)
    }

    /// How large a file is; `None` where there is none.
    pub(crate) async fn length(&self, path: &FilePath) -> Result<Option<u64>> {
        let answer = self.file(Method::HEAD, path, Bytes::new()).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let head = answer.granted()?;
        let length = head.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
        length.map(Some).ok_or_else(|| {
            Error::new(ErrorKind::ControlPlane, format!("the API does not say how large the file {path} is"))
        })
    }

    /// What is in a file, to be read piece by piece; `None` where there is none.
    pub(crate) async fn content(&self, path: &FilePath) -> Result<Option<http::Body>> {
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.into_body().map(Some)
    }

    async fn file(&self, method: Method, path: &FilePath, content: Bytes) -> Result<Answer> {
        self.ask(method, path, content).await?.read().await
    }

    async fn ask(&self, method: Method, path: &FilePath, content: Bytes) -> Result<http::Exchange> {
        let segments: Vec<String> = path.segments().map(percent_encoded).collect();
        self.request(method, &format!("files/{}", segments.join("/")), content).await
    }

    /// The archive of a pack, to be read piece by piece.
    pub(crate) async fn archive(&self, pack: &PackRef) -> Result<http::Body> {
        let answer =
            self.request(Method::GET, &format!("packs/{}/archive", pack.as_str()), Bytes::new()).await?;
        answer.into_body()
    }

    /// One request; a token that is not taken is replaced once.
    async fn request(&self, method: Method, path: &str, content: Bytes) -> Result<http::Exchange> {
        for last in [false, true] {
            let token = self.token.bearer(Timestamp::now());
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("{}/api/v1/internal/{path}", self.client.prefix()))
                .header(HOST, self.client.authority())
                .header(AUTHORIZATION, format!("Bearer {}", token.expose()))
                .body(Full::new(content.clone()))
                .map_err(|error| {
                    Error::new(ErrorKind::System, "a request cannot be written").because(error)
                })?;
            let answered = self.client.send(request).await;
            self.away.store(answered.is_err(), Ordering::Relaxed);
            let exchange = answered?;
            if last || exchange.status() != StatusCode::UNAUTHORIZED {
                return Ok(exchange);
            }
            self.token.discard(&token);
        }
        unreachable!("the last try returns")
    }
}

/// What an answer other than a success means.
fn refusal<B>(response: &Response<B>) -> Option<Error> {
    let status = response.status();
    if status.is_success() {
        return None;
    }
    let error = |kind, message: &str| Some(Error::new(kind, format!("the API answers {status}{message}")));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => error(ErrorKind::ControlPlane, "")
            .map(|error| error.hint("`security.jwt_secret` has to be the API's own, and both clocks right")),
        StatusCode::PAYLOAD_TOO_LARGE => error(ErrorKind::ControlPlane, ": the file is larger than it takes")
            .map(|error| {
                error.hint(
                    "raise `artifacts.max_upload_size` of the API, or lower `worker.max_stdout_bytes` and \
                     `worker.max_stderr_bytes`",
                )
            }),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => error(ErrorKind::Unavailable, ""),
        status if status.is_server_error() => error(ErrorKind::Unavailable, ""),
        _ => error(ErrorKind::ControlPlane, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        let kind = |status: u16| {
            let response = Response::builder().status(status).body(()).unwrap();
            refusal(&response).map(|error| error.kind())
        };
        assert_eq!((kind(200), kind(204)), (None, None));
        for later in [408, 429, 500, 503] {
            assert_eq!(kind(later), Some(ErrorKind::Unavailable), "{later}");
        }
        for never in [400, 401, 403, 404, 413] {
            assert_eq!(kind(never), Some(ErrorKind::ControlPlane), "{never}");
        }
    }
}
