//! What an action can find out about the agent's credentials, when it looks everywhere.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Plane, Ran, Worker, agent, behind};

/// Marks every credential here; the thief greps for it, and has it in two pieces.
const MARK: &str = "xyzzy-credential";

/// Looks through everything that the kernel shows of its ancestors and of process 1 (arguments, variables, memory,
/// descriptors, by `ptrace` too), and through the files that are named to it. Prints every find, and how often it
/// was refused. Finds are printed backwards, or the worker, which knows its credentials, would cover them in the output.
const THIEF: &str = r#"exec python3 - "$@" << 'EOF'
import ctypes, os, re, sys
mark = re.compile(b"xyzzy" + b"-credential[!-~]*")
opened, refused = [], 0

def look(path, read):
    global refused
    try:
        data = read(path)
    except OSError:
        refused += 1
        return
    opened.append(path)
    for find in mark.findall(data):
        print("found", find.decode()[::-1], "in", path)

def whole(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)

def memory(path):
    found = b""
    with open(path.replace("/mem", "/maps")) as maps, open(path, "rb", 0) as mem:
        for line in maps:
            place, mode = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if mode.startswith("rw") and end - start < 1 << 28:
                try:
                    mem.seek(start)
                    found += b" ".join(mark.findall(mem.read(end - start))) + b" "
                except (OSError, OverflowError, ValueError):
                    pass
    return found

def attach(path):
    libc = ctypes.CDLL(None, use_errno=True)
    pid = int(path.split("/")[2])
    if libc.ptrace(16, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0x40000000)
    libc.ptrace(17, pid, 0, 0)
    return b""

def parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])

pids, pid = [1], os.getppid()
while pid > 1:
    pids.append(pid)
    pid = parent(pid)
for pid in pids:
    for name in ["cmdline", "environ", "auxv", "stack"]:
        look(f"/proc/{pid}/{name}", whole)
    look(f"/proc/{pid}/mem", memory)
    look(f"/proc/{pid}/ptrace", attach)
    try:
        handles = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        refused += 1
        handles = []
    for handle in handles:
        path = f"/proc/{pid}/fd/{handle}"
        try:
            regular = os.path.isfile(path)
        except OSError:
            regular = False
        if regular:
            look(path, whole)
for path in FILES:
    look(path, whole)
for name, value in os.environb.items():
    for find in mark.findall(value):
        print("found", find.decode()[::-1], "in the variable", name.decode())
print("opened", *opened)
print("refused", refused)
EOF
"#;

/// A worker with a credential of every kind, and a thief for an action.
struct House {
    plane: Plane,
    /// Where credential files are: not below a directory that everybody may write to.
    safe: tempfile::TempDir,
}

/// A place where a credential can be hidden: nobody else may make anything above it. The project itself may have been
/// built below `/tmp`, which is none.
fn sheltered() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let places = [Some(env!("CARGO_TARGET_TMPDIR").into()), Some("/var/lib".into()), home];
    let is_sheltered = |place: &PathBuf| {
        let open = |above: &Path| above.metadata().is_ok_and(|found| found.permissions().mode() & 0o002 != 0);
        !place.ancestors().any(open) && tempfile::tempdir_in(place).is_ok()
    };
    places.into_iter().flatten().find(is_sheltered).expect("a directory that is not open to everybody")
}

impl House {
    fn new() -> Self {
        let plane = Plane::new();
        let safe = tempfile::tempdir_in(sheltered()).expect("a directory of our own");
        let house = Self { plane, safe };
        for (path, text) in [
            (house.password_file(), format!("{MARK}-file\n")),
            (house.config_file(), format!("message_queue:\n  url: amqp://me:{MARK}-config@host/\n")),
        ] {
            std::fs::write(&path, text).expect("a writable directory");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("an own file");
        }
        let files = [house.password_file(), house.config_file()];
        let list = serde_json::to_string(&files).expect("text");
        let thief = THIEF.replace("FILES", &list);
        house.plane.action("thief", &thief, "output_format: text\n");
        house
    }

    fn password_file(&self) -> PathBuf {
        self.safe.path().join("password")
    }

    fn config_file(&self) -> PathBuf {
        self.safe.path().join("config.yaml")
    }

    fn worker_command(&self) -> Command {
        let mut command = self.plane.run_command();
        command
            .arg("--config")
            .arg(self.config_file())
            .env("ATTUNE__DATABASE__URL", format!("postgres://me:{MARK}-url@host/attune"))
            .env("ATTUNE__DATABASE__PASSWORD_FILE", self.password_file())
            .env("DB_PASSWORD", format!("{MARK}-chart"))
            .env("MY_TOKEN", format!("{MARK}-listed"))
            .env("ATTUNE__WORKER__HIDDEN_VARIABLES", "MY_*");
        command
    }

