//! The internal file API of Attune, as far as a worker sees it: files and archives of packs over HTTP, for whoever bears
//! a valid token. Files are kept in a directory; what is asked is kept for the test to look at.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority;
use crate::port::Port;

const FILES: &str = "/api/v1/internal/files/";
const PACKS: &str = "/api/v1/internal/packs/";

/// Token types that may come in.
const WELCOME: [&str; 3] = ["access", "worker", "execution"];

/// One request as it came.
#[derive(Debug, Clone)]
pub struct FileRequest {
    /// `PUT`, `PATCH` …
    pub method: String,
    /// The path, as it was written.
    pub path: String,
    /// The claims of its token, where that is valid.
    pub claims: Option<Value>,
    /// How it was answered.
    pub status: u16,
}

/// The API. It can be stopped and started again on the same port; dropping it ends it.
pub struct FileApi {
    shared: Arc<Shared>,
    port: Port,
    tls: Option<(TlsAcceptor, PathBuf)>,
    running: Option<Runtime>,
}

struct Shared {
    directory: tempfile::TempDir,
    secret: String,
    largest: usize,
    requests: Mutex<Vec<FileRequest>>,
    revoked: Mutex<HashSet<String>>,
    seen: Mutex<HashSet<String>>,
    /// So many answers are yet to be lost.
    losing: AtomicUsize,
}

impl FileApi {
    /// Starts it: tokens are signed with `secret`, and no request to create or append may be larger than `largest` bytes,
    /// nor may a file become so.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start(secret: &str, largest: usize) -> Self {
        Self::prepare(secret, largest, false)
    }

    /// The same over TLS, by the name `localhost`.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start_with_tls(secret: &str, largest: usize) -> Self {
        Self::prepare(secret, largest, true)
    }

    fn prepare(secret: &str, largest: usize, with_tls: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for kind in ["files", "packs"] {
            std::fs::create_dir(directory.path().join(kind)).expect("a directory of its own");
        }
        let tls = with_tls.then(|| {
            let (authority, certificate, key) = authority::sign().expect("a certificate");
            let file = directory.path().join("authority.pem");
            std::fs::write(&file, authority).expect("a directory of its own");
            (acceptor(&certificate, &key), file)
        });
        let shared = Shared {
            directory,
            secret: secret.to_owned(),
            largest,
            requests: Mutex::default(),
            revoked: Mutex::default(),
            seen: Mutex::default(),
            losing: AtomicUsize::new(0),
        };
        let port = Port::free().unwrap_or_else(|failure| panic!("{failure}"));
        let mut api = Self { shared: Arc::new(shared), port, tls, running: None };
        api.resume();
        api
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port.number())
    }

    /// The certificate to trust, where it speaks TLS.
    pub fn authority(&self) -> Option<&Path> {
        self.tls.as_ref().map(|(_, file)| file.as_path())
    }

    /// The directory that packs are archived from.
    pub fn packs(&self) -> PathBuf {
        self.shared.directory.path().join("packs")
    }

    /// What is in a file; `None` where there is none.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.shared.files().join(path)).ok()
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<FileRequest> {
        locked(&self.shared.requests).clone()
    }

    /// No token that was seen so far is taken any more.
    pub fn revoke(&self) {
        locked(&self.shared.revoked).extend(locked(&self.shared.seen).iter().cloned());
    }

    /// The next so many requests are carried out, and then the connection breaks in place of an answer.
    pub fn lose_answers(&self, count: usize) {
        self.shared.losing.store(count, Ordering::SeqCst);
    }

    /// Goes away: connections break, and new ones are refused.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Comes back.
    ///
    /// # Panics
    /// Where its port is taken.
    pub fn resume(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(async { listen(self.port.number()) }).expect("its port is its own");
        let (shared, acceptor) =
            (Arc::clone(&self.shared), self.tls.as_ref().map(|(acceptor, _)| acceptor.clone()));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(shared, stream).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(shared, stream).await;
                            }
                        }
                    }
                });
            }
        });
        self.running = Some(runtime);
    }
}

