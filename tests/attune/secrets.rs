//! Secrets of executions: what is stored encrypted reaches the action and nobody else. Encryption and signatures are
//! checked with the contract's own algorithms, not with the agent's code.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::site::{Gate, PATIENCE, Ran, Site, Worker};
use crate::wire::{EXECUTIONS, Scheduled, Wire, until};

const KEY: &str = "an encryption key of the site, long enough";
const OTHER_KEY: &str = "an encryption key of somebody else, long enough";
const JWT_SECRET: &str = "xyzzy-signs-the-tokens-of-this-site";

fn cipher(key: &str) -> LessSafeKey {
    let key = digest::digest(&digest::SHA256, key.as_bytes());
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key of 32 bytes"))
}

/// As another service of the control plane encrypts.
fn encrypt(key: &str, value: &Value) -> String {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).expect("random numbers");
    let mut body = value.to_string().into_bytes();
    cipher(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
        .expect("a text");
    STANDARD.encode([nonce.as_slice(), &body].concat())
}

/// As another service of the control plane decrypts.
fn decrypt(key: &str, text: &str) -> Value {
    let mut bytes = STANDARD.decode(text).expect("base64");
    let (nonce, body) = bytes.split_first_chunk_mut::<NONCE_LEN>().expect("a nonce");
    let opened = cipher(key).open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), body);
    serde_json::from_slice(opened.expect("our key")).expect("JSON")
}

/// A worker with keys.
fn worker(site: &Site) -> Worker {
    let mut command = site.worker_command("w");
    command.env("ATTUNE__SECURITY__ENCRYPTION_KEY", KEY).env("ATTUNE__SECURITY__JWT_SECRET", JWT_SECRET);
    command.env("ATTUNE_API_URL", "http://api.example:8080");
    // Directories that are shared with an API: nothing is to be sent to this one, which is nowhere.
    for (directory, sentinel) in [("packs", ".attune-packs-sentinel"), ("artifacts", ".attune-api-sentinel")]
    {
        let directory = site.path(directory);
        std::fs::create_dir_all(&directory).expect("a writable directory");
        std::fs::write(directory.join(sentinel), "").expect("a writable directory");
    }
    let worker = Worker::spawn(&mut command);
    worker.wait_for("the worker takes work");
    worker
}

/// Takes `value` out of a scheduled execution's parameters.
fn seal_parameter(wire: &Wire, execution: &Scheduled, path: &str, key: &str, value: &Value) {
    wire.execute(&format!(
        "INSERT INTO execution_secret_value \
           (entity_type, entity_id, json_path, source_kind, source_ref, encrypted_value) \
         VALUES ('execution_config', {}, '{path}', 'parameter_schema', '{path}', to_jsonb('{}'::text))",
        execution.id,
        encrypt(key, value)
    ));
}

/// Adds a key; `owner` are the columns that say whose it is, with their values.
fn add_key(wire: &Wire, owner: (&str, &str), reference: &str, name: &str, stored: (bool, &Value)) {
    wire.execute(&format!(
        "INSERT INTO key (ref, {}, name, encrypted, value) VALUES ('{reference}', {}, '{name}', {}, '{}')",
        owner.0, owner.1, stored.0, stored.1
    ));
}

/// Dispatches a row that was changed after it was scheduled.
fn dispatch(wire: &Wire, scheduled: &Scheduled, config: &Value) {
    let mut payload = scheduled.payload();
    payload["scheduled_attempt_updated_at"] = Value::Null;
    payload["config"] = config.clone();
    let key = format!("execution.dispatch.worker.{}", scheduled.worker);
    wire.send(EXECUTIONS, &key, "ExecutionRequested", &payload);
}

/// Whether any file below `directory` holds `text`.
fn holds(directory: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the action wrote it")).expect("JSON")
}

