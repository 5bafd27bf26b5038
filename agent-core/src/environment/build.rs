//! Building one environment: wait for the right to, make it, fill it, look whether it is whole, publish it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::check::{self, Check};
use super::failure::Failure;
use super::lock::{BuildLock, Holder, Tried};
use super::log::BuildLog;
use super::place::{Build, Place};
use super::spec::EnvironmentSpec;
use super::tool::{self, Bounds, ToolEnd, ToolError};
use super::workplace::variables;
use crate::control_plane::{Built, Lease, LeaseReply, LeaseRequest};
use crate::model::Exit;
use crate::process::{Job, signal_name};

/// How often somebody else's build is looked at. It may go on on another machine, of which no event comes.
const LOOK: Duration = Duration::from_millis(200);

/// How often the log says what is waited for.
const SAY: Duration = Duration::from_secs(30);

/// How often a lease of five minutes is renewed.
const RENEW: Duration = Duration::from_mins(1);

/// How much of a log goes into the environment's row.
pub(super) const ROW_LOG_BYTES: usize = 32 << 10;

/// Everything that one build is about.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) spec: EnvironmentSpec,
    pub(super) place: Place,
    /// The name without the checksum.
    pub(super) kind: String,
    pub(super) checksum: String,
    pub(super) cancelled: CancellationToken,
}

/// What came of it.
pub(super) enum End {
    Ready(Build),
    Failed(Failure),
    /// Nobody wants it any more.
    Cancelled,
}

