//! From one version of a pool to the next, with executions running.

use chart_tests::engines::{Case, REGISTRY};
use container_tests::Engine;
use container_tests::kubernetes::Cluster;
use serde_json::{Value, json};

use super::{assert_drains, install, take};
use crate::dist;
use crate::site::Site;

/// As many as one worker runs at once, and as many again to wait for it.
const EXECUTIONS: usize = 20;

/// The claim that the site's packs are on.
const PACKS: &str = "packs";

/// Takes long enough to be found running, and fails where it has run before.
const ONCE: &str = "mkdir \"/opt/attune/artifacts/ran-$ATTUNE_EXEC_ID\" || exit 9\nsleep 3";

/// A pool that uses the test's servers. `more` is what the version is about.
fn pool(site: &Site, more: &Value) -> Case {
    let [database, broker] = site.urls();
    let mut pool = json!({ "name": "shell", "image": "docker.io/library/busybox:1.36" });
    pool.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let values = json!({
        "global": { "imageRegistry": REGISTRY },
        "database": { "url": database },
        "rabbitmq": { "url": broker },
        "sharedStorage": { "packs": { "existingClaim": PACKS } },
        "agentWorkers": [pool],
    });
    Case::bare(&values.to_string())
}

#[test]
fn no_execution_is_lost_from_one_version_to_the_next() {
    let Some(engine) = Engine::shared() else { return };
    let site = Site::new(engine, "rollout");
    site.action("once", ONCE);
    let cluster = Cluster::beside_servers(engine, "rollout")
        .image("registry.example.com/attune/agent:", dist::loader().into());
    let cluster = cluster.claim(PACKS, site.packs());
    // The one has a directory that is its own from the first; the other has the top of a volume that all may write to.
    let old = pool(&site, &json!({ "logLevel": "debug" })).rendered();
    let top = json!({ "name": "ATTUNE_WORK_DIR", "value": "/opt/attune/work" });
    let new = pool(&site, &json!({ "env": [top] })).rendered();

    let mut pods = install(&cluster, &old, "old");
    let [mut old] =
        <[_; 1]>::try_from(take(&mut pods, "rel-attune-agent-worker-shell-old")).expect("one pod");
    let mut asked: Vec<i64> = (0..EXECUTIONS).map(|_| site.request("my.once")).collect();
    site.await_running(asked[0]);
    // As `maxSurge: 1` and `maxUnavailable: 0` say: the next is ready before the last is stopped.
    let mut pods = install(&cluster, &new, "new");
    let [mut new] =
        <[_; 1]>::try_from(take(&mut pods, "rel-attune-agent-worker-shell-new")).expect("one pod");
    asked.extend((0..EXECUTIONS).map(|_| site.request("my.once")));
    site.await_running(asked[EXECUTIONS]);
    for (pod, place) in [(&old, "agent"), (&new, "attune-agent-1000")] {
        let lock = pod.volume("work").path().join(place).join(format!("{}.lock", pod.name()));
        assert!(lock.is_file(), "{}", lock.display());
    }
    assert_drains(&mut old);
    assert_eq!(site.status_of(old.name()), "inactive");
    site.await_completed(&asked);
    for execution in asked {
        let ended = site.ended(execution);
        assert_eq!(ended.status, "completed", "{}", ended.result);
        assert_eq!(site.completions(execution), 1, "{execution}");
    }
    assert_drains(&mut new);
    assert_eq!(site.status_of(new.name()), "inactive");
}
