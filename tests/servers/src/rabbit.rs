//! A RabbitMQ broker of a test's own.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapin::uri::AMQPUri;
use serde_json::{Value, json};

use crate::account::{self, Account};
use crate::api::Api;
use crate::authority::Certificates;
use crate::failure::{Doing, Failure, OrEnd, Result};
use crate::guard::{Guarded, Program};
use crate::port::Port;
use crate::process;

/// The user that every broker has at first, and its password.
const GUEST: &str = "guest";

/// Where Debian's package keeps the programs themselves; what it has on the path insists on its own user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

const PACKAGE: &str = "rabbitmq-server";

/// How a [`Rabbit`] is to be.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct RabbitOptions {
    tls: bool,
}

impl RabbitOptions {
    /// Whether it speaks TLS, and nothing else, as `localhost`.
    pub fn tls(self, tls: bool) -> Self {
        Self { tls }
    }

    /// Starts a broker, and returns when it takes connections.
    #[track_caller]
    pub fn start(self) -> Rabbit {
        Rabbit::try_start(self).or_end()
    }
}

/// A running, or stopped, RabbitMQ. Dropping it ends it and removes its data.
pub struct Rabbit {
    // Dropped in this order.
    broker: Guarded,
    /// By which a node finds its own tools; the system's would outlive the test.
    _port_mapper: Guarded,
    ports: Ports,
    directory: PathBuf,
    certificates: Option<Certificates>,
    virtual_hosts: VirtualHosts,
}

struct Ports {
    amqp: Port,
    api: Port,
    distribution: Port,
    port_mapper: Port,
}

impl Rabbit {
    /// Starts a broker with the default options, and returns when it takes connections.
    #[track_caller]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// Options to start a broker with.
    pub fn options() -> RabbitOptions {
        RabbitOptions::default()
    }

    pub(crate) fn try_start(options: RabbitOptions) -> Result<Self> {
        let account = Account::of_server("rabbitmq")?;
        let server = account::find("rabbitmq-server", [PathBuf::from(PROGRAMS)], PACKAGE)?;
        let port_mapper = account::find("epmd", [], PACKAGE)?;
        let temporary = account.directory()?;
        let directory = temporary.path().to_owned();
        let ports = Ports {
            amqp: Port::free()?,
            api: Port::free()?,
            distribution: Port::free()?,
            port_mapper: Port::free()?,
        };
        let certificates = options.tls.then(|| Certificates::make(&directory, &account)).transpose()?;
        std::fs::write(directory.join("rabbitmq.conf"), configuration(&ports, certificates.as_ref()))
            .doing("write a broker's configuration")?;
        std::fs::write(directory.join("plugins"), "[rabbitmq_management].").doing("choose plugins")?;

        let mut port_mapper = map_ports(&ports, &directory, account.words(&port_mapper, "KILL"))?;
        port_mapper.start(|| answers(&ports.port_mapper))?;
        let program = Program {
            name: "RabbitMQ",
            words: account.words(&server, "KILL"),
            environment: environment(&ports, &directory),
            log: directory.join("log"),
            end_now: "KILL",
        };
        let broker = Guarded::new(program, Some(&directory))?;
        // From here on it is the guard's to remove.
        let _ = temporary.keep();
        let scheme = if options.tls { "amqps" } else { "amqp" };
        let host = if options.tls { "localhost" } else { "127.0.0.1" };
        let virtual_hosts = VirtualHosts {
            scheme: scheme.to_owned(),
            address: format!("{host}:{}", ports.amqp.number()),
            api: Api::new("127.0.0.1", ports.api.number(), GUEST, GUEST),
        };
        let mut rabbit =
            Self { broker, _port_mapper: port_mapper, ports, directory, certificates, virtual_hosts };
        rabbit.try_start_again()?;
        Ok(rabbit)
    }

    fn try_start_again(&mut self) -> Result {
        let listens = format!("health/checks/port-listener/{}", self.port());
        let api = &self.virtual_hosts.api;
        self.broker.start(|| api.get(&listens).map(drop))
    }