/// What stops a build before it is complete.
enum Stopped {
    Failed(Failure),
    Cancelled,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The right to build.
struct Right {
    lock: BuildLock,
    lease: Option<Lease>,
    request: LeaseRequest,
}

/// Builds what `order` says, or waits for somebody else who does.
pub(super) async fn carry_out(order: &Order, shared: &Arc<Shared>) -> End {
    let right = match right_to_build(order, shared).await {
        Ok(Ok(right)) => right,
        Ok(Err(ready)) => return End::Ready(ready),
        Err(Stopped::Failed(failure)) => return End::Failed(failure),
        Err(Stopped::Cancelled) => return End::Cancelled,
    };
    let begun = Instant::now();
    let build = order.place.new_build();
    let log_path = shared.logs_dir.join(order.spec.pack.as_str()).join(format!("{}.log", order.place.name));
    tracing::info!(pack = %order.spec.pack, runtime = order.spec.runtime_ref,
        environment = %build.directory.display(), log = %log_path.display(), "an environment is being built");
    let mut log = BuildLog::begin(log_path).await;
    let renewal = right.lease.clone().map(|lease| Renewal::start(lease, Arc::clone(shared)));
    let made = make(order, &build, &right.lock, &mut log, shared).await;
    drop(renewal);
    let made = match made {
        Err(Stopped::Failed(failure)) => {
            let failure = failure.with_log(&log);
            log.say(&format!("\nattune-agent: {}", failure.sentence())).await;
            Err(Stopped::Failed(failure))
        }
        other => other,
    };
    log.end().await;
    let end = match made {
        Ok(()) => {
            tracing::info!(pack = %order.spec.pack, runtime = order.spec.runtime_ref,
                environment = %build.directory.display(), took_s = begun.elapsed().as_secs_f64(),
                "an environment is ready");
            End::Ready(build)
        }
        Err(stopped) => {
            remove(build).await;
            match stopped {
                Stopped::Cancelled => End::Cancelled,
                Stopped::Failed(failure) => {
                    tracing::warn!(pack = %order.spec.pack, runtime = order.spec.runtime_ref, why = failure.sentence(),
                        "an environment could not be built");
                    End::Failed(failure)
                }
            }
        }
    };
    settle(&right, &end, &log, shared).await;
    // Only now may somebody else look: the environment is there, or its failure is told.
    drop(right);
    end
}

/// Waits until nobody else builds the same. The build, where somebody else has finished it meanwhile.
async fn right_to_build(order: &Order, shared: &Arc<Shared>) -> Result<Result<Right, Build>, Stopped> {
    let mut said = Instant::now();
    let begun = Instant::now();
    loop {
        let lock = {
            let (place, handle) = (order.place.clone(), tokio::runtime::Handle::current());
            blocking(move || {
                place.prepare()?;
                BuildLock::try_take(&place.lock(), &handle)
            })
            .await
            .map_err(|error| Failure::system("build in", &order.place.pack_root, &error))?
        };
        let holder = match lock {
            Tried::Ours(lock) => {
                // Looked at with the lock in hand: nobody can have finished since.
                if let Some(build) = shared.usable(&order.spec, &order.place).await {
                    return Ok(Err(build));
                }
                match lease(order, lock, shared).await {
                    Ok(right) => return Ok(Ok(right)),
                    Err(held) => held,
                }
            }
            Tried::Theirs(holder) => holder,
        };
        if begun.elapsed() > shared.build_timeout * 2 {
            let who = holder.map_or_else(
                || "another process".to_owned(),
                |holder| format!("process {} on {}", holder.pid, holder.host),
            );
            let waited = begun.elapsed().as_secs();
            return Err(
                Failure::timed_out(format!("{who} has been building it for more than {waited} s")).into()
            );
        }
        if said.elapsed() >= SAY || begun.elapsed() < LOOK {
            said = Instant::now();
            tracing::info!(pack = %order.spec.pack, environment = %order.place.link().display(), ?holder,
                "waiting for another process that builds the same environment");
        }
        tokio::select! {
            () = order.cancelled.cancelled() => return Err(Stopped::Cancelled),
            () = sleep(LOOK) => {}
        }
        if let Some(build) = shared.usable(&order.spec, &order.place).await {
            return Ok(Err(build));
        }
    }
}

/// Adds the control plane's lease to the volume's lock. Where another process holds it for this very environment, the
/// lock is let go: it does not reach where that process is.
async fn lease(order: &Order, lock: BuildLock, shared: &Arc<Shared>) -> Result<Right, Option<Holder>> {
    let request = LeaseRequest {
        pack: order.spec.pack.clone(),
        runtime: order.spec.runtime,
        version: order.spec.version.clone().and_then(|(id, text)| Some((id?, text))),
        path: order.place.link(),
        kind: order.kind.clone(),
        volume: shared.volume().await,
        checksum: order.checksum.clone(),
        holder: lock.id().to_owned(),
        predecessor: lock.predecessor.as_ref().map(|dead| dead.id.clone()),
    };
    let reply = match &shared.leases {
        None => Ok(LeaseReply::Unleased),
        Some(leases) => leases.acquire(&request).await,
    };
    match reply {
        Ok(LeaseReply::Granted(lease)) => Ok(Right { lock, lease: Some(lease), request }),
        Ok(LeaseReply::Unleased) => Ok(Right { lock, lease: None, request }),
        Ok(LeaseReply::Held) => Err(None),
        Err(error) => {
            tracing::warn!(%error, pack = %order.spec.pack,
                "an environment is built without the control plane's lease; the lock on its volume has to do");
            Ok(Right { lock, lease: None, request })
        }
    }
}

async fn settle(right: &Right, end: &End, log: &BuildLog, shared: &Shared) {
    let Some(leases) = &shared.leases else { return };
    let text = log.end_as_text();
    let mut from = text.len().saturating_sub(ROW_LOG_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let result = match end {
        End::Ready(_) => Some(Ok(())),
        End::Failed(failure) => Some(Err(failure.sentence().to_owned())),
        End::Cancelled => None,
    };
    let built = Built { result, log: text[from..].to_owned() };
    if let Err(error) = leases.settle(right.lease.as_ref(), &right.request, &built).await {
        tracing::warn!(%error, pack = %right.request.pack, "the control plane could not be told what came of a build");
    }
}

/// Renews a lease until it is dropped.
struct Renewal(AbortHandle);

impl Renewal {
    fn start(lease: Lease, shared: Arc<Shared>) -> Self {
        let renewing = tokio::spawn(async move {
            let Some(leases) = &shared.leases else { return };
            loop {
                sleep(RENEW).await;
                match leases.renew(&lease).await {
                    Ok(true) => {}
                    // Both builds come to a good end, each in its own directory.
                    Ok(false) => {
                        tracing::warn!(row = lease.row, "somebody else builds the same environment by now");
                    }
                    Err(error) => {
                        tracing::warn!(%error, row = lease.row, "the lease of a build could not be renewed");
                    }
                }
            }
        });
        Self(renewing.abort_handle())
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs the commands, looks at the result, and publishes it.
async fn make(
    order: &Order,
    build: &Build,
    lock: &BuildLock,
    log: &mut BuildLog,
    shared: &Arc<Shared>,
) -> Result<(), Stopped> {
    let spec = &order.spec;
    let directory = &build.directory;
    let bounds =
        Bounds { deadline: Instant::now() + shared.build_timeout, cancelled: order.cancelled.clone() };
    let env = tool_environment(spec, directory, variables(&shared.child));
    let mut bench = Bench { order, build, lock, shared, env, bounds, log };
    let create: Vec<String> = bench.words(&spec.environment.create_command, &spec.interpreter.path);
    if create.is_empty() {
        tokio::fs::create_dir(directory)
            .await
            .map_err(|error| Failure::system("create", directory, &error))?;
    } else {
        bench.run(&create).await?;
    }
    if !directory.is_dir() {
        return Err(Failure::new(format!("`{}` made no directory {{env_dir}}", create.join(" "))).into());
    }
    let interpreter = match spec.inner_interpreter(directory) {
        Some(inner) if !inner.exists() => {
            let why = format!("it has no interpreter at {} after `{}`", inner.display(), create.join(" "));
            return Err(Failure::new(why).into());
        }
        Some(inner) => inner,
        None => spec.interpreter.path.clone(),
    };
    if let Some((dependencies, manifest)) = spec.dependencies.as_ref().zip(spec.manifest())
        && manifest.is_file()
    {
        let install = bench.words(&dependencies.install_command, &interpreter);
        if !install.is_empty() {
            bench.run(&install).await?;
        }
        bench.check(&manifest, &interpreter).await?;
    }
    let (build, spec, checksum) = (build.clone(), spec.clone(), order.checksum.clone());
    let published = blocking(move || build.complete(&spec, &checksum).and_then(|()| build.publish())).await;
    published.map_err(|error| Failure::system("publish", directory, &error))?;
    Ok(())
}

/// Where tools run.
struct Bench<'a> {
    order: &'a Order,
    build: &'a Build,
    lock: &'a BuildLock,
    shared: &'a Shared,
    env: Vec<(OsString, OsString)>,
    bounds: Bounds,
    log: &'a mut BuildLog,
}

impl Bench<'_> {
    fn words(&self, templates: &[String], interpreter: &Path) -> Vec<String> {
        let expand = |word: &String| self.order.spec.expand(word, &self.build.directory, interpreter);
        templates.iter().map(expand).collect()
    }

    /// Runs a command that has to succeed.
    async fn run(&mut self, words: &[String]) -> Result<(), Stopped> {
        let shown = words.join(" ");
        let (program, args) = words.split_first().ok_or_else(|| Failure::new("a command is empty"))?;
        let job = Job {
            program: self.program(program)?,
            args: args.iter().map(OsString::from).collect(),
            env: self.env.clone(),
            cwd: self.order.spec.pack_dir.clone(),
        };
        self.log.say(&format!("$ {shown}")).await;
        let ended = tool::run(&job, &self.shared.spawner, self.lock, self.log, &self.bounds).await;
        match ended {
            Ok(ToolEnd::Exited(Exit::Code(0))) => Ok(()),
            Ok(ToolEnd::Exited(Exit::Code(code))) => {
                Err(Failure::new(format!("`{shown}` exited with status {code}")).into())
            }
            Ok(ToolEnd::Exited(Exit::Signal(signal))) => {
                Err(Failure::new(format!("`{shown}` was ended by {}", signal_name(signal))).into())
            }
            Ok(ToolEnd::TimedOut) => {
                let limit = self.shared.build_timeout.as_secs_f64();
                Err(Failure::timed_out(format!("`{shown}` did not end within the build's {limit} s")).into())
            }
            Ok(ToolEnd::Cancelled) => Err(Stopped::Cancelled),
            Err(ToolError::NotStarted(error)) => {
                let failure = Failure::new(format!("`{shown}` did not start: {error}"));
                Err(error.hint().map_or(failure.clone(), |hint| failure.hint(hint)).into())
            }
            Err(ToolError::Lost(error)) => {
                Err(Failure::new(format!("the process that supervised `{shown}` was lost: {error}")).into())
            }
        }
    }

    /// A command that names the runtime's interpreter means the one that was chosen; any other is looked up.
    fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        let chosen = &self.order.spec.interpreter;
        let is_interpreter =
            |name: &str| Path::new(name).file_name() == Path::new(&chosen.binary).file_name();
        if name == chosen.binary || (!name.contains('/') && is_interpreter(name)) {
            return Ok(chosen.path.clone());
        }
        let path = self.env.iter().find(|(variable, _)| variable == "PATH").map(|(_, value)| value);
        which::which_in(name, path, &self.order.spec.pack_dir).map_err(|_| {
            let spec = &self.order.spec;
            Failure::new(format!(
                "`{name}`, which {} needs to build environments, is not in this image",
                spec.runtime_ref
            ))
            .hint(format!("put `{name}` into the image, beside {}", chosen.path.display()))
        })
    }

    /// Looks whether what the manifest asks for is there.
    async fn check(&mut self, manifest: &Path, interpreter: &Path) -> Result<(), Stopped> {
        let text =
            tokio::fs::read(manifest).await.map_err(|error| Failure::system("read", manifest, &error))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let (spec, directory) = (self.order.spec.clone(), self.build.directory.clone());
        let found = blocking(move || Ok(check::check(&spec, &directory, &text))).await;
        let name = manifest.file_name().unwrap_or_default().to_string_lossy();
        match found.map_err(|error| Failure::system("look into", &self.build.directory, &error))? {
            Check::Complete => Ok(()),
            Check::Missing(packages) => {
                let why = format!("{} of {name} is not there after the install command", packages.join(", "));
                Err(Failure::new(why).into())
            }
            Check::Ask(arguments) => {
                let words: Vec<_> =
                    std::iter::once(interpreter.display().to_string()).chain(arguments.clone()).collect();
                self.run(&words).await.map_err(|stopped| match stopped {
                    Stopped::Failed(_) => {
                        let asked = arguments[3..].join(", ");
                        Failure::new(format!(
                            "not all of {name} ({asked}) is there after the install command"
                        ))
                        .into()
                    }
                    cancelled @ Stopped::Cancelled => cancelled,
                })
            }
        }
    }
}

/// What tools see: what is left of the image's variables, the chosen interpreter before all others, and where the
/// runtime says that its environment is.
fn tool_environment(
    spec: &EnvironmentSpec,
    directory: &Path,
    mut env: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut set = |name: &str, value: OsString| {
        env.retain(|(present, _)| present != name);
        env.push((name.into(), value));
    };
    for (name, variable) in &spec.variables {
        // Only where it is meant to be: not with what the image had there.
        let value =
            variable.resolve(None, |template| spec.expand(template, directory, &spec.interpreter.path));
        set(name, value.into());
    }
    if let Some(own) = spec.interpreter.path.parent() {
        let path =
            env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
        let all = std::iter::once(own.to_owned()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(all) {
            env.retain(|(present, _)| present != "PATH");
            env.push(("PATH".into(), path));
        }
    }
    env
}

async fn remove(build: Build) {
    let directory = build.directory.clone();
    if let Err(error) = blocking(move || build.remove()).await {
        tracing::warn!(environment = %directory.display(), %error, "a half-built environment could not be removed");
    }
}

/// Work that waits for a file system.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