#[test]
fn secret_parameters_and_keys_reach_the_action() {
    let site = Site::shared("secrets_restored");
    let wire = Wire::new(&site);
    let given = site.path("given");
    site.action("keep", &format!("cat > {}\n", given.display()), "");
    let worker = worker(&site);
    let number = wire.worker("w");
    let encrypted = |value: &str| json!(encrypt(KEY, &json!(value)));
    let system = ("owner_type", "'system'");
    let pack = ("owner_type, owner_pack", "'pack', (SELECT id FROM pack WHERE ref = 'my')");
    let action = ("owner_type, owner_action", "'action', (SELECT id FROM action WHERE ref = 'my.keep')");
    let stranger = ("owner_type, owner_pack", "'pack', (SELECT id FROM pack WHERE ref = 'core')");
    add_key(&wire, action, "a.shared", "shared", (true, &encrypted("of the action")));
    add_key(&wire, system, "s.shared", "shared", (true, &encrypted("of the system")));
    add_key(&wire, pack, "p.shared", "shared", (true, &encrypted("of the pack")));
    add_key(&wire, pack, "p.plain", "plain", (false, &json!({"region": "north"})));
    add_key(&wire, system, "s.default", "default", (true, &encrypted("over a default")));
    add_key(&wire, system, "s.own", "own", (true, &encrypted("not over a value")));
    add_key(&wire, stranger, "x.other", "other", (true, &encrypted("somebody else's")));

    let marker = json!({"$attune_secret": true, "redacted": true});
    let own = json!({"own": "given", "password": marker, "list": [{"token": marker}], "n": 1});
    let scheduled = wire.schedule(number, "my.keep", &own);
    seal_parameter(&wire, &scheduled, "/password", KEY, &json!("s3cr3t-p4ss"));
    seal_parameter(&wire, &scheduled, "/list/0/token", KEY, &json!({"id": 7, "value": "s3cr3t-t0ken"}));
    seal_parameter(&wire, &scheduled, "/new/deep~1er", KEY, &json!("made on the way"));
    let mut config = own.clone();
    config["default"] = json!("of the schema");
    dispatch(&wire, &scheduled, &config);
    wire.await_completion(scheduled.id);
    assert_eq!(wire.status(scheduled.id), "completed", "{}", wire.result(scheduled.id));
    let expected = json!({
        "own": "given", "password": "s3cr3t-p4ss", "list": [{"token": {"id": 7, "value": "s3cr3t-t0ken"}}], "n": 1,
        "new": {"deep/er": "made on the way"}, "shared": "of the action", "plain": {"region": "north"},
        "default": "over a default",
    });
    assert_eq!(read_json(&given), expected);
    // What was opened was opened for the action alone.
    assert_eq!(wire.row(&format!("SELECT config FROM execution WHERE id = {}", scheduled.id))["config"], own);
    let log = worker.drain().join("\n");
    for secret in ["s3cr3t-p4ss", "s3cr3t-t0ken", "of the action"] {
        assert!(!log.contains(secret), "{log}");
        assert!(!holds(&site.path("work"), secret) && !holds(&site.path("artifacts"), secret));
    }
}

#[test]
fn what_cannot_be_opened_fails_those_that_need_it_and_nobody_else() {
    let site = Site::shared("secrets_unopened");
    let wire = Wire::new(&site);
    let ran = site.path("ran");
    for name in ["needs", "does_not"] {
        site.action(name, &format!("cat >> {}\n", ran.display()), "");
    }
    wire.execute(
        "UPDATE action SET param_schema = '{\"token\": {\"type\": \"string\"}}' WHERE ref = 'my.needs'",
    );
    let worker = worker(&site);
    let number = wire.worker("w");
    let foreign = json!(encrypt(OTHER_KEY, &json!("somebody else's secret")));
    add_key(&wire, ("owner_type", "'system'"), "s.token", "token", (true, &foreign));
    let good = json!(encrypt(KEY, &json!("a good secret")));
    add_key(&wire, ("owner_type", "'system'"), "s.good", "good", (true, &good));

    let other = wire.hand(number, "my.does_not", &json!({"n": 1}));
    wire.await_completion(other);
    assert_eq!(wire.status(other), "completed");
    assert_eq!(read_json(&ran), json!({"n": 1, "good": "a good secret"}), "the other keys are there");
    let line = worker.wait_for("cannot be opened and is left out");
    assert!(line.contains("s.token") && !line.contains(foreign.as_str().expect("text")), "{line}");

    let needing = wire.hand(number, "my.needs", &json!({}));
    wire.await_completion(needing);
    let result = wire.result(needing);
    println!("secrets: {result}");
    assert_eq!(
        (wire.status(needing).as_str(), &result["_agent"]["reason"]),
        ("failed", &json!("secret_unavailable"))
    );
    let error = result["error"].as_str().expect("text");
    assert!(error.contains("`s.token`") && error.contains("`token`"), "{error}");
    assert!(result["_agent"]["hint"].as_str().expect("text").contains("security.encryption_key"));
    // Whoever has a value of their own needs no key.
    let given = wire.hand(number, "my.needs", &json!({"token": "mine"}));
    wire.await_completion(given);
    assert_eq!(wire.status(given), "completed");

    // A parameter that was taken out is always needed.
    for (key, path) in [(OTHER_KEY, "/password"), (KEY, "/list/3")] {
        let scheduled = wire.schedule(number, "my.does_not", &json!({"list": []}));
        seal_parameter(&wire, &scheduled, path, key, &json!("s3cr3t-p4ss"));
        wire.dispatch(&scheduled);
        wire.await_completion(scheduled.id);
        let result = wire.result(scheduled.id);
        println!("secrets: {result}");
        assert_eq!(result["_agent"]["reason"], "secret_unavailable");
        assert!(result["error"].as_str().expect("text").contains(&format!("`{path}`")), "{result}");
    }
    worker.drain();
}

