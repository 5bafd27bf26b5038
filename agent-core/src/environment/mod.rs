//! What a pack depends on, ready before its actions run: virtual environments, `node_modules`, gem homes …
//!
//! An execution asks for the environment that its pack and its interpreter call for ([`EnvironmentSpec`]). Most need none,
//! and find that out by looking for one file. One that is there costs two looks at the file system. One that is not is
//! built first, by one process for all that wait for it:
//!
//! ```text
//! ready ─▶ recipe: a checksum of manifest, lock files, commands, interpreter
//!       ─▶ place:  ENVS/PACK/NAME-CHECKSUM is there? ──yes──▶ say that it is used, go
//!       ─▶ lock and lease: one process builds, the others wait
//!       ─▶ build:  create, install, check; in a directory of its own, then linked into place
//! ```
//!
//! Nothing that exists is ever changed: a changed manifest is another recipe and another place. What nobody uses any more
//! is removed later.

mod build;
mod check;
mod failure;
mod lock;
mod log;
mod place;
mod prune;
mod recipe;
mod spec;
mod tool;
mod uses;
mod workplace;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use spec::{BaseInterpreter, EnvironmentSpec};

use self::build::{End, Order, blocking};
use self::failure::{Failure, Remembered};
use self::place::{Build, Place};
use self::recipe::Contents;
use self::uses::{Use, Uses};
use crate::config::EnvironmentsConfig;
use crate::control_plane::EnvironmentLeases;
use crate::execution::{Stop, StopSignal};
use crate::model::{Outcome, PackRef};
use crate::process::Spawner;
use crate::secrets::ChildEnvironment;
use crate::volume::create_directories;

/// An environment that is removed as often as this while somebody begins to use it is fought over.
const TRIES: usize = 3;

/// After `pack.deleted`, how often what others still use is looked at.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Every environment of this worker. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Environments {
    shared: Arc<Shared>,
}

/// What environments are made of and kept in.
#[derive(Debug)]
pub struct EnvironmentsSetup {
    /// Where they are: one directory a pack.
    pub envs_dir: PathBuf,
    /// Where the logs of builds go: one directory a pack.
    pub logs_dir: PathBuf,
    /// Bounds.
    pub config: EnvironmentsConfig,
    /// What starts the tools.
    pub spawner: Arc<Spawner>,
    /// What the tools' environment starts from.
    pub child: ChildEnvironment,
    /// What keeps account of environments, where a control plane does.
    pub leases: Option<Arc<dyn EnvironmentLeases>>,
}

/// An environment that is complete, and stays until this is dropped.
#[derive(Debug)]
pub struct Environment {
    /// Where it is.
    pub directory: PathBuf,
    /// The interpreter inside it, where it has one.
    pub interpreter: Option<PathBuf>,
    _use: Use,
}

/// Why there is no environment.
#[derive(Debug)]
pub enum NotReady {
    /// It could not be built: how an execution ends that needs it.
    Failed(Box<Outcome>),
    /// Who waited was told to stop.
    Stopped(Stop),
}

#[derive(Debug)]
struct Shared {
    envs_dir: PathBuf,
    logs_dir: PathBuf,
    build_timeout: Duration,
    retention: Duration,
    spawner: Arc<Spawner>,
    child: ChildEnvironment,
    leases: Option<Arc<dyn EnvironmentLeases>>,
    contents: Contents,
    /// The C library of each interpreter, with its release.
    libcs: Mutex<HashMap<PathBuf, String>>,
    /// Builds that this process has looked into and found whole.
    whole: Mutex<HashSet<PathBuf>>,
    building: Mutex<HashMap<Place, Weak<Building>>>,
    /// Every build, until all is settled that others wait for.
    builds: TaskTracker,
    failures: Mutex<HashMap<Place, Remembered>>,
    uses: Arc<Uses>,
    /// Packs that were deleted and still have environments that somebody uses.
    deleted: Mutex<HashMap<PathBuf, DropGuard>>,
    volume: OnceCell<String>,
}

