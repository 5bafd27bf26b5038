//! Servers with a database and a virtual host of a test's own, packs, and what a worker's container needs to use them.

use std::path::Path;

use container_tests::{Access, Container, Engine, PATIENCE, Pod, Running, Source, Volume};
use serde_json::json;
use sqlx::AssertSqlSafe;
use test_servers::{Executor, ExecutorOptions, Servers};

use crate::dist::{self, AGENT, AGENT_DIR};
use crate::packs;

/// Where a worker looks for packs.
const PACKS_DIR: &str = "/opt/attune/packs";

/// What a worker writes to, each a volume of the pod.
const WRITTEN: &[(&str, &str)] = &[
    ("artifacts", "/opt/attune/artifacts"),
    ("envs", "/opt/attune/runtime_envs"),
    ("work", "/opt/attune/work"),
];

/// One control plane.
pub(crate) struct Site {
    database: String,
    amqp: String,
    executor: Executor,
    packs: Volume,
    /// What tests add.
    own_pack: Volume,
}

/// What a worker warns about. That a busy machine's database is slow is not the worker's doing.
pub(crate) fn warnings(log: &str) -> Vec<&str> {
    let warnings = log.lines().filter(|line| line.contains(" WARN "));
    warnings.filter(|line| !line.contains("slow statement")).collect()
}

/// How an execution ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) action: String,
    pub(crate) status: String,
    pub(crate) result: serde_json::Value,
}

impl Site {
    /// One with the control plane's tables, and the packs `core`, `examples` and `images`.
    pub(crate) fn new(engine: &'static Engine, test: &str) -> Self {
        Self::with(engine, test, ExecutorOptions::default())
    }

    /// The same without an executor that schedules: two would be in each other's way where submissions place themselves.
    pub(crate) fn for_direct_submissions(engine: &'static Engine, test: &str) -> Self {
        Self::with(engine, test, ExecutorOptions { only_listens: true, ..ExecutorOptions::default() })
    }

    fn with(engine: &'static Engine, test: &str, options: ExecutorOptions) -> Self {
        let servers = Servers::shared();
        let database = servers.database(test);
        let amqp = servers.virtual_host(test).url().to_owned();
        let [packs, own_pack] = ["packs", "my"].map(|name| Volume::new(engine, name));
        let variables = [("ATTUNE__DATABASE__URL", database.as_str()), ("ATTUNE__MESSAGE_QUEUE__URL", &amqp)];
        dist::outside(&["migrate"], &variables).expect_success();
        let executor = Executor::start(&database, &amqp, options);
        let site = Self { database, amqp, executor, packs, own_pack };
        for pack in ["packs/core", "packs/examples"] {
            site.register(&dist::workspace().join(pack));
        }
        site.register(&packs::images(engine));
        site
    }

    /// Its packs.
    pub(crate) fn packs(&self) -> &Volume {
        &self.packs
    }

    /// Where its servers are: of the database, and of the broker.
    pub(crate) fn urls(&self) -> [&str; 2] {
        [&self.database, &self.amqp]
    }

    /// Makes a pack known.
    #[track_caller]
    pub(crate) fn register(&self, pack: &Path) {
        self.agent(&["pack", "register", pack.to_str().expect("a path that is text")]);
    }

    /// Adds the shell action `my.<name>`.
    #[track_caller]
    pub(crate) fn action(&self, name: &str, script: &str) {
        let actions = self.own_pack.path().join("actions");
        std::fs::create_dir_all(&actions).expect("a writable directory");
        std::fs::write(self.own_pack.path().join("pack.yaml"), "ref: my\nlabel: Test\nversion: 0.1.0\n")
            .expect("own");
        std::fs::write(actions.join(format!("{name}.sh")), format!("#!/bin/sh\n{script}\n")).expect("own");
        let manifest =
            format!("ref: my.{name}\nentrypoint: {name}.sh\nruntime: core.shell\noutput_format: text\n");
        std::fs::write(actions.join(format!("{name}.yaml")), manifest).expect("an own file");
        self.register(self.own_pack.path());
    }

    #[track_caller]
    fn agent(&self, arguments: &[&str]) -> String {
        let packs = self.packs.path().to_str().expect("a path that is text");
        let variables = [("ATTUNE__PACKS_BASE_DIR", packs)];
        let ran = dist::outside(arguments, &[&self.variables()[..], &variables].concat());
        ran.expect_success().stdout
    }