#[test]
fn a_token_is_signed_as_the_api_expects_it_and_only_where_something_is_permitted() {
    let site = Site::shared("secrets_token");
    let wire = Wire::new(&site);
    let seen = site.path("seen");
    let script =
        "printf '%s\\n' \"$ATTUNE_API_TOKEN\" \"$ATTUNE_API_URL\" \"$ATTUNE_RULE\" \"$ATTUNE_TRIGGER\"";
    site.action("tell", &format!("{script} > {}\n{script}\n", seen.display()), "timeout_seconds: 77\n");
    let own = worker(&site);
    let number = wire.worker("w");
    let scheduled = wire.schedule(number, "my.tell", &json!({}));
    wire.execute(&format!(
        "INSERT INTO enforcement (rule_ref, trigger_ref, payload) VALUES ('my.rule', 'core.timer', '{{}}');
         INSERT INTO execution (action_ref) VALUES ('flows.parent');
         UPDATE execution SET executor = 7, permission_set_refs = ARRAY['core.reader', 'my.writer'],
           enforcement = (SELECT max(id) FROM enforcement), workflow_task = '{{\"task_name\": \"t\"}}',
           parent = (SELECT id FROM execution WHERE action_ref = 'flows.parent') WHERE id = {}",
        scheduled.id
    ));
    dispatch(&wire, &scheduled, &json!({}));
    wire.await_completion(scheduled.id);
    let lines = crate::site::lines(&seen);
    assert_eq!(lines[1..], ["http://api.example:8080", "my.rule", "core.timer"]);
    let (signed, signature) = lines[0].rsplit_once('.').expect("a token");
    let key = hmac::Key::new(hmac::HMAC_SHA256, JWT_SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    hmac::verify(&key, signed.as_bytes(), &signature).expect("our signature");
    let part = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
    };
    let (header, claims) = signed.split_once('.').expect("a header");
    assert_eq!(part(header), json!({"typ": "JWT", "alg": "HS256"}));
    let claims = part(claims);
    println!("secrets: {claims}");
    let issued = claims["iat"].as_i64().expect("a number");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    assert!((0..120).contains(&(i64::try_from(now).expect("a moment") - issued)), "{claims}");
    let expected = json!({
        "sub": "7", "login": format!("execution:{}", scheduled.id), "iat": issued, "exp": issued + 77 + 60,
        "token_type": "execution", "scope": "execution",
        "metadata": {
            "execution_id": scheduled.id, "action_ref": "my.tell",
            "permission_set_refs": ["core.reader", "my.writer"],
            "standard_access_action_refs": ["flows.parent", "my.tell"],
            "standard_access_pack_refs": ["flows", "my"],
        }
    });
    assert_eq!(claims, expected);
    let stdout = format!("***\n{}\n", lines[1..].join("\n"));
    assert_eq!(wire.result(scheduled.id)["stdout"], stdout, "a token is a secret too");

    let plain = wire.hand(number, "my.tell", &json!({}));
    wire.await_completion(plain);
    assert_eq!(crate::site::lines(&seen), ["", "http://api.example:8080", "", ""]);
    own.drain();
}

