//! TLS, to servers whose authority only a file knows.

use test_servers::{Postgres, Rabbit};

use crate::site::{Ran, Site, Worker};

#[test]
fn both_servers_are_reached_over_tls_by_their_authorities_and_not_without() {
    let (postgres, rabbit) = std::thread::scope(|scope| {
        let rabbit = scope.spawn(|| Rabbit::options().tls(true).start());
        (Postgres::options().tls(true).start(), rabbit.join().expect("a broker"))
    });
    let (database_ca, broker_ca) =
        (postgres.authority().expect("a file"), rabbit.authority().expect("a file"));
    // The authority is named by the agent's own setting, not in the URL.
    let database = postgres.url().split("&sslrootcert=").next().expect("a URL").to_owned();
    assert!(database.ends_with("sslmode=verify-full"), "{database}");
    let site = Site::empty(&database, &rabbit.url());
    let trusting = |arguments: &[&str]| {
        let mut command = site.agent();
        command.args(arguments).env("ATTUNE__DATABASE__CA_FILE", database_ca);
        command.env("ATTUNE__MESSAGE_QUEUE__CA_FILE", broker_ca);
        command
    };
    let expect = |arguments: &[&str]| {
        let ran = Ran::of(&mut trusting(arguments));
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran
    };
    expect(&["migrate"]);
    expect(&["pack", "register", concat!(env!("CARGO_MANIFEST_DIR"), "/../packs/core")]);
    let worker = Worker::spawn(&mut trusting(&["run", "--name", "w"]));
    worker.wait_for("the worker takes work");
    let ran = expect(&["submit", "core.echo", "-p", "message=sealed", "--direct", "--wait", "--json"]);
    assert!(ran.stdout.contains("sealed"), "{}", ran.stdout);
    worker.drain();

    for (variable, waits, says) in [
        ("ATTUNE__DATABASE__CA_FILE", "schema", "waiting for the database at localhost:"),
        ("ATTUNE__MESSAGE_QUEUE__CA_FILE", "queue", "waiting for the broker at localhost:"),
    ] {
        let mut distrustful = trusting(&["wait", waits, "--timeout", "2"]);
        let ran = Ran::of(distrustful.env_remove(variable));
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        println!("tls: {}", ran.stderr.lines().next().unwrap_or_default());
        assert!(ran.stderr.contains(says) && ran.stderr.contains("ertificate"), "{}", ran.stderr);
        // A file that is not there is a mistake that waiting does not mend.
        let mut mistaken = trusting(&["wait", waits, "--timeout", "2"]);
        let ran = Ran::of(mistaken.env(variable, site.path("none.pem")));
        assert_eq!(ran.code, 65, "{}", ran.stderr);
        assert!(ran.stderr.contains("ca_file"), "{}", ran.stderr);
    }
}