/// A build that several wait for. When the last of them is gone, so is the build.
#[derive(Debug)]
struct Building {
    done: watch::Receiver<Option<Done>>,
    _cancel: DropGuard,
}

#[derive(Debug, Clone)]
enum Done {
    Ready,
    Failed(Failure),
    Cancelled,
}

/// Which environment a spec means.
struct Identity {
    place: Place,
    kind: String,
    checksum: String,
}

impl Environments {
    /// Nothing is looked at before somebody asks.
    pub fn new(setup: EnvironmentsSetup) -> Self {
        let EnvironmentsSetup { envs_dir, logs_dir, config, spawner, child, leases } = setup;
        let EnvironmentsConfig { build_timeout, retention } = config;
        Self {
            shared: Arc::new(Shared {
                envs_dir: std::path::absolute(&envs_dir).unwrap_or(envs_dir),
                logs_dir,
                build_timeout,
                retention,
                spawner,
                child,
                leases,
                contents: Contents::default(),
                libcs: Mutex::default(),
                whole: Mutex::default(),
                building: Mutex::default(),
                builds: TaskTracker::new(),
                failures: Mutex::default(),
                uses: Arc::new(Uses::new()),
                deleted: Mutex::default(),
                volume: OnceCell::new(),
            }),
        }
    }

    /// The environment that `spec` means, built where it is not there yet. It stays for `time` at least, even should this
    /// process die; `stop` ends the waiting, and the build too where nobody else waits.
    ///
    /// # Errors
    /// [`NotReady`]: with how an execution ends that needs it, or that it was stopped.
    pub async fn ready(
        &self,
        spec: &EnvironmentSpec,
        time: Duration,
        stop: &mut StopSignal,
    ) -> Result<Environment, NotReady> {
        let failed = |failure: &Failure| NotReady::Failed(Box::new(failure.outcome(spec)));
        for _ in 0..TRIES {
            let identity = self.shared.identify(spec).await.map_err(|failure| failed(&failure))?;
            if let Some(build) = self.shared.usable(spec, &identity.place).await {
                let used = self.shared.uses.begin(&build, time);
                // Whoever removes one takes it out of sight first, and then looks whether it is used.
                if identity.place.published().as_ref() == Some(&build) {
                    let interpreter = spec.inner_interpreter(&build.directory);
                    return Ok(Environment { directory: build.directory, interpreter, _use: used });
                }
                continue;
            }
            if let Some(failure) = self.shared.remembered(&identity.place) {
                return Err(failed(&failure));
            }
            let building = self.shared.join(spec, identity);
            let mut done = building.done.clone();
            let waiting = async { done.wait_for(Option::is_some).await.ok().and_then(|done| done.clone()) };
            let done = tokio::select! {
                done = waiting => done,
                why = stop.ordered() => return Err(NotReady::Stopped(why)),
            };
            match done {
                Some(Done::Ready | Done::Cancelled) => {}
                Some(Done::Failed(failure)) => return Err(failed(&failure)),
                None => return Err(failed(&Failure::new("the agent failed while it built it"))),
            }
        }
        Err(failed(&Failure::new("it was removed again each time before it could be used")))
    }

    /// Awaits the end of builds that nobody waits for any more. A process that goes before leaves a lease behind, and others
    /// wait until it expires.
    pub async fn settled(&self) {
        self.shared.builds.close();
        self.shared.builds.wait().await;
    }