#[test]
fn without_a_secret_nothing_is_signed_and_a_worker_that_needs_one_does_not_start() {
    let site = Site::shared("secrets_unsigned");
    let wire = Wire::new(&site);
    site.action("tell", "echo \"<$ATTUNE_API_TOKEN>\"\n", "output_format: text\n");
    let permitted = |number: i64| {
        let scheduled = wire.schedule(number, "my.tell", &json!({}));
        let permit = "permission_set_refs = ARRAY['core.reader']";
        wire.execute(&format!("UPDATE execution SET {permit} WHERE id = {}", scheduled.id));
        dispatch(&wire, &scheduled, &json!({}));
        wire.await_completion(scheduled.id);
        wire.result(scheduled.id)
    };
    let worker = site.worker("w");
    let result = permitted(wire.worker("w"));
    println!("secrets: {result}");
    assert_eq!(result["_agent"]["reason"], "token_unavailable");
    assert!(result["_agent"]["hint"].as_str().expect("text").contains("security.jwt_secret"));
    worker.drain();

    let mut command = site.worker_command("w");
    let worker = Worker::spawn(command.env("ATTUNE__SECURITY__ENABLE_AUTH", "false"));
    worker.wait_for("the worker takes work");
    assert_eq!(permitted(wire.worker("w"))["stdout"], "<>\n");
    worker.drain();

    let mut command = site.worker_command("w");
    let refused = Ran::of(command.env("ATTUNE__SECURITY__ENABLE_AUTH", "true"));
    refused.assert_refused(2, "`security.jwt_secret`", "ATTUNE__SECURITY__JWT_SECRET");
    let mut command = site.worker_command("w");
    let refused = Ran::of(command.env("ATTUNE__SECURITY__ENCRYPTION_KEY", "tooshort"));
    refused.assert_refused(65, "`security.encryption_key` has 8 characters", "at least 32");
    assert!(!refused.stderr.contains("tooshort"), "{}", refused.stderr);
}

#[test]
fn secrets_that_an_action_returns_are_kept_encrypted_and_nowhere_else() {
    let site = Site::shared("secrets_returned");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    // The secret is put together by the script, so that it is in no file of the pack either.
    let make = "s=\"xyzzy-$(printf %s returned)\"\n";
    let print =
        r#"printf '{"session": {"token": "%s", "user": "ada"}, "note": "got %s", "queue_ack": 1}' "$s" "$s""#;
    site.action("login", &format!("{make}echo \"$s\" >&2; {print}\n"), "output_format: json\n");
    site.action("slow", &format!("{make}{}{print}\n", gate.wait()), "output_format: json\n");
    site.action("broken", &format!("{make}printf '{{\"token\": \"%s\"' \"$s\"\n"), "output_format: json\n");
    wire.execute(
        "UPDATE action SET out_schema = '{\"type\": \"object\", \"properties\": {\"session\": {\"type\": \"object\", \
           \"properties\": {\"token\": {\"type\": \"string\", \"secret\": true}}}, \"absent\": {\"secret\": true}}}' \
         WHERE pack_ref = 'my'",
    );
    let secret = "xyzzy-returned";
    let keyed = worker(&site);
    let number = wire.worker("w");
    let kept = |execution: i64| {
        let columns = "json_path, source_kind, source_ref, encrypted_value, encryption_key_hash";
        wire.rows(&format!(
            "SELECT {columns} FROM execution_secret_value \
             WHERE entity_type = 'execution_result' AND entity_id = {execution}"
        ))
    };
    let login = wire.hand(number, "my.login", &json!({}));
    let completed = wire.await_completion(login);
    let result = wire.result(login);
    println!("secrets: {result}");
    let marker = json!({"$attune_secret": true, "redacted": true});
    let data = json!({"session": {"token": marker, "user": "ada"}, "note": "got ***", "queue_ack": 1});
    assert_eq!((&result["data"], &result["queue_ack"]), (&data, &json!(1)));
    assert!(!completed.body.to_string().contains(secret));
    let rows = kept(login);
    assert_eq!(rows.len(), 1);
    let ciphertext = rows[0]["encrypted_value"].as_str().expect("text");
    assert_eq!(decrypt(KEY, ciphertext), json!(secret));
    let expected = json!({
        "json_path": "/data/session/token", "source_kind": "parameter_schema", "source_ref": "/session/token",
        "encrypted_value": ciphertext, "encryption_key_hash": null,
    });
    assert_eq!(rows[0], expected);

    // What cannot be read as data is left out: where its secrets are, nobody knows.
    let broken = wire.hand(number, "my.broken", &json!({}));
    wire.await_completion(broken);
    let result = wire.result(broken);
    println!("secrets: {result}");
    assert!(result["_agent"]["output_error"].is_string() && !result.to_string().contains(secret), "{result}");
    assert_eq!(kept(broken), [Value::Null; 0]);

    // A row that somebody else has ended keeps nothing of a late outcome.
    let late = wire.hand(number, "my.slow", &json!({}));
    wire.await_value(&format!("SELECT status FROM execution WHERE id = {late}"), &json!("running"));
    wire.execute(&format!("UPDATE execution SET status = 'abandoned' WHERE id = {late}"));
    gate.open(1);
    keyed.wait_for("its late outcome is dropped");
    assert_eq!(kept(late), [Value::Null; 0]);
    let log = keyed.drain().join("\n");
    assert!(!log.contains(secret), "{log}");
    // The journal still holds lines of what was delivered.
    assert!(!holds(&site.path("work"), secret));
    assert!(!site.path(&format!("artifacts/execution_{login}/stdout.log")).exists());

    // Without a key to keep it with, nothing is started.
    let keyless = site.worker("w");
    let login = wire.hand(wire.worker("w"), "my.login", &json!({}));
    wire.await_completion(login);
    assert_eq!(wire.result(login)["_agent"]["reason"], "secret_unavailable");
    keyless.drain();
}

