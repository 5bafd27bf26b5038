//! Stand-ins for images that cannot be pulled.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::{Engine, Image, Root, busybox};

/// How images are called that have a stand-in, and what makes it.
type Maker = fn(&Engine) -> StandIn;

const STAND_INS: &[(&str, Maker)] = &[
    ("docker.io/library/busybox:", |engine| StandIn::of(busybox::root(engine))),
    ("docker.io/library/postgres:", postgres),
    ("docker.io/library/python:", |engine| debian(engine, "python", &["python3"])),
    ("docker.io/library/rabbitmq:", rabbitmq),
    ("docker.io/library/ruby:", |engine| debian(engine, "ruby", &["ruby"])),
    ("nikolaik/python-nodejs:", |engine| debian(engine, "python-nodejs", &["python3", "nodejs"])),
];

/// What the entry point of PostgreSQL's image does, as far as the chart asks for it.
const POSTGRES: &str = include_str!("postgres.sh");

/// The same of RabbitMQ's.
const RABBITMQ: &str = include_str!("rabbitmq.sh");

/// Where Debian has the servers' own programs, which the images have on their path.
const SERVERS_PATH: &str = "/usr/lib/postgresql/15/bin:/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:\
                            /usr/bin:/sbin:/bin";

/// Those that were made.
static MADE: LazyLock<Mutex<BTreeMap<&str, Arc<StandIn>>>> = LazyLock::new(Mutex::default);

/// What runs where a manifest names an image.
#[derive(Debug)]
pub struct StandIn {
    pub(super) shape: Shape,
    /// What is started where the manifest does not say.
    pub(super) entrypoint: Option<&'static str>,
    pub(super) variables: &'static [(&'static str, &'static str)],
    pub(super) stop_signal: Option<&'static str>,
}

#[derive(Debug)]
pub(super) enum Shape {
    Root(Root),
    Image(Image),
}

impl StandIn {
    fn of(root: Root) -> Self {
        Self { shape: Shape::Root(root), entrypoint: None, variables: &[], stop_signal: None }
    }
}

impl From<&Image> for StandIn {
    fn from(image: &Image) -> Self {
        let shape = Shape::Image(image.clone());
        Self { shape, entrypoint: None, variables: &[], stop_signal: None }
    }
}

/// The images of a cluster: those that a test has built, and stand-ins.
#[derive(Debug, Default)]
pub(super) struct Images {
    given: BTreeMap<&'static str, Arc<StandIn>>,
}

impl Images {
    pub(super) fn add(&mut self, reference: &'static str, image: StandIn) {
        self.given.insert(reference, Arc::new(image));
    }

    /// What runs for `image`; it is made when it is first asked for.
    #[track_caller]
    pub(super) fn find(&self, engine: &Engine, image: &str) -> Arc<StandIn> {
        if let Some((_, given)) = self.given.iter().find(|(reference, _)| image.starts_with(**reference)) {
            return Arc::clone(given);
        }
        let found = STAND_INS.iter().find(|(reference, _)| image.starts_with(reference));
        let (reference, make) = found.unwrap_or_else(|| panic!("there is no stand-in for {image}"));
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(reference).or_insert_with(|| Arc::new(make(engine))))
    }
}

/// Debian with these packages, of which each has to be installed here.
fn debian(engine: &Engine, name: &str, packages: &[&str]) -> StandIn {
    StandIn::of(Root::scratch(engine, name).debian(packages))
}

fn postgres(engine: &Engine) -> StandIn {
    let root = Root::scratch(engine, "postgres").debian(&["postgresql-15"]);
    let root =
        root.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/:/bin/sh\n", 0o644);
    StandIn {
        shape: Shape::Root(root.write("/entrypoint", POSTGRES, 0o755)),
        entrypoint: Some("/entrypoint"),
        variables: &[("LANG", "C.UTF-8"), ("PATH", SERVERS_PATH), ("PGDATA", "/var/lib/postgresql/data")],
        stop_signal: Some("SIGINT"),
    }
}

fn rabbitmq(engine: &Engine) -> StandIn {
    let root = Root::scratch(engine, "rabbitmq").debian(&["rabbitmq-server"]);
    let root =
        root.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nrabbitmq:x:999:999::/:/bin/sh\n", 0o644);
    // Whoever the user is may write there.
    let written = ["/etc/rabbitmq", "/var/lib/rabbitmq", "/var/log/rabbitmq"];
    let root = written.into_iter().fold(root, |root, directory| root.directory(directory, 0o777));
    StandIn {
        shape: Shape::Root(root.write("/entrypoint", RABBITMQ, 0o755)),
        entrypoint: Some("/entrypoint"),
        variables: &[("LANG", "C.UTF-8"), ("PATH", SERVERS_PATH), ("HOME", "/var/lib/rabbitmq")],
        stop_signal: None,
    }
}
