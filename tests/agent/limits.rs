//! What an execution may use, and what is said when it uses more.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Gate, Plane, Ran, Worker, behind};

/// Takes so many MiB and holds them.
fn greedy(mebibytes: u32) -> String {
    format!(
        "exec python3 -c 'import time\nheld = bytearray({mebibytes} << 20)\nprint(len(held), flush=True)\ntime.sleep(60)'\n"
    )
}

fn number(result: &Value, key: &str) -> u64 {
    result[key].as_u64().unwrap_or_else(|| panic!("no {key} in {result}"))
}

fn reason(result: &Value) -> (&str, &str) {
    (result["status"].as_str().unwrap_or_default(), result["reason"].as_str().unwrap_or_default())
}

/// A memory cgroup, as a container has one. `None` where this user may not make any.
struct Container(PathBuf);

impl Container {
    fn with_memory(mebibytes: u64) -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").expect("a kernel with cgroups");
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let below = |version: &str| {
            groups
                .lines()
                .find_map(|line| line.split_once(version))
                .map(|(_, path)| path.trim_start_matches('/'))
        };
        let (root, limit, swap) = if v1.is_dir() {
            (v1.join(below(":memory:")?), "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        } else {
            (PathBuf::from("/sys/fs/cgroup"), "memory.max", "memory.swap.max")
        };
        let name = format!("attune-test-{}-{mebibytes}", std::process::id());
        let directory = root.join(name);
        std::fs::create_dir(&directory).ok()?;
        let container = Self(directory);
        let bytes = mebibytes << 20;
        std::fs::write(container.0.join(limit), bytes.to_string()).ok()?;
        let swap_bytes = if swap == "memory.swap.max" { 0 } else { bytes };
        // There may be no swap to limit.
        std::fs::write(container.0.join(swap), swap_bytes.to_string()).ok();
        Some(container)
    }