#[test]
fn a_secret_is_covered_in_live_logs_and_results_however_it_is_printed() {
    let site = Site::shared("secrets_masked");
    let wire = Wire::new(&site);
    let gate = Gate::new(&site, "gate");
    let secret = "Zx9/qL+plugh?xyzzy";
    let read = "read -r line; s=${line#*'\"password\":\"'}; s=${s%%'\"'*}\n";
    // In pieces, each written by itself; whole; as base64 in the middle of something; as curl would write it.
    let pieces = "i=1; while [ $i -le ${#s} ]; do printf %s \"$(printf %s \"$s\" | cut -c$i)\"; i=$((i+1)); done; echo\n";
    let forms = "echo \"[$s]\"; printf 'a%s%s\\n' \"$s\" z | base64; echo 'Zx9%2FqL%2Bplugh%3Fxyzzy'\n";
    let script = format!("{read}{pieces}{forms}echo before-the-gate\n{}", gate.wait());
    site.action("print", &script, "output_format: text\n");
    site.action("fail", &format!("{read}echo \"wrong password $s\" >&2; exit 3\n"), "");
    site.action(
        "json",
        &format!("{read}printf '{{\"said\": \"it is %s\", \"%s\": 1, \"n\": 12345678901}}' \"$s\" \"$s\"\n"),
        "output_format: json\n",
    );
    let worker = worker(&site);
    let number = wire.worker("w");
    let start = |action: &str| {
        let marker = json!({"$attune_secret": true, "redacted": true});
        let scheduled = wire.schedule(number, action, &json!({"password": marker}));
        seal_parameter(&wire, &scheduled, "/password", KEY, &json!(secret));
        seal_parameter(&wire, &scheduled, "/zz_number", KEY, &json!(12_345_678_901_i64));
        seal_parameter(&wire, &scheduled, "/zz_pin", KEY, &json!("1234"));
        wire.dispatch(&scheduled);
        scheduled.id
    };
    let printing = start("my.print");
    // While it runs: whoever follows the log sees what has been printed, and no secret.
    let log = site.path(&format!("artifacts/execution_{printing}/stdout.log"));
    let live = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(until(PATIENCE, || live().contains("before-the-gate")), "{}", live());
    let while_running = live();
    println!("secrets: live log: {while_running:?}");
    gate.open(1);
    wire.await_completion(printing);
    let result = wire.result(printing);
    let stdout = result["stdout"].as_str().expect("text");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[..2], ["***", "[***]"]);
    assert!(lines[2].contains("***") && lines[2].len() < 10, "{stdout}");
    assert_eq!(lines[3..], ["***", "before-the-gate"]);
    assert_eq!((while_running.as_str(), live().as_str()), (stdout, stdout));

    let failing = start("my.fail");
    let completed = wire.await_completion(failing);
    let result = wire.result(failing);
    println!("secrets: {result}");
    assert_eq!(result["error"], "wrong password ***");
    assert!(!completed.body.to_string().contains(secret));

    let structured = start("my.json");
    wire.await_completion(structured);
    assert_eq!(wire.result(structured)["data"], json!({"said": "it is ***", "***": 1, "n": "***"}));

    let log = worker.drain();
    let refused: Vec<_> = log.iter().filter(|line| line.contains("/zz_pin")).collect();
    assert_eq!(refused.len(), 3, "once an action: {refused:#?}");
    assert!(refused.iter().all(|line| line.contains("fewer than 8 bytes") && !line.contains("1234")));
    for text in [secret, "12345678901"] {
        assert!(!log.join("\n").contains(text), "{text}");
        assert!(!holds(&site.path("work"), text) && !holds(&site.path("artifacts"), text), "{text}");
    }
}

