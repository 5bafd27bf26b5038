//! Passwords, parameters and results stay out of logs and of error messages, however much is logged.

use serde_json::json;
use test_servers::Servers;

use crate::site::{Ran, Site, Worker};
use crate::wire::Wire;

const DATABASE: &str = "xyzzy-of-the-database";
const BROKER: &str = "xyzzy-of-the-broker";
const PARAMETER: &str = "xyzzy-of-a-parameter";
const RESULT: &str = "xyzzy-of-a-result";

/// A site whose credentials are like nothing else in a log.
fn site(test: &str) -> Site {
    let servers = Servers::shared();
    let virtual_host = servers.virtual_host(test);
    let amqp = virtual_host.set_password(BROKER);
    let owner = Site::empty(&servers.database(test), &amqp);
    let wire = Wire::new(&owner);
    let role = format!("role_{test}");
    wire.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{DATABASE}';
         DO $$ BEGIN EXECUTE format('GRANT ALL ON DATABASE %I TO {role}', current_database()); END $$;"
    ));
    let (scheme, rest) = owner.database.split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a user");
    let site = Site::new(&format!("{scheme}://{role}:{DATABASE}@{place}"), &amqp);
    // What every shell can do to give a marker that is not in its own text.
    let halves = RESULT.split_at(6);
    let script = format!("cat > /dev/null\nprintf '%s%s\\n' '{}' '{}'\n", halves.0, halves.1);
    site.action("tell", &script, "output_format: text\n");
    site.action("fail", &format!("{script}printf '%s%s\\n' '{}' '{}' >&2\nexit 3\n", halves.0, halves.1), "");
    site
}

fn assert_silent(log: &str, secrets: &[&str]) {
    for secret in secrets {
        let told: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{secret}: {told:#?}");
        // As bytes in a list, the way debug output shows them.
        let bytes: Vec<_> = secret.bytes().take(8).map(|byte| byte.to_string()).collect();
        assert!(!log.contains(&bytes.join(", ")), "{secret} as bytes");
    }
}

#[test]
fn no_log_line_holds_a_password_a_parameter_or_a_result_even_at_trace() {
    let site = site("secrecy");
    let wire = Wire::new(&site);
    let mut command = site.worker_command("w");
    command.env("RUST_LOG", "trace").env("ATTUNE__WORKER__HEARTBEAT_INTERVAL", "0.2");
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    let number = wire.worker("w");
    let told = wire.hand(number, "my.tell", &json!({"secret": PARAMETER}));
    let failed = wire.hand(number, "my.fail", &json!({"secret": PARAMETER}));
    wire.await_completion(told);
    wire.await_completion(failed);
    assert_eq!(wire.result(told)["stdout"], format!("{RESULT}\n"));
    assert_eq!(wire.result(failed)["exit_code"], 3);
    let log = worker.drain().join("\n");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
    println!("secrecy: {} lines of log at the level trace", log.lines().count());
    assert_silent(&log, &[DATABASE, BROKER, PARAMETER]);
    // An error is what a person should read first, and part of the log; standard output never is.
    let others: Vec<_> = log.lines().filter(|line| !line.contains("an execution has ended")).collect();
    assert_silent(&others.join("\n"), &[RESULT]);
    let ended = log.lines().find(|line| line.contains("an execution has ended") && line.contains("my.tell"));
    assert_silent(ended.expect("its end is logged"), &[RESULT]);
}

#[test]
fn wrong_credentials_and_wrong_addresses_are_told_without_the_password() {
    let site = site("secrecy_wrong");
    let wrong = |url: &str, secret: &str| url.replace(secret, &format!("{secret}-mistyped"));
    for (database, amqp, says) in [
        (wrong(&site.database, DATABASE), site.amqp.clone(), "waiting for the database at "),
        (site.database.clone(), wrong(&site.amqp, BROKER), "waiting for the broker at "),
    ] {
        let mut command = site.worker_command("w");
        command.env("ATTUNE__DATABASE__URL", database).env("ATTUNE__MESSAGE_QUEUE__URL", amqp);
        let worker = Worker::spawn(command.env("RUST_LOG", "trace"));
        let line = worker.wait_for(says);
        println!("secrecy: {line}");
        assert_silent(&worker.kill().join("\n"), &[DATABASE, BROKER]);
    }
}

#[test]
fn urls_that_are_none_are_refused_without_what_is_in_them() {
    let site = Site::empty("postgres://nobody@127.0.0.1:1/none", "amqp://nobody@127.0.0.1:1/none");
    let password = "xyzzy";
    for (variable, key) in
        [("ATTUNE__DATABASE__URL", "database.url"), ("ATTUNE__MESSAGE_QUEUE__URL", "message_queue.url")]
    {
        for url in [
            "xyzzy",
            "user:xyzzy@host",
            "mysql://user:xyzzy@host/db",
            "postgres//user:xyzzy@host/db",
            "://user:xyzzy@host",
            "postgres://user:xyzzy@host:port/db",
            "postgres://user:xyzzy@host:99999/db",
            "postgres://user:xyzzy@[::1/db",
            "postgres://user:xyzzy@host/db?sslmode=nonsense",
            "postgres://user:%zzxyzzy@ho st/db",
            "amqp://user:xyzzy@host:port/vhost",
            "amqp://user:xyzzy@host:99999/vhost",
            "amqps//user:xyzzy@host",
            "amqp://user:xyzzy@host/%2f?heartbeat=nonsense",
            "http://user:xyzzy@host",
        ] {
            let own = if key == "database.url" { "postgres" } else { "amqp" };
            // One kind's good URL is not the other kind's mistake.
            if url.starts_with(own) && url.contains("sslmode") && own == "amqp" {
                continue;
            }
            for verb in [
                ["run", "--name", "w"].as_slice(),
                &["wait", "all", "--timeout", "1"],
                &["submit", "core.noop"],
            ] {
                let ran = Ran::of(site.agent().args(verb).env(variable, url).env("RUST_LOG", "trace"));
                let said = format!("{}{}", ran.stdout, ran.stderr);
                assert!(!said.contains(password), "{verb:?} {variable}={url}: {said}");
                assert_eq!(ran.code, 65, "{verb:?} {variable}={url}: {said}");
                ran.assert_refused(65, &format!("`{key}` is not "), "it has the form ");
            }
        }
    }
}