    /// The URL of the virtual host `/`.
    pub fn url(&self) -> String {
        self.virtual_hosts.url_for("/", GUEST)
    }

    /// The URL of a virtual host that was created.
    pub fn url_of(&self, virtual_host: &str) -> String {
        self.virtual_hosts.url_of(virtual_host)
    }

    /// The loopback port for AMQP; it stays the same when the broker starts again.
    pub fn port(&self) -> u16 {
        self.ports.amqp.number()
    }

    /// The loopback port of the management plugin's HTTP API, for `guest`.
    pub fn api_port(&self) -> u16 {
        self.ports.api.number()
    }

    /// The certificate of the authority that vouches for a broker with [`RabbitOptions::tls`].
    pub fn authority(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|files| files.authority.as_path())
    }

    /// The broker's virtual hosts.
    pub fn virtual_hosts(&self) -> &VirtualHosts {
        &self.virtual_hosts
    }

    /// Creates an empty virtual host and returns its URL.
    #[track_caller]
    pub fn create_vhost(&self, name: &str) -> String {
        self.virtual_hosts.create(name)
    }

    /// Closes every client's connection, as an operator would.
    #[track_caller]
    pub fn close_connections(&self) {
        self.virtual_hosts.try_close_all().or_end();
    }

    /// Runs `rabbitmqctl` (which takes a second or two) and returns what it printed.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.try_ctl(arguments).or_end()
    }

    fn try_ctl(&self, arguments: &[&str]) -> Result<String> {
        let program = account::find("rabbitmqctl", [PathBuf::from(PROGRAMS)], PACKAGE)?;
        let mut ctl = Account::of_server("rabbitmq")?.command(&program);
        ctl.envs(environment(&self.ports, &self.directory)).args(arguments);
        process::run(&mut ctl, "rabbitmqctl")
    }

    /// Ends the broker in order, for which its statistics alone take five seconds.
    #[track_caller]
    pub fn stop(&mut self) {
        self.broker.stop("TERM").or_end();
    }

    /// Ends the broker at once, as in a crash.
    #[track_caller]
    pub fn stop_now(&mut self) {
        self.broker.stop("KILL").or_end();
    }

    /// Starts a stopped broker on the same data and the same ports.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.try_start_again().or_end();
    }
}

/// The virtual hosts of a broker, whoever started it. Each has a user of its own, called as it is, so that one test's
/// connections can be closed without another's.
#[derive(Clone, Debug)]
pub struct VirtualHosts {
    scheme: String,
    /// Host and port.
    address: String,
    api: Api,
}

impl VirtualHosts {
    /// Those of the broker to which `url` leads. Its user is an administrator, and the management plugin listens on
    /// `api_port`, or where it does by default.
    pub(crate) fn at(url: &str, api_port: Option<&str>) -> Result<Self> {
        let uri: AMQPUri = url.parse().doing("read the broker's URL")?;
        let api_port = api_port.unwrap_or("15672").parse().doing("read a port")?;
        let user = &uri.authority.userinfo;
        Ok(Self {
            scheme: uri.scheme.to_string(),
            address: format!("{}:{}", uri.authority.host, uri.authority.port),
            api: Api::new(&uri.authority.host, api_port, &user.username, &user.password),
        })
    }

    /// The URL of a virtual host that was created.
    pub fn url_of(&self, name: &str) -> String {
        self.url_for(name, name)
    }

    fn url_for(&self, name: &str, user: &str) -> String {
        let Self { scheme, address, .. } = self;
        format!("{scheme}://{user}:{user}@{address}/{}", name.replace('/', "%2f"))
    }

    /// Creates an empty virtual host, and its user, and returns its URL.
    #[track_caller]
    pub fn create(&self, name: &str) -> String {
        self.try_create(name).or_end();
        self.url_of(name)
    }