#[test]
fn the_agents_own_credentials_are_covered_where_an_action_has_come_by_them() {
    let site = Site::shared("secrets_own");
    let wire = Wire::new(&site);
    let halves = (KEY.split_at(10), JWT_SECRET.split_at(10));
    let ((a, b), (c, d)) = halves;
    site.action(
        "tell",
        &format!("printf '%s' '{a}'; printf '%s\\n' '{b}'; printf '%s%s\\n' '{c}' '{d}'\n"),
        "",
    );
    let worker = worker(&site);
    let told = wire.hand(wire.worker("w"), "my.tell", &json!({}));
    wire.await_completion(told);
    assert_eq!(wire.result(told)["stdout"], "***\n***\n");
    worker.drain();
}

#[test]
fn a_key_that_is_not_encrypted_is_configuration_and_seen_by_everybody() {
    let site = Site::shared("secrets_plain");
    let wire = Wire::new(&site);
    let url = "https://api.example.com/v1";
    let read = "read -r line\n";
    site.action("text", &format!("{read}echo \"$line\"; echo \"$line\" >&2\n"), "output_format: text\n");
    site.action("data", &format!("{read}echo \"$line\"\n"), "output_format: json\n");
    site.action("fail", &format!("{read}echo \"$line\" >&2; exit 3\n"), "");
    let worker = worker(&site);
    let number = wire.worker("w");
    let action = |name: &str| format!("'action', (SELECT id FROM action WHERE ref = 'my.{name}')");
    let secret = json!(encrypt(KEY, &json!("xyzzy-encrypted")));
    for name in ["text", "data", "fail"] {
        let owner = ("owner_type, owner_action", action(name));
        let owner = (owner.0, owner.1.as_str());
        add_key(&wire, owner, &format!("a.{name}_hidden"), "hidden", (true, &secret));
    }
    add_key(&wire, ("owner_type", "'system'"), "s.api", "api", (false, &json!(url)));
    let place = json!({"region": "north-west-1", "accounts": [1_234_567_890_123_i64]});
    let pack = ("owner_type, owner_pack", "'pack', (SELECT id FROM pack WHERE ref = 'my')");
    add_key(&wire, pack, "p.place", "place", (false, &place));
    // What the schema declares secret is one, though its key is not encrypted.
    wire.execute("UPDATE action SET param_schema = '{\"pin\": {\"type\": \"string\", \"secret\": true}}' WHERE pack_ref = 'my'");
    add_key(&wire, ("owner_type", "'system'"), "s.pin", "pin", (false, &json!("plugh-declared")));

    let parameters = json!({"api": url, "place": place, "hidden": "***", "pin": "***"});
    let data = wire.run(number, "my.data", &json!({}));
    assert_eq!(data["data"], parameters);
    let seen = |text: &str| serde_json::from_str::<Value>(text.trim()).expect("what was handed over");
    let text = wire.hand(number, "my.text", &json!({}));
    wire.await_completion(text);
    assert_eq!(seen(wire.result(text)["stdout"].as_str().expect("text")), parameters);
    for stream in ["stdout", "stderr"] {
        let log = site.path(&format!("artifacts/execution_{text}/{stream}.log"));
        assert_eq!(seen(&std::fs::read_to_string(log).expect("a log")), parameters, "{stream}");
    }
    let failed = wire.run(number, "my.fail", &json!({}));
    assert_eq!(seen(failed["error"].as_str().expect("text")), parameters);
    let log = worker.drain().join("\n");
    assert!(
        log.contains(url) && !log.contains("xyzzy-encrypted") && !log.contains("plugh-declared"),
        "{log}"
    );
    assert!(!log.contains("the key `"), "nothing of them was to be covered: {log}");
}