    /// Removes what nobody has needed for a while, of every pack. In the background.
    pub fn tidy(&self) {
        let (shared, runtime) = (Arc::clone(&self.shared), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || {
            let Ok(packs) = std::fs::read_dir(&shared.envs_dir) else { return };
            for pack_root in packs.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()) {
                shared.sweep(&pack_root, shared.retention, &runtime);
            }
        });
    }

    /// A pack was deleted: removes its environments as soon as nobody uses them. In the background.
    pub fn pack_deleted(&self, pack: &PackRef) {
        let pack_root = self.shared.envs_dir.join(pack.as_str());
        let over = CancellationToken::new();
        lock(&self.shared.deleted).insert(pack_root.clone(), over.clone().drop_guard());
        tokio::spawn(remove_pack(Arc::downgrade(&self.shared), pack_root, over));
    }

    /// A pack is there: what was to be removed of it stays.
    pub fn pack_registered(&self, pack: &PackRef) {
        lock(&self.shared.deleted).remove(&self.shared.envs_dir.join(pack.as_str()));
        // A pack that was broken may be whole now.
        let pack_root = self.shared.envs_dir.join(pack.as_str());
        lock(&self.shared.failures).retain(|place, _| place.pack_root != pack_root);
    }

    /// What keeps account of environments, where a control plane does.
    pub fn leases(&self) -> Option<Arc<dyn EnvironmentLeases>> {
        self.shared.leases.clone()
    }
}