    fn try_create(&self, name: &str) -> Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !name.bytes().all(plain) {
            return Err(Failure::new(format!("`{name}` is no name that needs no escapes in a URL")));
        }
        self.api.put(&format!("vhosts/{name}"), &json!({}))?;
        self.api.put(&format!("users/{name}"), &json!({"password": name, "tags": "management"}))?;
        let everything = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.api.put(&format!("permissions/{name}/{name}"), &everything)
    }

    /// Gives the user of one virtual host another password.
    #[track_caller]
    pub fn set_password(&self, name: &str, password: &str) {
        let user = json!({"password": password, "tags": "management"});
        self.api.put(&format!("users/{name}"), &user).or_end();
    }

    /// Closes the connections of clients of one virtual host, as an operator would.
    #[track_caller]
    pub fn close_connections(&self, name: &str) {
        self.try_close(name).or_end();
    }

    fn try_close(&self, user: &str) -> Result {
        self.api.delete(&format!("connections/username/{user}"))
    }

    fn try_close_all(&self) -> Result {
        let users = self.api.get("users")?;
        let names = users.as_array().into_iter().flatten().filter_map(|user| user["name"].as_str());
        names.into_iter().try_for_each(|name| self.try_close(name))
    }

    /// What the broker lists of one virtual host: `what` is `queues`, `exchanges` or `bindings`. Figures among it may
    /// be some seconds old.
    #[track_caller]
    pub fn list(&self, what: &str, name: &str) -> Vec<Value> {
        self.try_list(what, name).or_end()
    }

    fn try_list(&self, what: &str, name: &str) -> Result<Vec<Value>> {
        match self.api.get(&format!("{what}/{}", name.replace('/', "%2f")))? {
            Value::Array(items) => Ok(items),
            other => Err(Failure::new(format!("RabbitMQ lists {what} as {other}"))),
        }
    }
}

/// The guard of the port mapper, not started yet.
fn map_ports(ports: &Ports, directory: &Path, mut words: Vec<String>) -> Result<Guarded> {
    let number = ports.port_mapper.number().to_string();
    words.extend(["-port".to_owned(), number, "-address".to_owned(), "127.0.0.1".to_owned()]);
    let log = directory.join("port-mapper.log");
    Guarded::new(Program { name: "epmd", words, environment: Vec::new(), log, end_now: "KILL" }, None)
}

/// Whether somebody listens.
fn answers(port: &Port) -> Result {
    let address = (Ipv4Addr::LOCALHOST, port.number()).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(drop).doing("connect")
}

/// `rabbitmq.conf`.
fn configuration(ports: &Ports, certificates: Option<&Certificates>) -> String {
    let amqp = ports.amqp.number();
    let listeners = match certificates {
        None => format!("listeners.tcp.1 = 127.0.0.1:{amqp}\n"),
        Some(Certificates { authority, certificate, key }) => format!(
            "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{amqp}\n\
             ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            authority.display(),
            certificate.display(),
            key.display()
        ),
    };
    format!(
        "{listeners}management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\nlog.file = false\n\
         log.console = true\nlog.console.use_colors = off\n",
        ports.api.number()
    )
}

/// What the broker and its tools read from the environment.
fn environment(ports: &Ports, directory: &Path) -> Vec<(&'static str, String)> {
    let below = |name: &str| directory.join(name).display().to_string();
    vec![
        ("LANG", "C.UTF-8".to_owned()),
        // Where Erlang keeps the secret that nodes and tools share.
        ("HOME", directory.display().to_string()),
        ("ERL_EPMD_PORT", ports.port_mapper.number().to_string()),
        ("RABBITMQ_NODENAME", format!("attune-test-{}@localhost", ports.amqp.number())),
        ("RABBITMQ_DIST_PORT", ports.distribution.number().to_string()),
        ("RABBITMQ_CONF_ENV_FILE", below("rabbitmq-env.conf")),
        ("RABBITMQ_CONFIG_FILE", below("rabbitmq.conf")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", below("advanced.config")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", below("plugins")),
        ("RABBITMQ_MNESIA_BASE", below("data")),
        ("RABBITMQ_LOG_BASE", below("logs")),
        // The start script then becomes the broker, instead of standing between it and its signals.
        ("RABBITMQ_ALLOW_INPUT", "true".to_owned()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-noinput -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
    ]
}