impl Drop for FileApi {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for FileApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileApi").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // It comes back while connections of its last life may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(64)
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("it was just made")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("it was just made");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's own versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")))
}

async fn serve(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            let answer = shared.answer(request).await;
            let lose = |left: usize| left.checked_sub(1);
            if shared.losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            Ok(answer)
        }
    });
    // A client that goes away is none of ours.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

impl Shared {
    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let claims = self.claims(&request);
        let answer = if claims.is_none() {
            status(StatusCode::UNAUTHORIZED)
        } else if let Some(name) = path.strip_prefix(PACKS).and_then(|rest| rest.strip_suffix("/archive")) {
            self.archive(&method, name)
        } else if let Some(file) = path.strip_prefix(FILES) {
            let body = Limited::new(request.into_body(), self.largest).collect().await;
            match (self.place(file), body) {
                (None, _) => status(StatusCode::BAD_REQUEST),
                (_, Err(_)) => status(StatusCode::PAYLOAD_TOO_LARGE),
                (Some(place), Ok(body)) => self.file(&method, &place, &body.to_bytes()),
            }
        } else {
            status(StatusCode::NOT_FOUND)
        };
        let status = answer.status().as_u16();
        locked(&self.requests).push(FileRequest { method: method.to_string(), path, claims, status });
        answer
    }

    fn claims(&self, request: &Request<Incoming>) -> Option<Value> {
        let token = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        locked(&self.seen).insert(token.to_owned());
        if locked(&self.revoked).contains(token) {
            return None;
        }
        let key = DecodingKey::from_secret(self.secret.as_bytes());
        let claims = decode::<Value>(token, &key, &Validation::new(Algorithm::HS256)).ok()?.claims;
        WELCOME.contains(&claims["token_type"].as_str()?).then_some(claims)
    }

    /// The file that a path means; `None` for one that leads out.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let mut place = self.files();
        for segment in path.split('/') {
            let segment = percent_decoded(segment)?;
            let leads_out =
                segment.is_empty() || segment == "." || segment == ".." || segment.contains(['/', '\0']);
            if leads_out {
                return None;
            }
            place.push(segment);
        }
        Some(place)
    }

    fn file(&self, method: &Method, place: &Path, body: &[u8]) -> Response<Full<Bytes>> {
        let content = std::fs::read(place).ok();
        match (method, content) {
            (&Method::PUT, _) => {
                std::fs::create_dir_all(place.parent().expect("it is below"))
                    .expect("a directory of its own");
                std::fs::write(place, body).expect("a directory of its own");
                status(StatusCode::CREATED)
            }
            (&Method::PATCH, Some(content)) if content.len() + body.len() > self.largest => {
                status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            (&Method::PATCH, Some(content)) => {
                std::fs::write(place, [&content, body].concat()).expect("a directory of its own");
                status(StatusCode::NO_CONTENT)
            }
            (&Method::GET, Some(content)) => Response::new(Full::new(content.into())),
            (&Method::HEAD, Some(content)) => {
                let head = Response::builder().header(CONTENT_LENGTH, content.len());
                head.body(Full::default()).expect("a length")
            }
            (&Method::DELETE, Some(_)) => {
                std::fs::remove_file(place).expect("a directory of its own");
                status(StatusCode::NO_CONTENT)
            }
            (&Method::PATCH | &Method::GET | &Method::HEAD | &Method::DELETE, None) => {
                status(StatusCode::NOT_FOUND)
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn archive(&self, method: &Method, name: &str) -> Response<Full<Bytes>> {
        if method != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let pack = self.directory.path().join("packs").join(name);
        if name.contains(['/', '.']) || !pack.is_dir() {
            return status(StatusCode::NOT_FOUND);
        }
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        archive.follow_symlinks(false);
        archive.append_dir_all(name, &pack).expect("a pack that can be read");
        let bytes = archive.into_inner().and_then(GzEncoder::finish).expect("an archive in memory");
        Response::new(Full::new(bytes.into()))
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