    fn variables(&self) -> [(&'static str, &str); 2] {
        [("ATTUNE__DATABASE__URL", &self.database), ("ATTUNE__MESSAGE_QUEUE__URL", &self.amqp)]
    }

    /// A container that can be a worker named `name`: with the agent, the servers and the packs, and nothing else.
    pub(crate) fn bare_worker<'a>(
        &self,
        pod: &mut Pod<'a>,
        name: &str,
        source: impl Into<Source>,
    ) -> Container<'a> {
        let agent = pod.volume("agent");
        self.configure(pod.container("worker", source), name)
            .mount(&agent, AGENT_DIR, Access::ReadOnly)
            .command(&[AGENT])
    }

    /// A container that can be a worker named `name`, with all the volumes that a chart gives it.
    pub(crate) fn worker<'a>(
        &self,
        pod: &mut Pod<'a>,
        name: &str,
        source: impl Into<Source>,
    ) -> Container<'a> {
        let bare = self.bare_worker(pod, name, source);
        WRITTEN
            .iter()
            .fold(bare, |container, (volume, at)| container.mount(&pod.volume(volume), at, Access::ReadWrite))
    }

    /// Tells a container about the servers and the packs.
    pub(crate) fn configure<'a>(&self, container: Container<'a>, name: &str) -> Container<'a> {
        let variables = self.variables();
        let variables = variables.into_iter().chain([("ATTUNE_WORKER_NAME", name)]);
        variables.fold(container, |container, (name, value)| container.variable(name, value)).mount(
            &self.packs,
            PACKS_DIR,
            Access::ReadOnly,
        )
    }

    /// Asks for an execution.
    pub(crate) fn request(&self, action: &str) -> i64 {
        self.executor.request(action, &json!({}))
    }

    /// Runs these actions, all at once; returns how they ended.
    #[track_caller]
    pub(crate) fn run(&self, actions: &[&str]) -> Vec<Ended> {
        let asked: Vec<i64> = actions.iter().map(|action| self.request(action)).collect();
        self.await_completed(&asked);
        asked.into_iter().map(|execution| self.ended(execution)).collect()
    }

    /// Awaits that the ends of these are announced.
    #[track_caller]
    pub(crate) fn await_completed(&self, executions: &[i64]) {
        let done = self.executor.await_heard(PATIENCE, |heard| {
            let is_told = |execution: &i64| {
                heard.iter().any(|heard| {
                    heard.message_type == "ExecutionCompleted"
                        && heard.payload["execution_id"].as_i64() == Some(*execution)
                })
            };
            executions.iter().all(is_told)
        });
        assert!(done, "not all of {executions:?} have ended");
    }

    /// How often the end of an execution was announced.
    pub(crate) fn completions(&self, execution: i64) -> usize {
        self.executor.completions().get(&execution).copied().unwrap_or_default()
    }

    /// Awaits that this one runs.
    #[track_caller]
    pub(crate) fn await_running(&self, execution: i64) {
        let runs = self.executor.await_heard(PATIENCE, |heard| {
            heard.iter().any(|heard| {
                heard.payload["execution_id"].as_i64() == Some(execution)
                    && heard.payload.to_string().contains("running")
            })
        });
        assert!(runs, "{execution} does not run");
    }

    /// How this one ended.
    pub(crate) fn ended(&self, execution: i64) -> Ended {
        let row = format!("FROM execution WHERE id = {execution}");
        Ended {
            action: self.text(&format!("SELECT action_ref {row}")),
            status: self.text(&format!("SELECT status::text {row}")),
            result: serde_json::from_str(&self.text(&format!("SELECT coalesce(result, '{{}}')::text {row}")))
                .expect("JSON"),
        }
    }

    /// The only value of a query.
    #[track_caller]
    pub(crate) fn text(&self, query: &str) -> String {
        let value = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(self.executor.pool());
        self.executor.block_on(value).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// A worker's status, as its row has it.
    pub(crate) fn status_of(&self, worker: &str) -> String {
        self.text(&format!("SELECT status::text FROM worker WHERE name = '{worker}'"))
    }

    /// The runtimes that a worker offers, as its row has them.
    pub(crate) fn runtimes_of(&self, worker: &str) -> Vec<String> {
        let list = self
            .text(&format!("SELECT (capabilities->'runtimes')::text FROM worker WHERE name = '{worker}'"));
        serde_json::from_str(&list).expect("a list of names")
    }

    /// The interpreters that a worker has found: of which runtime, and where.
    pub(crate) fn interpreters_of(&self, worker: &str) -> Vec<(String, String)> {
        let list = self.text(&format!(
            "SELECT (capabilities->'detected_interpreters')::text FROM worker WHERE name = '{worker}'"
        ));
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).expect("a list of interpreters");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        list.iter().map(|found| (text(&found["name"]), text(&found["path"]))).collect()
    }

    /// That the worker has drained and left: its exit code, and its row.
    #[track_caller]
    pub(crate) fn assert_drains(&self, name: &str, worker: &mut Running<'_>) {
        assert_eq!(worker.stop(30), 0, "{}", worker.log());
        assert_eq!(self.status_of(name), "inactive", "{}", worker.log());
    }
}
