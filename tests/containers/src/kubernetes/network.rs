//! The network that the pods of a cluster share.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Container, Engine, Instance, Root, Running, busybox};

/// What holds a network open: it says that it is there, and waits for ever.
const HOLDER: &[&str] = &["/busybox", "sh", "-c", "echo open >&2; exec /busybox sleep infinity"];

#[derive(Debug)]
pub(super) enum Network {
    /// The machine's: servers of the test's own are reached there.
    Machine,
    /// One with loopback and nothing else, as long as this container lives.
    Own(Box<Holder>),
}

/// The container, and below it what it runs in: ended in this order.
#[derive(Debug)]
pub(super) struct Holder {
    /// The network, for whoever wants to go there.
    path: PathBuf,
    // A lock makes it nobody's in particular; it is never taken.
    _running: Mutex<Running<'static>>,
    _instance: Instance,
}

impl Network {
    pub(super) fn own(engine: &'static Engine, name: &str) -> Self {
        let root = Root::scratch(engine, "network").copy(busybox::program(), "/busybox");
        let instance = root.instance(engine);
        let container = Container::new(engine, &format!("{name}-network"), &instance).network("none");
        let running = container.command(HOLDER).start();
        running.wait_for("open");
        let path = PathBuf::from(format!("/proc/{}/ns/net", running.first_process()));
        Self::Own(Box::new(Holder { path, _running: Mutex::new(running), _instance: instance }))
    }

    /// `--network`.
    pub(super) fn option(&self) -> String {
        match self {
            Self::Machine => "host".to_owned(),
            Self::Own(holder) => format!("ns:{}", holder.path.display()),
        }
    }

    /// Whether somebody listens on this port of it.
    pub(super) fn connects(&self, port: u16, deadline: Duration) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connect = || TcpStream::connect_timeout(&address, deadline).is_ok();
        match self {
            Self::Machine => connect(),
            // A thread can be elsewhere than its process, and this one does not come back.
            Self::Own(holder) => std::thread::scope(|scope| {
                let there = scope.spawn(|| {
                    let network = std::fs::File::open(&holder.path).expect("its holder lives");
                    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                        .expect("root may go there");
                    connect()
                });
                there.join().expect("a thread that ends")
            }),
        }
    }
}