/// Until nothing is left, or the pack is there again, or this process ends.
async fn remove_pack(shared: Weak<Shared>, pack_root: PathBuf, over: CancellationToken) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let ended = shared.uses.clone();
        let mut released = std::pin::pin!(ended.ended.notified());
        // From here on, no end is missed.
        released.as_mut().enable();
        let (root, runtime) = (pack_root.clone(), tokio::runtime::Handle::current());
        let sweeping = Arc::clone(&shared);
        let left = blocking(move || {
            sweeping.uses.release_idle(&root);
            Ok(sweeping.sweep(&root, Duration::ZERO, &runtime))
        });
        if left.await.is_ok_and(|left| left == Some(0)) {
            // The guard goes with the entry.
            lock(&shared.deleted).remove(&pack_root);
            return;
        }
        drop(shared);
        tokio::select! {
            () = over.cancelled() => return,
            () = released => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

impl Shared {
    /// Which environment `spec` means here and now.
    async fn identify(&self, spec: &EnvironmentSpec) -> Result<Identity, Failure> {
        let checksum = recipe::checksum(spec, &self.contents)
            .map_err(|(path, error)| Failure::system("read", &path, &error))?;
        let kind = spec.prefix(&self.libc_of(&spec.interpreter).await);
        let place = Place::new(&self.envs_dir, spec.pack.as_str(), &kind, &checksum);
        Ok(Identity { place, kind, checksum })
    }

    /// The C library that an interpreter needs, with its release: what is compiled for a newer one does not run.
    async fn libc_of(&self, interpreter: &BaseInterpreter) -> String {
        if let Some(known) = lock(&self.libcs).get(&interpreter.path) {
            return known.clone();
        }
        let path = interpreter.path.clone();
        let release = blocking(move || Ok(runtime_probe::glibc_release(&path))).await.ok().flatten();
        let libc = match (interpreter.libc, release) {
            (_, Some(release)) => format!("glibc{release}"),
            (Some(libc), None) => libc.as_str().to_owned(),
            (None, None) => "any".to_owned(),
        };
        lock(&self.libcs).insert(interpreter.path.clone(), libc.clone());
        libc
    }

    /// The build at `place`, where there is one and it is whole.
    async fn usable(&self, spec: &EnvironmentSpec, place: &Place) -> Option<Build> {
        let build = place.published()?;
        if lock(&self.whole).contains(&build.directory) {
            return Some(build);
        }
        let (looked, inner) = (build.clone(), spec.inner_interpreter(&build.directory));
        let look = move || Ok(looked.is_complete() && inner.is_none_or(|interpreter| interpreter.exists()));
        if !blocking(look).await.unwrap_or(false) {
            return None;
        }
        lock(&self.whole).insert(build.directory.clone());
        Some(build)
    }

    /// The last failure to build at `place`, while it is too early to try again.
    fn remembered(&self, place: &Place) -> Option<Failure> {
        lock(&self.failures).get(place).and_then(Remembered::still)
    }

    /// Takes part in the build of this environment, which begins where nobody has begun it.
    fn join(self: &Arc<Self>, spec: &EnvironmentSpec, identity: Identity) -> Arc<Building> {
        let Identity { place, kind, checksum } = identity;
        let mut building = lock(&self.building);
        building.retain(|_, building| building.strong_count() > 0);
        let running = building.get(&place).and_then(Weak::upgrade);
        if let Some(running) = running.filter(|running| running.done.borrow().is_none()) {
            return running;
        }
        let (sender, done) = watch::channel(None);
        let cancelled = CancellationToken::new();
        let begun = Arc::new(Building { done, _cancel: cancelled.clone().drop_guard() });
        building.insert(place.clone(), Arc::downgrade(&begun));
        let order = Order { spec: spec.clone(), place, kind, checksum, cancelled };
        let shared = Arc::clone(self);
        self.builds.spawn(async move {
            let end = build::carry_out(&order, &shared).await;
            sender.send_replace(Some(shared.conclude(&order, end)));
        });
        begun
    }

    /// Keeps what is worth knowing of a build's end.
    fn conclude(self: &Arc<Self>, order: &Order, end: End) -> Done {
        match end {
            End::Ready(build) => {
                lock(&self.failures).remove(&order.place);
                let (shared, runtime) = (Arc::clone(self), tokio::runtime::Handle::current());
                // What this one has replaced may be old enough to go.
                tokio::task::spawn_blocking(move || {
                    shared.sweep(&build.place.pack_root, shared.retention, &runtime);
                });
                Done::Ready
            }
            End::Failed(failure) => {
                let mut failures = lock(&self.failures);
                let remembered = Remembered::after(failures.get(&order.place), failure.clone());
                failures.insert(order.place.clone(), remembered);
                Done::Failed(failure)
            }
            End::Cancelled => Done::Cancelled,
        }
    }

    /// Removes what is not needed of a pack; how much is left, where that could be found out.
    fn sweep(
        &self,
        pack_root: &Path,
        retention: Duration,
        runtime: &tokio::runtime::Handle,
    ) -> Option<usize> {
        match prune::sweep(pack_root, retention, &self.uses, runtime) {
            Ok(swept) => {
                if swept.removed > 0 {
                    lock(&self.whole).retain(|directory| !directory.starts_with(pack_root));
                    tracing::info!(directory = %pack_root.display(), removed = swept.removed,
                        "environments that nobody uses were removed");
                }
                Some(swept.left)
            }
            Err(error) => {
                tracing::warn!(directory = %pack_root.display(), %error,
                    "environments that nobody uses could not be removed");
                None
            }
        }
    }

    /// What tells this volume from others: workers with volumes of their own do not wait for each other.
    async fn volume(&self) -> String {
        let envs_dir = self.envs_dir.clone();
        let name = self.volume.get_or_init(|| async move {
            let read = blocking(move || volume_id(&envs_dir)).await;
            read.unwrap_or_else(|error| {
                tracing::warn!(%error, "the volume of environments cannot be named; it counts as this worker's own");
                uuid::Uuid::new_v4().to_string()
            })
        });
        name.await.clone()
    }
}

/// The name that the first worker gave to the volume.
fn volume_id(envs_dir: &Path) -> std::io::Result<String> {
    let path = envs_dir.join(".attune-volume");
    if let Ok(name) = std::fs::read_to_string(&path) {
        return Ok(name.trim().to_owned());
    }
    create_directories(envs_dir)?;
    let staged = envs_dir.join(format!(".attune-volume.{}", uuid::Uuid::new_v4().simple()));
    std::fs::write(&staged, format!("{}\n", uuid::Uuid::new_v4()))?;
    // Linked, not renamed, so that the first name stays; where there are no links, the last one does.
    let linked = std::fs::hard_link(&staged, &path);
    if linked.is_ok() || path.exists() {
        std::fs::remove_file(&staged)?;
    } else {
        std::fs::rename(&staged, &path)?;
    }
    Ok(std::fs::read_to_string(&path)?.trim().to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_keeps_its_first_name() {
        let volume = tempfile::tempdir().unwrap();
        let envs = volume.path().join("envs");
        let first = volume_id(&envs).unwrap();
        assert_eq!(first, volume_id(&envs).unwrap());
        assert_eq!(std::fs::read_dir(&envs).unwrap().count(), 1);
    }
}