    fn rob(&self, command: &mut Command) -> Value {
        let _worker = Worker::start(command);
        self.plane.run(&["my.thief"])
    }

    /// Gives everything to this user.
    fn give_to(&self, user: u32) {
        let files = [self.password_file(), self.config_file(), self.safe.path().to_owned()];
        for path in files {
            give(&path, user);
        }
        give_below(&self.plane.file(""), user);
    }
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
}

fn give_below(directory: &Path, user: u32) {
    give(directory, user);
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() { give_below(&path, user) } else { give(&path, user) }
    }
}

fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[track_caller]
fn assert_nothing_found(result: &Value) {
    assert_eq!(result["status"], "completed", "{result}");
    let output = result["stdout"].as_str().expect("text");
    assert!(!result.to_string().contains(MARK) && !output.contains(&backwards(MARK)), "{output}");
    assert!(!output.contains("found "), "{output}");
    // It has looked: at its ancestors' arguments, which everybody may see, and at what nobody may.
    assert!(output.contains("/cmdline"), "{output}");
    let refused = output.lines().find_map(|line| line.strip_prefix("refused ")).expect("a count");
    assert!(refused.parse::<u32>().expect("a number") >= 10, "{output}");
}

#[test]
fn an_action_of_the_same_user_finds_no_credential() {
    let house = House::new();
    assert_nothing_found(&house.rob(&mut house.worker_command()));
}

#[test]
fn an_action_of_the_same_ordinary_user_finds_no_credential() {
    if !is_root() {
        // The test above is this one then.
        return;
    }
    let house = House::new();
    let user = 1_000_680_000;
    house.give_to(user);
    let wrapper = ["setpriv", "--reuid", "1000680000", "--regid", "1000680000", "--clear-groups"];
    let mut command = behind(&wrapper, &house.worker_command());
    let result = house.rob(&mut command);
    assert_nothing_found(&result);
}

#[test]
fn an_action_as_root_without_ptrace_finds_no_credential() {
    if !is_root() {
        return;
    }
    let house = House::new();
    let docker = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,\
                  +net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
    let mut command = behind(&["setpriv", "--bounding-set", docker], &house.worker_command());
    assert_nothing_found(&house.rob(&mut command));
}

#[test]
fn without_the_measures_the_same_action_finds_them() {
    let house = House::new();
    let mut command = house.worker_command();
    command
        .env("ATTUNE_ALLOW_DUMP", "true")
        .env("ATTUNE__WORKER__NO_NEW_PRIVILEGES", "false")
        .env("ATTUNE__WORKER__HIDE_CREDENTIAL_FILES", "false");
    let output = house.rob(&mut command)["stdout"].as_str().expect("text").to_owned();
    for credential in ["-file", "-config"] {
        let found = backwards(&format!("{MARK}{credential}"));
        assert!(output.contains(&found), "the thief knows its trade: {output}");
    }
    assert!(!output.contains("in the variable"), "{output}");
    let in_environ: Vec<_> =
        output.lines().filter(|line| line.starts_with("found") && line.ends_with("/environ")).collect();
    assert!(in_environ.is_empty(), "variables are wiped whatever else is allowed: {in_environ:?}");
}

#[test]
fn a_credential_file_that_cannot_be_hidden_is_told() {
    let plane = Plane::new();
    // Anybody may make files beside it, which actions then could not read.
    let path = plane.file("password");
    std::fs::write(&path, MARK).expect("a writable directory");
    let mut command = plane.run_command();
    command.env("ATTUNE__DATABASE__HOST", "db").env("ATTUNE__DATABASE__PASSWORD_FILE", &path);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("the agent starts");
    let mut log = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("actions can read a file that holds a credential") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).expect("text") > 0, "the log ends");
    }
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    assert!(line.contains("password") && line.contains("hint"), "{line}");
    assert!(!line.contains(MARK), "{line}");
}

#[test]
fn a_credential_by_value_and_by_file_is_refused() {
    let ran = Ran::of(
        agent()
            .args(["wait", "schema", "--timeout", "1"])
            .env("ATTUNE__DATABASE__URL", "postgres://me@host/attune")
            .env("ATTUNE__DATABASE__URL_FILE", "/run/secret"),
    );
    ran.assert_refused(
        65,
        "both ATTUNE__DATABASE__URL and ATTUNE__DATABASE__URL_FILE are set",
        "the one or the other",
    );
}