    /// A worker in it.
    fn worker(&self, plane: &Plane) -> Worker {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        Worker::start(&mut behind(&["sh", "-c", &enter, "sh"], &plane.run_command()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its last process may still be on its way out; the name is all that would be left.
        std::fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn an_action_past_its_memory_limit_is_out_of_memory_and_others_go_on() {
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("greedy", &greedy(300), "");
    plane.action("modest", &format!("{}sleep 2\necho still here\n", gate.pass()), "");
    let mut command = plane.run_command();
    let _worker = Worker::start(command.env("ATTUNE__WORKER__LIMITS__MEMORY", "64M"));
    let modest =
        plane.submit(&["my.modest", "--wait", "--json"]).stdout(std::process::Stdio::piped()).spawn();
    gate.wait();
    let result = plane.run(&["my.greedy"]);
    let modest = Ran::from(modest.expect("the agent starts").wait_with_output().expect("it ends")).json();
    assert_eq!(reason(&modest), ("completed", "completed"));
    assert_eq!(modest["stdout"], "still here\n");
    println!("limits: {result}");
    if result["reason"] == "out_of_memory" {
        assert_eq!(number(&result, "memory_limit_bytes"), 64 << 20);
        let peak = number(&result, "memory_peak_bytes");
        assert!(((32 << 20)..=(64 << 20)).contains(&peak), "{result}");
        let error = result["error"].as_str().expect("a sentence");
        assert!(error.starts_with("the action ran out of memory: limit 64.0 MiB, peak 6"), "{error}");
        assert_eq!((result["signal"].as_str(), result["exit_code"].as_i64()), (Some("SIGKILL"), Some(-1)));
    } else {
        // Without a cgroup the program itself is told that there is no more memory.
        assert_eq!(reason(&result), ("failed", "exit_code"), "{result}");
        assert!(result["error"].as_str().is_some_and(|error| error.contains("MemoryError")), "{result}");
    }
}

#[test]
fn without_a_cgroup_each_process_is_bounded_by_itself() {
    let plane = Plane::new();
    plane.action("greedy", &greedy(300), "");
    plane.action("modest", &greedy(16).replace("60", "0"), "");
    let mut command = plane.run_command();
    command.env("ATTUNE__WORKER__LIMITS__MEMORY", "64M");
    // Where no cgroup can be seen, none can be made.
    let mut wrapper = vec!["unshare"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper.extend(["--mount", "sh", "-c", "umount -R -l /sys/fs/cgroup && exec \"$@\"", "sh"]);
    let _worker = Worker::start(&mut behind(&wrapper, &command));
    let greedy = plane.run(&["my.greedy"]);
    assert_eq!(reason(&greedy), ("failed", "exit_code"), "{greedy}");
    let error = greedy["error"].as_str().expect("a sentence");
    assert!(error.contains("MemoryError"), "{greedy}");
    assert_eq!(reason(&plane.run(&["my.modest"])), ("completed", "completed"));
}

#[test]
fn an_end_by_the_containers_memory_limit_is_told_from_any_other_sigkill() {
    let Some(container) = Container::with_memory(128) else {
        println!("limits: this user can make no memory cgroup; not tested");
        return;
    };
    let plane = Plane::new();
    let gate = Gate::new(&plane, "gate");
    plane.action("greedy", &greedy(300), "");
    plane.action("shell", &format!("{}exit $?\n", greedy(300).replace("exec ", "")), "");
    plane.action("victim", "kill -KILL $$\n", "");
    plane.action("modest", &format!("{}sleep 2\necho still here\n", gate.pass()), "");
    let worker = container.worker(&plane);
    let modest =
        plane.submit(&["my.modest", "--wait", "--json"]).stdout(std::process::Stdio::piped()).spawn();
    gate.wait();
    let results = ["my.greedy", "my.shell", "my.greedy"].map(|action| plane.run(&[action]));
    let victim = plane.run(&["my.victim"]);
    let modest = Ran::from(modest.expect("the agent starts").wait_with_output().expect("it ends")).json();
    for result in results {
        println!("limits: {result}");
        assert_eq!(reason(&result), ("failed", "out_of_memory"), "{result}");
        assert_eq!(number(&result, "memory_limit_bytes"), 128 << 20);
        let peak = number(&result, "memory_peak_bytes");
        assert!(((64 << 20)..=(128 << 20)).contains(&peak), "{result}");
    }
    assert_eq!(reason(&victim), ("failed", "signal"), "no evidence, no claim: {victim}");
    assert_eq!(victim["signal"], "SIGKILL");
    assert_eq!(
        (reason(&modest), modest["stdout"].as_str()),
        (("completed", "completed"), Some("still here\n"))
    );
    worker.drain();
}

#[test]
fn processor_time_file_size_and_open_files_are_bounded() {
    let plane = Plane::new();
    plane.action("busy", "while :; do :; done\n", "");
    plane.action("large", "head -c 3000000 /dev/zero > \"$TMPDIR/attune-large-$$\"; s=$?; rm \"$TMPDIR/attune-large-$$\"; exit $s\n", "");
    plane.action("files", "ulimit -n; ulimit -c\n", "");
    let mut command = plane.run_command();
    command
        .env("ATTUNE__WORKER__LIMITS__CPU_SECONDS", "1")
        .env("ATTUNE__WORKER__LIMITS__FILE_SIZE", "1M")
        .env("ATTUNE__WORKER__LIMITS__OPEN_FILES", "99");
    let _worker = Worker::start(&mut command);
    let busy = plane.run(&["my.busy"]);
    assert_eq!(
        (reason(&busy), busy["signal"].as_str()),
        (("failed", "cpu_limit"), Some("SIGXCPU")),
        "{busy}"
    );
    let large = plane.run(&["my.large"]);
    assert_eq!(reason(&large), ("failed", "file_size_limit"), "{large}");
    assert_eq!(large["error"], "the action wrote a file larger than 1.0 MiB");
    assert_eq!(plane.run(&["my.files"])["stdout"], "99\n0\n");
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let plane = Plane::new();
    for (name, value) in [("MEMORY", "much"), ("MEMORY", "12"), ("CPU_SECONDS", "0"), ("OPEN_FILES", "1")] {
        let variable = format!("ATTUNE__WORKER__LIMITS__{name}");
        let ran = Ran::of(plane.run_command().env(&variable, value));
        ran.assert_refused(65, &format!("{variable} is `{value}`"), "it takes ");
    }
}

#[test]
fn a_process_that_never_stops_forking_ends_with_its_execution() {
    let plane = Plane::new();
    // Each process is gone before anybody can look at it twice, and has left another one, in a session of its own.
    let comet = "setsid python3 -c '\nimport os\nwhile True:\n    if os.fork(): os._exit(0)\n    os.setsid()' &\nsleep 0.3\n";
    plane.action("comet", comet, "");
    plane.action("after", "echo fine\n", "");
    let worker = plane.worker();
    let result = plane.run(&["my.comet"]);
    assert_eq!(reason(&result), ("completed", "completed"), "{result}");
    assert!(number(&result, "duration_ms") < 9_000, "it was caught, not given up: {result}");
    assert_eq!(plane.run(&["my.after"])["stdout"], "fine\n");
    worker.await_alone();
}

#[test]
fn a_fork_bomb_is_bounded_and_ends_with_its_execution() {
    let pids = Path::new("/sys/fs/cgroup/pids/cgroup.procs");
    let writable = std::fs::OpenOptions::new().append(true).open(pids).is_ok();
    if !writable {
        println!("limits: no group can count processes here; not tested");
        return;
    }
    let plane = Plane::new();
    // Every process starts two more, in sessions of their own, for as long as it may.
    let bomb = "cat > $TMPDIR/bomb-$$ << 'EOF'\nsetsid sh $0 & setsid sh $0 & wait; sleep 1000\nEOF\n\
                sh $TMPDIR/bomb-$$ 2> /dev/null &\nsleep 1\nrm $TMPDIR/bomb-$$\n";
    plane.action("bomb", bomb, "");
    let mut command = plane.run_command();
    let worker = Worker::start(command.env("ATTUNE__WORKER__LIMITS__PROCESSES", "50"));
    let result = plane.run(&["my.bomb"]);
    assert!(number(&result, "duration_ms") < 9_000, "it was caught, not given up: {result}");
    worker.await_alone();
}
