use serde_json::json;

use crate::support::{Plane, Ran};

const SCHEMA: &str = "parameters:\n  text: {type: string, default: \"it's\\n\\\"2\\\"\"}\n  n: {type: integer, default: 7}\n  \
                      deep: {type: object, default: {a: {b: [1, null]}}}\n";

#[test]
fn parameters_arrive_by_stdin_and_by_file_in_each_format() {
    let plane = Plane::new();
    for format in ["json", "yaml", "dotenv"] {
        for (delivery, script) in [
            ("stdin", "cat"),
            ("file", "cat \"$ATTUNE_PARAMETER_FILE\"; stat -c %a \"$ATTUNE_PARAMETER_FILE\" >&2; cat"),
        ] {
            plane.write(
                &format!("{delivery}_{format}"),
                script,
                &format!("runtime: core.shell\nparameter_delivery: {delivery}\nparameter_format: {format}\n{SCHEMA}"),
            );
        }
    }
    plane.action("last", "", "");
    let _worker = plane.worker();
    let expected = json!({"text": "it's\n\"2\"", "n": 7, "deep": {"a": {"b": [1, null]}}});
    for delivery in ["stdin", "file"] {
        let received = |format: &str| {
            let result = plane.run(&[&format!("my.{delivery}_{format}")]);
            assert_eq!(result["status"], "completed", "{result}");
            result["stdout"].as_str().unwrap().to_owned()
        };
        let text = received("json");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&received("yaml")).unwrap(), expected);
        assert_eq!(received("dotenv"), "deep.a.b='[1,null]'\nn='7'\ntext='it'\\''s\n\"2\"'\n");
    }
    let logs = plane.query(
        "SELECT json_extract(result, '$.stderr_log') FROM execution WHERE action_ref = 'my.file_json'",
    );
    assert_eq!(
        std::fs::read_to_string(&logs[0][0]).unwrap(),
        "400\n",
        "only the action's user may read the file"
    );
    let private = plane.private_dir();
    let left: Vec<_> = std::fs::read_dir(&private).unwrap().filter_map(Result::ok).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn fifty_megabytes_to_an_action_that_prints_first_do_not_deadlock() {
    let plane = Plane::new();
    plane.action(
        "chatty",
        "head -c 1000000 /dev/zero | tr '\\0' x\nwc -c >&2\n",
        "parameters:\n  text: {type: string}\n",
    );
    let file = plane.file("parameters.json");
    std::fs::write(&file, json!({"text": "y".repeat(50 << 20)}).to_string()).unwrap();
    let _worker = plane.worker();
    let result = plane.run(&["my.chatty", "--params-file", file.to_str().unwrap()]);
    assert_eq!(result["status"], "completed", "{result}");
    let seen = std::fs::read_to_string(result["stderr_log"].as_str().unwrap()).unwrap();
    assert_eq!(seen.trim().parse::<u64>().unwrap(), (50 << 20) + "{\"text\":\"\"}\n".len() as u64);
}

#[test]
fn an_action_that_never_reads_its_parameters_succeeds() {
    let plane = Plane::new();
    plane.action("deaf", "sleep 0.6\n", "parameters:\n  text: {type: string}\n");
    let file = plane.file("parameters.yaml");
    std::fs::write(&file, format!("text: {}\n", "z".repeat(1 << 20))).unwrap();
    let _worker = plane.worker();
    let result = plane.run(&["my.deaf", "--params-file", file.to_str().unwrap()]);
    assert_eq!(result["status"], "completed", "{result}");
}

#[test]
fn the_command_line_goes_before_the_parameter_file() {
    let plane = Plane::new();
    plane.action(
        "show",
        "cat",
        "output_format: json\nparameters:\n  a: {type: integer}\n  b: {type: integer}\n",
    );
    let file = plane.file("parameters.json");
    std::fs::write(&file, "{\"a\": 1, \"b\": 1}").unwrap();
    let _worker = plane.worker();
    let result = plane.run(&["my.show", "--params-file", file.to_str().unwrap(), "-p", "b=2"]);
    assert_eq!(result["data"], json!({"a": 1, "b": 2}));
    Ran::of(&mut plane.submit(&["my.show", "--params-file", "/nowhere.json"]))
        .assert_refused_without_hint(2, "cannot read parameters from /nowhere.json");
}
