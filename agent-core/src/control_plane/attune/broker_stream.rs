//! The bytes under a connection to RabbitMQ: TCP, or TLS on it, as the whole program speaks it.
//!
//! The broker's client brings a TLS of its own, with another store of roots and formats that nobody here reads; it is left
//! out, and the client gets its stream from here.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::io::{AsyncRead as ClientRead, AsyncWrite as ClientWrite};
use futures_util::{Stream, TryFutureExt};
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Makes the streams of connections to one broker.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: TlsConnector,
}

impl Dialer {
    pub(super) fn new(tls: TlsConnector) -> Self {
        Self { tls }
    }

    /// Connects to where `uri` leads.
    pub(super) async fn dial(&self, uri: &AMQPUri) -> io::Result<Compat<BrokerStream>> {
        let host = uri.authority.host.as_str();
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), uri.authority.port)).await?;
        // Frames are short, and the last one must not wait for the broker to have seen those before it.
        stream.set_nodelay(true)?;
        let stream = match uri.scheme {
            AMQPScheme::AMQP => BrokerStream::Plain(stream),
            AMQPScheme::AMQPS => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                BrokerStream::Tls(Box::new(self.tls.connect(name, stream).await?))
            }
        };
        Ok(stream.compat())
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// What frames are written to and read from.
#[derive(Debug)]
pub(super) enum BrokerStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does on whichever stream it is what both can.
macro_rules! on_either {
    ($self:ident, $method:ident ( $($argument:ident),* )) => {
        match $self.get_mut() {
            BrokerStream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            BrokerStream::Tls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for BrokerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_either!(self, poll_read(cx, into))
    }
}

impl AsyncWrite for BrokerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_either!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, poll_shutdown(cx))
    }
}

/// The client's idea of a runtime: tokio in all, but that streams are ours.
#[derive(Debug, Clone)]
pub(super) struct ClientRuntime(Tokio);

impl ClientRuntime {
    /// The runtime that this is called on.
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }
}

impl RuntimeKit for ClientRuntime {}

impl Executor for ClientRuntime {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for ClientRuntime {
    type TcpStream = Compat<BrokerStream>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl ClientRead + ClientWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// Whoever connects by an address alone gets a plain stream; the agent dials.
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        TcpStream::connect(address).map_ok(|stream| BrokerStream::Plain(stream).compat())
    }
}
