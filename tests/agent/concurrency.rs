use std::sync::Arc;

use crate::support::{Plane, Ran};

const PROCESSES: usize = 8;
const EACH: usize = 25;

#[test]
fn two_hundred_submissions_from_eight_processes_run_once_each() {
    let plane = Arc::new(Plane::new());
    let ran = plane.file("ran");
    plane.action("mark", &format!("echo $ATTUNE_EXEC_ID >> {}\n", ran.display()), "");
    let _worker = plane.worker();
    let submitters: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let plane = Arc::clone(&plane);
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    let result = Ran::of(plane.submit(&["my.mark"]).args(["--wait", "--json"]));
                    assert_eq!(result.code, 0, "{}", result.stderr);
                }
            })
        })
        .collect();
    for submitter in submitters {
        submitter.join().unwrap();
    }
    let counts = plane.query("SELECT status, count(*) FROM execution GROUP BY status");
    assert_eq!(counts, [["completed".to_owned(), (PROCESSES * EACH).to_string()]]);
    // The actions themselves say how often they ran.
    let text = std::fs::read_to_string(ran).unwrap();
    let mut ids: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=200).collect::<Vec<_>>());
    assert_eq!(
        plane.query("SELECT execution FROM execution_history WHERE new_status = 'running' GROUP BY execution HAVING count(*) > 1"),
        Vec::<Vec<String>>::new()
    );
}

#[test]
fn two_workers_share_the_work_and_run_nothing_twice() {
    let plane = Plane::new();
    let ran = plane.file("ran");
    plane.action("mark", &format!("echo $ATTUNE_EXEC_ID >> {}\nsleep 0.05\n", ran.display()), "");
    for _ in 0..60 {
        assert_eq!(Ran::of(&mut plane.submit(&["my.mark"])).code, 0);
    }
    let mut first = plane.run_command();
    let mut second = plane.run_command();
    let one = |command: &mut std::process::Command, name: &str| {
        crate::support::Worker::start(
            command.args(["--name", name]).env("ATTUNE__WORKER__MAX_CONCURRENT_TASKS", "2"),
        )
    };
    let workers = [one(&mut first, "first"), one(&mut second, "second")];
    // Submitted last, taken last: by then every other has been taken, and draining ends what was.
    plane.run(&["my.mark"]);
    workers.into_iter().for_each(crate::support::Worker::drain);
    let ids = std::fs::read_to_string(ran).unwrap();
    assert_eq!(ids.lines().count(), 61);
    assert_eq!(ids.lines().collect::<std::collections::HashSet<_>>().len(), 61);
    let workers = plane.query("SELECT count(*) FROM execution WHERE action_ref = 'my.mark' GROUP BY worker");
    assert_eq!(workers.len(), 2, "both had their share: {workers:?}");
}

#[test]
fn eight_processes_that_open_a_new_control_plane_at_once_all_find_its_packs() {
    let plane = Plane::new();
    let submitters: Vec<_> = (0..PROCESSES)
        .map(|_| {
            plane.submit(&["examples.python_words"]).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for submitter in submitters {
        let ran = Ran::from(submitter.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_eq!(plane.query("SELECT count(*) FROM execution"), [[PROCESSES.to_string()]]);
}
