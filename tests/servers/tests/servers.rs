//! The servers do what tests of others rely on: they start, lose nothing, and end with the test.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ConnectionProperties};
use sqlx::{Connection, PgConnection};
use test_servers::{Postgres, Rabbit, Servers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Nothing that a test awaits takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("an answer in time")
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    soon(PgConnection::connect(url)).await
}

async fn count(connection: &mut PgConnection) -> i64 {
    soon(sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(connection)).await.expect("a table")
}

async fn open(url: &str) -> Result<lapin::Connection, lapin::Error> {
    soon(lapin::Connection::connect(url, ConnectionProperties::default())).await
}

/// Says hello to the broker at `port` over TLS, as whoever trusts this authority alone and calls the broker `name`; returns
/// the kind of the frame that answers.
async fn greet(port: u16, name: &'static str, authority: Option<&Path>) -> io::Result<u8> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = authority {
        let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
        roots.add(certificate).expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let greeting = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from(name).expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"AMQP\0\0\x09\x01").await?;
        stream.read_u8().await
    };
    soon(greeting).await
}

#[tokio::test]
async fn postgres_keeps_what_it_has_through_a_stop_and_a_crash() {
    let start = Instant::now();
    let mut postgres = Postgres::options().durable(true).start();
    println!("PostgreSQL started in {:?}", start.elapsed());
    let mut connection = connect(postgres.url()).await.expect("a server");
    let create = sqlx::raw_sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    soon(create.execute(&mut connection)).await.expect("a table");

    postgres.stop();
    let refused = connect(postgres.url()).await.expect_err("the server is stopped");
    assert!(matches!(refused, sqlx::Error::Io(_)), "{refused}");
    assert!(soon(connection.ping()).await.is_err(), "a fast shutdown ends sessions");

    let start = Instant::now();
    postgres.start_again();
    println!("PostgreSQL started again in {:?}", start.elapsed());
    let mut connection = connect(postgres.url()).await.expect("a server");
    assert_eq!(count(&mut connection).await, 1);
    soon(sqlx::raw_sql("INSERT INTO kept VALUES (2)").execute(&mut connection)).await.expect("a row");

    postgres.stop_now();
    postgres.start_again();
    let mut connection = connect(postgres.url()).await.expect("a server");
    assert_eq!(count(&mut connection).await, 2);
}

async fn setting(url: &str, name: &str) -> String {
    let mut connection = connect(url).await.expect("a server");
    let show = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    soon(show.fetch_one(&mut connection)).await.expect("a setting")
}

#[tokio::test]
async fn postgres_is_durable_where_that_is_asked_for() {
    let fast = Postgres::start();
    let durable = Postgres::options().durable(true).start();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(fast.url(), name).await, "off", "{name}");
        assert_eq!(setting(durable.url(), name).await, "on", "{name}");
    }
}

#[tokio::test]
async fn databases_are_apart() {
    let postgres = Postgres::start();
    let start = Instant::now();
    let (one, other) = (postgres.create_database("one"), postgres.create_database("other"));
    println!("two databases were created in {:?}", start.elapsed());
    let mut connection = connect(&one).await.expect("a database");
    soon(sqlx::raw_sql("CREATE TABLE kept ()").execute(&mut connection)).await.expect("a table");
    let mut connection = connect(&other).await.expect("a database");
    let absent = soon(sqlx::raw_sql("SELECT FROM kept").execute(&mut connection)).await;
    assert!(absent.is_err(), "{absent:?}");
}

#[tokio::test]
async fn postgres_is_trusted_by_its_authority_alone() {
    let postgres = Postgres::options().tls(true).start();
    let authority = postgres.authority().expect("a certificate").display().to_string();
    let mut connection = connect(postgres.url()).await.expect("a server that is trusted");
    let seen = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    assert!(soon(seen.fetch_one(&mut connection)).await.unwrap_or(false), "the session is encrypted");

    let others = postgres.url().replace(&format!("&sslrootcert={authority}"), "");
    assert_ne!(others, postgres.url());
    for url in [
        others,
        postgres.url().replace("verify-full", "disable"),
        postgres.url().replace("localhost", "127.0.0.1"),
    ] {
        assert!(connect(&url).await.is_err(), "{url}");
    }
}

async fn channel(url: &str) -> (lapin::Connection, Channel) {
    let connection = open(url).await.expect("a broker");
    let channel = soon(connection.create_channel()).await.expect("a channel");
    (connection, channel)
}

async fn publish(channel: &Channel) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let queue = ShortString::from("kept");
    soon(channel.queue_declare(queue.clone(), durable, FieldTable::default())).await.expect("a queue");
    soon(channel.confirm_select(ConfirmSelectOptions::default())).await.expect("confirms");
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let sent = channel.basic_publish(
        ShortString::default(),
        queue,
        BasicPublishOptions::default(),
        b"kept",
        persistent,
    );
    let confirmed = soon(soon(sent).await.expect("a message that is sent")).await.expect("a confirm");
    assert!(confirmed.is_ack(), "{confirmed:?}");
}

