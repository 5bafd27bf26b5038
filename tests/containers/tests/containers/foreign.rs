//! The program for arm64, on a machine that emulates it.

use std::path::Path;

use container_tests::{Access, Engine, Image, Pod, Root, Volume};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::dist;
use crate::site::Site;

const QEMU: &str = "/usr/bin/qemu-aarch64-static";

/// Where the kernel is told which programs run others.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// The name of the entry that a test makes there.
const ENTRY: &str = "attune-test-aarch64";

/// What a program of arm64 begins with, and which of its bits matter, as the kernel wants it written; `F` has the kernel
/// open the emulator now, so that no container needs it.
const ARM64: &str = concat!(
    r":M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
);

/// The emulator; `None` where there is nothing to emulate.
fn emulator() -> Option<&'static str> {
    if dist::architecture() == "arm64" {
        // Everything here tests the program for arm64 then.
        return None;
    }
    assert!(
        Path::new(QEMU).is_file(),
        "`qemu-aarch64-static` is not installed; on Debian, this installs it: \
         sudo apt-get install -y --no-install-recommends qemu-user-static"
    );
    Some(QEMU)
}

#[test]
fn it_tells_its_version_installs_itself_and_probes() {
    let (Some(engine), Some(qemu)) = (Engine::shared(), emulator()) else { return };
    let agent = dist::agent("arm64");
    let root = Root::scratch(engine, "arm64").copy(qemu, "/qemu");
    let root = root.copy(agent.to_str().expect("a path that is text"), "/attune-agent");
    let instance = root.instance(engine);
    let volume = Volume::new(engine, "target");
    let run = |arguments: &[&str]| {
        let pod = Pod::new(engine, "arm64").user("65532");
        let container = pod.container("explicit", &instance).mount(&volume, "/target", Access::ReadWrite);
        let words = [&["/qemu", "/attune-agent"], arguments].concat();
        container.read_only().command(&words).run().expect_success().stdout
    };
    let here = dist::outside(&["--version"], &[]).expect_success().stdout;
    let number = |said: &str| said.split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(number(&run(&["--version"])), number(&here), "both are one version");
    let said = run(&["install", "/target"]);
    assert!(said.contains(" now: "), "{said}");
    let copy = std::fs::read(volume.path().join("attune-agent")).expect("it is installed");
    assert!(copy == std::fs::read(&agent).expect("a file"), "it has copied itself, and not its emulator");
    assert!(run(&["install", "/target"]).contains("already"));
    let found: serde_json::Value = serde_json::from_str(&run(&["probe", "--json"])).expect("JSON");
    assert_eq!(found["runtimes"], serde_json::json!([]), "{found}");
}

#[test]
fn a_worker_of_arm64_starts_registers_and_drains() {
    let (Some(engine), Some(qemu)) = (Engine::shared(), emulator()) else { return };
    let Some(_emulation) = Emulation::of_arm64(qemu) else {
        println!(
            "this machine lets nobody tell the kernel about emulators; the worker of arm64 is not tested"
        );
        return;
    };
    let site = Site::new(engine, "arm64");
    let text = std::fs::read_to_string(dist::containerfile()).expect("the project is complete");
    let loader = Image::build_for(engine, "linux/arm64", "loader-arm64", &text, &dist::directory());
    let instance = Root::scratch(engine, "arm64-worker").instance(engine);
    let mut pod = Pod::new(engine, "arm64").user("1000680000:0");
    dist::install(&mut pod, &loader);
    let container = site.worker(&mut pod, "arm64", &instance).read_only();
    let mut worker = pod.start(&container);
    worker.wait_for("the worker takes work");
    assert_eq!(site.runtimes_of("arm64"), ["native"]);
    // The emulator of Debian 12 refuses `PR_SET_CHILD_SUBREAPER`, below which actions are run: there is no more to see.
    site.assert_drains("arm64", &mut worker);
}

/// The kernel runs programs of arm64, for as long as this lives.
struct Emulation {
    /// Whether the entry is ours to remove.
    entered: bool,
    /// Whether the file system is ours to unmount.
    mounted: bool,
}

impl Emulation {
    /// `None` where this machine does not let it be.
    fn of_arm64(qemu: &str) -> Option<Self> {
        let place = Path::new(BINFMT);
        let mounted = !place.join("register").exists();
        if mounted {
            mount("binfmt_misc", place, "binfmt_misc", MountFlags::empty(), None).ok()?;
        }
        let mut emulation = Self { entered: false, mounted };
        let entries = std::fs::read_dir(place).ok()?.flatten();
        let names = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        if names.into_iter().any(|text| text.contains("qemu-aarch64") && text.starts_with("enabled")) {
            return Some(emulation);
        }
        std::fs::write(place.join("register"), format!(":{ENTRY}{ARM64}:{qemu}:F")).ok()?;
        emulation.entered = true;
        Some(emulation)
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        if self.entered {
            std::fs::write(Path::new(BINFMT).join(ENTRY), "-1").ok();
        }
        if self.mounted {
            unmount(BINFMT, UnmountFlags::DETACH).ok();
        }
    }
}
