use crate::support::{Plane, Ran};

const GIB2: u64 = 2 << 30;

#[test]
fn two_gigabytes_without_a_newline_cost_little_and_are_told() {
    let plane = Plane::new();
    plane.action(
        "flood",
        &format!("printf HEAD; head -c {} /dev/zero | tr '\\0' x; printf TAIL\n", GIB2 - 8),
        "timeout_seconds: 600\n",
    );
    let worker = plane.worker();
    let result = plane.run(&["my.flood"]);
    assert_eq!(result["status"], "completed", "{result}");
    let text = result["stdout"].as_str().unwrap();
    assert!(text.starts_with("HEADxxx") && text.ends_with("xxxTAIL"), "head and tail are kept");
    assert_eq!(result["stdout_truncated"], true);
    let dropped = result["stdout_bytes_truncated"].as_u64().unwrap();
    let notice = format!("\n\n[OUTPUT TRUNCATED: {dropped} bytes of stdout left out]\n\n");
    assert!(text.contains(&notice));
    assert_eq!(text.len() as u64 - notice.len() as u64 + dropped, GIB2, "every byte is accounted for");
    assert!(worker.peak_kib() < 40 * 1024, "peak memory was {} KiB", worker.peak_kib());
    let log = std::fs::read(result["stdout_log"].as_str().unwrap()).unwrap();
    assert!(
        log.starts_with(b"HEAD") && log.ends_with(b"TAIL") && log.len() <= (10 << 20) + 100,
        "{}",
        log.len()
    );
}

#[test]
fn output_is_read_in_the_format_that_the_action_declares() {
    let plane = Plane::new();
    plane.write("json", "echo working; echo '{\"n\": [1, 2]}'", "runtime: core.shell\noutput_format: json\n");
    plane.write("yaml", "printf 'a: 1\\nb: [x, y]\\n'", "runtime: core.shell\noutput_format: yaml\n");
    plane.write(
        "jsonl",
        "echo '{\"n\": 1}'; echo noise; echo '{\"n\": 2}'",
        "runtime: core.shell\noutput_format: jsonl\n",
    );
    plane.write("text", "echo '{\"n\": 1}'", "runtime: core.shell\noutput_format: text\n");
    plane.action("broken", "echo '{oops'", "output_format: json\n");
    let _worker = plane.worker();
    assert_eq!(plane.run(&["my.json"])["data"], serde_json::json!({"n": [1, 2]}));
    assert_eq!(plane.run(&["my.yaml"])["data"], serde_json::json!({"a": 1, "b": ["x", "y"]}));
    assert_eq!(plane.run(&["my.jsonl"])["data"], serde_json::json!([{"n": 1}, {"n": 2}]));
    let text = plane.run(&["my.text"]);
    assert_eq!((text["stdout"].as_str(), text.get("data")), (Some("{\"n\": 1}\n"), None));
    // Success is the exit status's to say; that the output could not be read is said beside it.
    let broken = plane.run(&["my.broken"]);
    assert_eq!(broken["succeeded"], true);
    assert!(broken["output_error"].as_str().unwrap().contains("not JSON"), "{broken}");
    assert_eq!(broken["stdout"], "{oops\n");
}

#[test]
fn a_large_structured_output_is_read_whole() {
    let plane = Plane::new();
    plane.action(
        "large",
        "printf '{\"text\": \"'; head -c 5000000 /dev/zero | tr '\\0' x; printf '\"}'\n",
        "output_format: json\n",
    );
    let _worker = plane.worker();
    assert_eq!(plane.run(&["my.large"])["data"]["text"].as_str().map(str::len), Some(5_000_000));
}

#[test]
fn nul_bytes_and_bytes_that_are_no_text_survive() {
    let plane = Plane::new();
    plane.action("nul", "printf 'a\\000b'", "");
    plane.action("binary", "printf '\\377\\000b'", "");
    let _worker = plane.worker();
    assert_eq!(plane.run(&["my.nul"])["stdout"], "a\0b");
    let binary = plane.run(&["my.binary"]);
    assert_eq!(binary["stdout"], "\u{fffd}\0b");
    assert_eq!(binary["stdout_base64"], "/wBi");
}

#[test]
fn logs_are_live() {
    let plane = Plane::new();
    let gate = crate::support::Gate::new(&plane, "gate");
    plane.action("slow", &format!("echo so far\nread line < {}\n", plane.file("go").display()), "");
    rustix::fs::mkfifoat(rustix::fs::CWD, plane.file("go"), rustix::fs::Mode::RWXU).unwrap();
    drop(gate);
    let _worker = plane.worker();
    let waiting =
        plane.submit(&["my.slow", "--wait", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Opening for writing waits until the action reads, which it does after it has printed.
    let go = std::fs::OpenOptions::new().write(true).open(plane.file("go")).unwrap();
    let log = plane.path().join("artifacts/execution_1/stdout.log");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // The pump may be a moment behind the action; it never needs another byte from it.
        while std::fs::read_to_string(&log).unwrap_or_default() != "so far\n" {
            std::thread::yield_now();
        }
        sender.send(()).ok();
    });
    receiver.recv_timeout(crate::support::PATIENCE).expect("the log is written while the action runs");
    drop(go);
    assert_eq!(Ran::from(waiting.wait_with_output().unwrap()).json()["stdout"], "so far\n");
}