async fn take(channel: &Channel) -> Option<Vec<u8>> {
    let got = soon(channel.basic_get(ShortString::from("kept"), BasicGetOptions { no_ack: true })).await;
    got.expect("a queue").map(|message| message.delivery.data)
}

#[tokio::test]
async fn rabbit_keeps_what_it_has_through_a_stop_and_a_crash() {
    let start = Instant::now();
    let mut rabbit = Rabbit::start();
    println!("RabbitMQ started in {:?}", start.elapsed());
    let start = Instant::now();
    let url = rabbit.create_vhost("mine");
    println!("a virtual host was created in {:?}", start.elapsed());
    let (connection, own) = channel(&url).await;
    publish(&own).await;

    let mut events = connection.events_listener();
    let start = Instant::now();
    rabbit.stop();
    println!("RabbitMQ stopped in {:?}", start.elapsed());
    assert!(open(&url).await.is_err(), "the broker is stopped");
    // Its clients are told; each hears it when it comes round to listening.
    while connection.status().connected() {
        soon(events.next()).await;
    }

    let start = Instant::now();
    rabbit.start_again();
    println!("RabbitMQ started again in {:?}", start.elapsed());
    let (_connection, own) = channel(&url).await;
    assert_eq!(take(&own).await.as_deref(), Some(b"kept".as_slice()));
    publish(&own).await;

    rabbit.stop_now();
    rabbit.start_again();
    let (_connection, own) = channel(&url).await;
    assert_eq!(take(&own).await.as_deref(), Some(b"kept".as_slice()));
    assert_eq!(take(&own).await, None);
    let listed = rabbit.ctl(&["list_queues", "--vhost", "mine", "--formatter", "json", "name", "durable"]);
    assert!(listed.contains(r#"{"name":"kept","durable":true}"#), "{listed}");
}

#[tokio::test]
async fn rabbit_is_trusted_by_its_authority_alone() {
    let rabbit = Rabbit::options().tls(true).start();
    let authority = Some(rabbit.authority().expect("a certificate"));
    // A frame with a method: the broker begins a connection (AMQP 0-9-1, 4.2.3).
    assert_eq!(greet(rabbit.port(), "localhost", authority).await.expect("a broker that is trusted"), 1);
    assert!(greet(rabbit.port(), "localhost", None).await.is_err(), "an authority that nobody named");
    assert!(
        greet(rabbit.port(), "elsewhere.example", authority).await.is_err(),
        "a name that is not in the certificate"
    );
    assert!(open(&rabbit.url().replace("amqps", "amqp")).await.is_err(), "no TLS");
}

/// Asks again and again until there is nobody to answer.
async fn lost(channel: &Channel) {
    let once = BasicGetOptions::default();
    let gone = async { while channel.basic_get(ShortString::from("kept"), once).await.is_ok() {} };
    soon(gone).await;
}

#[tokio::test]
async fn tests_share_servers_and_do_not_meet() {
    let start = Instant::now();
    let servers = Servers::shared();
    println!("both started in {:?}", start.elapsed());
    let (one, other) = (servers.database("one"), servers.database("one"));
    assert_ne!(one, other);
    connect(&one).await.expect("a database");

    let (mine, yours) = (servers.virtual_host("one"), servers.virtual_host("one"));
    let ((my_connection, my_channel), (your_connection, _your_channel)) =
        (channel(mine.url()).await, channel(yours.url()).await);
    publish(&my_channel).await;
    let names =
        |queues: Vec<serde_json::Value>| queues.iter().map(|queue| queue["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(mine.list("queues")), ["kept"]);
    assert!(names(yours.list("queues")).is_empty());

    mine.close_connections();
    lost(&my_channel).await;
    assert!(!my_connection.status().connected());
    assert!(your_connection.status().connected(), "only one test's connections are closed");
}

#[test]
fn others_servers_are_used_where_they_are_named() {
    let (postgres, rabbit) = std::thread::scope(|scope| {
        let rabbit = scope.spawn(Rabbit::start);
        (Postgres::start(), rabbit.join().expect("a broker"))
    });
    let mut user = Command::new(env!("CARGO_BIN_EXE_test-servers"));
    user.env("DATABASE_URL", postgres.url()).env("AMQP_URL", rabbit.url());
    user.env("AMQP_API_PORT", rabbit.api_port().to_string()).stdin(Stdio::null());
    let printed = String::from_utf8(user.output().expect("a program of this package").stdout).expect("text");
    let urls: Vec<_> = printed.lines().filter_map(|line| line.split_once('=')).collect();
    let [("DATABASE_URL", database), ("AMQP_URL", virtual_host)] = urls[..] else { panic!("{printed}") };
    assert!(database.contains(&format!("@127.0.0.1:{}/attune_", postgres.port())), "{database}");
    let (_, name) = virtual_host.rsplit_once('/').expect("a URL");
    assert_eq!(virtual_host, rabbit.url_of(name));
    assert!(rabbit.virtual_hosts().list("exchanges", name).len() > 1, "the virtual host is there");
}
