//! The loader image as a volume: no init container, and nothing is copied.

use container_tests::{Engine, Pod};

use crate::dist;
use crate::roots;
use crate::site::Site;

/// Where the image is mounted; the agent is at its top.
const MOUNTED: &str = "/opt/attune/loader";

#[test]
fn a_worker_starts_from_the_mounted_image() {
    let Some(engine) = Engine::shared() else { return };
    let site = Site::new(engine, "image_volume");
    let instance = roots::one_program(engine).instance(engine);
    for user in ["0", "1000680000:0"] {
        let name = format!("volume{}", user.len());
        let pod = Pod::new(engine, &name).user(user);
        let container = site.configure(pod.container("worker", &instance), &name).read_only();
        let container = container.mount_image(dist::loader(), MOUNTED);
        let mut worker = pod.start(&container.command(&[&format!("{MOUNTED}/attune-agent")]));
        worker.wait_for("the worker takes work");
        let ended = site.run(&["images.id"]).pop().expect("one was asked for");
        assert_eq!(ended.status, "completed", "{user}: {}", ended.result);
        site.assert_drains(&name, &mut worker);
    }
}
