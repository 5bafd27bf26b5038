//! Which worker may have an execution, by the rules of Attune's scheduler (CONTRACT §1.3.3): runtimes, their versions,
//! labels, taints and affinity.
//!
//! The scheduler decides; whoever asks here wants to know beforehand what it would say. An execution for which it finds no
//! worker at all is failed at once, so in doubt the answer here is no.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgRow;

use super::messages::{ExecutionRequest, Letter};
use super::publisher::Delivered;
use super::{Attune, rows};
use crate::error::Result;
use crate::model::{
    Attempt, Dispatch, ExecutionId, Taint, TaintEffect, VersionConstraint, WorkerId, canonical_name,
};

/// The columns that [`Needs::read`] reads, in a statement that has the execution as `e`, its action as `a` and the action's
/// runtime as `r`, if there are any. What an execution says of its placement goes over what its action says.
pub(super) const NEEDS: &str = "e.id, r.name AS runtime_name, r.aliases AS runtime_aliases, \
    a.runtime_version_constraint, a.required_worker_runtimes, \
    coalesce(e.worker_selector, a.worker_selector) AS selector, \
    coalesce(e.worker_tolerations, a.worker_tolerations) AS tolerations, \
    coalesce(e.worker_affinity, a.worker_affinity) AS affinity";

/// What [`NEEDS`] is selected from.
pub(super) const NEEDS_FROM: &str =
    "execution e LEFT JOIN action a ON a.id = e.action LEFT JOIN runtime r ON r.id = a.runtime";

/// Workers that take executions, are not cordoned and were seen within the control plane's patience; in no order, so that
/// several who choose do not all choose the same.
const TAKING: &str = "SELECT id, capabilities FROM worker WHERE worker_role = 'action' AND status = 'active' \
    AND NOT cordoned AND last_heartbeat > now() - interval '90 seconds' AND id IS DISTINCT FROM $1 ORDER BY random()";

/// What an execution asks of the worker that runs it.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) execution: ExecutionId,
    /// `None` where what it asks for cannot be read: then nobody is known to be able to run it.
    wishes: Option<Wishes>,
}

#[derive(Debug, Default)]
struct Wishes {
    /// Each has to be offered.
    runtimes: Vec<RuntimeNeed>,
    selector: BTreeMap<String, Value>,
    tolerations: Vec<Toleration>,
    affinity: Affinity,
}

#[derive(Debug)]
struct RuntimeNeed {
    /// Canonical names, of which one has to be offered.
    names: Vec<String>,
    /// With a version like this.
    version: VersionConstraint,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TolerationOperator {
    #[default]
    Equal,
    Exists,
}

#[derive(Debug, Deserialize)]
struct Toleration {
    key: String,
    #[serde(default)]
    operator: TolerationOperator,
    value: Option<String>,
    effect: Option<TaintEffect>,
}

#[derive(Debug, Default, Deserialize)]
struct Affinity {
    /// One of these has to hold, where there are any.
    #[serde(default)]
    required: Vec<Term>,
    #[serde(default)]
    preferred: Vec<Preference>,
    /// None of these may hold.
    #[serde(default, rename = "anti_affinity")]
    excluded: Vec<Term>,
}

#[derive(Debug, Deserialize)]
struct Preference {
    #[serde(default = "one")]
    weight: i64,
    preference: Term,
}

const fn one() -> i64 {
    1
}

#[derive(Debug, Default, Deserialize)]
struct Term {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
struct Expression {
    key: String,
    operator: ExpressionOperator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpressionOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// A worker, as far as placement is concerned.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) worker: WorkerId,
    /// Canonical names.
    runtimes: Vec<String>,
    capabilities: Value,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
}

impl Needs {
    /// The columns [`NEEDS`].
    pub(super) fn read(row: &PgRow) -> Result<Self> {
        let name: Option<String> = rows::get(row, "runtime_name")?;
        let aliases: Option<Vec<String>> = rows::get(row, "runtime_aliases")?;
        let constraint: Option<String> = rows::get(row, "runtime_version_constraint")?;
        let own = name.map(|name| {
            let mut names = vec![canonical_name(&name)];
            names.extend(aliases.unwrap_or_default().iter().map(|alias| canonical_name(alias)));
            (names, constraint.unwrap_or_default())
        });
        let required = rows::json(row, "required_worker_runtimes")?;
        let [selector, tolerations, affinity] =
            [rows::json(row, "selector")?, rows::json(row, "tolerations")?, rows::json(row, "affinity")?];
        let wishes = Wishes::of(own, required, selector, tolerations, affinity);
        Ok(Self { execution: ExecutionId(rows::get(row, "id")?), wishes })
    }

    /// Whether the scheduler would take `offer` into consideration.
    pub(super) fn are_met_by(&self, offer: &Offer) -> bool {
        self.wishes.as_ref().is_some_and(|wishes| wishes.are_met_by(offer))
    }

    /// Among several that will do, the one with the highest score is taken.
    pub(super) fn score(&self, offer: &Offer) -> i64 {
        let preferred = self.wishes.iter().flat_map(|wishes| &wishes.affinity.preferred);
        preferred.filter(|wish| wish.preference.matches(&offer.labels)).map(|wish| wish.weight).sum()
    }
}

impl Wishes {
    fn of(
        own: Option<(Vec<String>, String)>,
        required: Option<Value>,
        selector: Option<Value>,
        tolerations: Option<Value>,
        affinity: Option<Value>,
    ) -> Option<Self> {
        let mut runtimes = Vec::new();
        if let Some((names, constraint)) = own {
            runtimes.push(RuntimeNeed { names, version: as_scheduled(&constraint)? });
        }
        if let Some(required) = required {
            let required: BTreeMap<String, String> = serde_json::from_value(required).ok()?;
            for (name, constraint) in required {
                let version = as_scheduled(&constraint)?;
                runtimes.push(RuntimeNeed { names: vec![canonical_name(&name)], version });
            }
        }
        Some(Self {
            runtimes,
            selector: read_or_default(selector)?,
            tolerations: read_or_default(tolerations)?,
            affinity: read_or_default(affinity)?,
        })
    }

    fn are_met_by(&self, offer: &Offer) -> bool {
        let has = |(label, value): (&String, &Value)| {
            offer.labels.get(label).is_some_and(|own| value.as_str() == Some(own))
        };
        let Affinity { required, excluded, .. } = &self.affinity;
        self.runtimes.iter().all(|need| need.is_met_by(offer))
            && self.selector.iter().all(has)
            && offer.taints.iter().all(|taint| self.tolerates(taint))
            && (required.is_empty() || required.iter().any(|term| term.matches(&offer.labels)))
            && !excluded.iter().any(|term| term.matches(&offer.labels))
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        taint.effect == TaintEffect::PreferNoSchedule
            || self.tolerations.iter().any(|toleration| {
                toleration.key == taint.key
                    && toleration.effect.is_none_or(|effect| effect == taint.effect)
                    && (toleration.operator == TolerationOperator::Exists || toleration.value == taint.value)
            })
    }
}

impl RuntimeNeed {
    fn is_met_by(&self, offer: &Offer) -> bool {
        let offered: Vec<_> = self.names.iter().filter(|name| offer.runtimes.contains(name)).collect();
        !offered.is_empty()
            && (self.version.is_any()
                || offered.iter().flat_map(|name| offer.versions(name)).any(|version| self.allows(&version)))
    }

    fn allows(&self, version: &str) -> bool {
        version.parse().is_ok_and(|version| self.version.allows(version))
    }
}

impl Term {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.holds(labels.get(&expression.key)))
    }
}

impl Expression {
    fn holds(&self, value: Option<&String>) -> bool {
        match self.operator {
            ExpressionOperator::In => value.is_some_and(|value| self.values.contains(value)),
            ExpressionOperator::NotIn => !value.is_some_and(|value| self.values.contains(value)),
            ExpressionOperator::Exists => value.is_some(),
            ExpressionOperator::DoesNotExist => value.is_none(),
        }
    }
}

impl Offer {
    /// What a worker's `capabilities` offer. Labels and taints that cannot be read count as none, as in the scheduler.
    pub(super) fn new(worker: WorkerId, capabilities: Option<Value>) -> Self {
        let capabilities = capabilities.unwrap_or_default();
        let names = capabilities.get("runtimes").and_then(Value::as_array).into_iter().flatten();
        Self {
            worker,
            runtimes: names.filter_map(|name| Some(canonical_name(name.as_str()?))).collect(),
            labels: read_or_default(capabilities.get("labels").cloned()).unwrap_or_default(),
            taints: read_or_default(capabilities.get("taints").cloned()).unwrap_or_default(),
            capabilities,
        }
    }

    /// The versions of a runtime: what is listed by runtime, and only without any, what was found.
    fn versions(&self, runtime: &str) -> Vec<String> {
        let listed = self.capabilities.get("runtime_versions").and_then(|versions| versions.get(runtime));
        let listed: Vec<String> =
            listed.and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default();
        if !listed.is_empty() {
            return listed;
        }
        let found =
            self.capabilities.get("detected_interpreters").and_then(Value::as_array).into_iter().flatten();
        let of_it = found.filter(|found| {
            found.get("name").and_then(Value::as_str).is_some_and(|name| canonical_name(name) == runtime)
        });
        of_it.filter_map(|found| Some(found.get("version")?.as_str()?.to_owned())).collect()
    }
}

impl Attune {
    /// What these executions ask for, as far as they are there.
    pub(super) async fn needs(&self, executions: Vec<i64>) -> Result<Vec<Needs>> {
        let statement = format!("SELECT {NEEDS} FROM {NEEDS_FROM} WHERE e.id = ANY($1) ORDER BY e.id");
        let rows = self
            .database()
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).bind(executions).fetch_all(connection).await
                })
            })
            .await?;
        rows.iter().map(Needs::read).collect()
    }

    /// The workers that take work now, but for `except`.
    pub(super) async fn taking(&self, except: Option<WorkerId>) -> Result<Vec<Offer>> {
        let except = except.map(|worker| worker.0);
        let rows = self
            .database()
            .run(move |connection| Box::pin(sqlx::query(TAKING).bind(except).fetch_all(connection)))
            .await?;
        let offer = |row| Ok(Offer::new(WorkerId(rows::get(row, "id")?), rows::json(row, "capabilities")?));
        rows.iter().map(offer).collect()
    }

    /// Does the executor's part: picks a worker, schedules the execution for it and dispatches it. `None` where no worker
    /// takes it, or where somebody was faster.
    pub(super) async fn place(&self, request: &ExecutionRequest) -> Result<Option<WorkerId>> {
        let Some(needs) = self.needs(vec![request.execution.0]).await?.pop() else { return Ok(None) };
        let mut fitting: Vec<_> =
            self.taking(None).await?.into_iter().filter(|offer| needs.are_met_by(offer)).collect();
        fitting.sort_by_key(|offer| std::cmp::Reverse(needs.score(offer)));
        for Offer { worker, .. } in fitting {
            let Some(attempt) = self.schedule(request.execution, worker).await? else { return Ok(None) };
            let dispatch = Dispatch {
                execution_id: request.execution,
                worker_id: worker,
                action_ref: request.action_ref.clone(),
                config: request.config.clone(),
                scheduled_attempt_updated_at: Some(attempt),
            };
            let posted = self.shared.publisher.post(Letter::dispatch(&dispatch, self.now()));
            if let Ok(Delivered::Queued) = posted.await {
                return Ok(Some(worker));
            }
            self.unschedule(request.execution, worker).await?;
        }
        Ok(None)
    }

    /// Compares and sets `requested → scheduled`; `None` where somebody was faster.
    async fn schedule(&self, execution: ExecutionId, worker: WorkerId) -> Result<Option<Attempt>> {
        let statement = format!(
            "UPDATE execution SET status = 'scheduled', worker = $2 WHERE id = $1 AND status = 'requested' \
             RETURNING {}",
            rows::moment_text("updated")
        );
        let attempt: Option<String> = self
            .database()
            .run(move |connection| {
                Box::pin(async move {
                    let schedule = sqlx::query_scalar(sqlx::AssertSqlSafe(statement));
                    schedule.bind(execution.0).bind(worker.0).fetch_optional(connection).await
                })
            })
            .await?;
        Ok(attempt.map(Attempt))
    }

    async fn unschedule(&self, execution: ExecutionId, worker: WorkerId) -> Result<()> {
        self.database()
            .run(move |connection| {
                let back = sqlx::query(
                    "UPDATE execution SET status = 'requested', worker = NULL \
                     WHERE id = $1 AND worker = $2 AND status = 'scheduled'",
                );
                Box::pin(back.bind(execution.0).bind(worker.0).execute(connection))
            })
            .await?;
        Ok(())
    }
}

/// A constraint as the scheduler reads it, which is narrower than an action's author may think (CONTRACT §3.3): missing
/// numbers are zeros, and a version alone stands for its patch releases, so that `20` is every 20.0.x.
fn as_scheduled(constraint: &str) -> Option<VersionConstraint> {
    let parts = constraint.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "*");
    let strict = parts.map(|part| {
        let digits = part.find(|c: char| c.is_ascii_digit() || c == 'v' || c == 'V').unwrap_or(part.len());
        let (operator, version) = part.split_at(digits);
        let operator = operator.trim();
        let (operator, numbers) = if operator.is_empty() { ("~", 2_usize) } else { (operator, 3) };
        let given = version.split('.').count();
        format!("{operator}{version}{}", ".0".repeat(numbers.saturating_sub(given)))
    });
    strict.collect::<Vec<_>>().join(",").parse().ok()
}

/// `None` where there is something that cannot be read.
fn read_or_default<T: Default + for<'de> Deserialize<'de>>(value: Option<Value>) -> Option<T> {
    match value {
        None | Some(Value::Null) => Some(T::default()),
        Some(value) => serde_json::from_value(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wishes(of: &Value) -> Needs {
        let own = of.get("runtime").and_then(Value::as_str).map(|name| {
            let constraint = of.get("version").and_then(Value::as_str).unwrap_or_default();
            (vec![canonical_name(name)], constraint.to_owned())
        });
        let part = |key: &str| of.get(key).cloned();
        let wishes =
            Wishes::of(own, part("required"), part("selector"), part("tolerations"), part("affinity"));
        Needs { execution: ExecutionId(1), wishes }
    }

    fn offer(capabilities: Value) -> Offer {
        Offer::new(WorkerId(1), Some(capabilities))
    }

    #[test]
    fn a_worker_is_considered_as_the_scheduler_would() {
        let python = json!({"runtimes": ["shell", "Python3"], "runtime_versions": {"python": ["3.12.4"]}});
        let labelled = json!({"runtimes": [], "labels": {"pool": "gpu", "zone": "a"}});
        let tainted = json!({"runtimes": [], "taints": [{"key": "dedicated", "value": "gpu"}]});
        for (needs, capabilities, fits) in [
            (json!({}), json!({}), true),
            (json!({"runtime": "python"}), python.clone(), true),
            (json!({"runtime": "bash"}), python.clone(), true),
            (json!({"runtime": "node"}), python.clone(), false),
            (json!({"runtime": "python", "version": ">=3.11"}), python.clone(), true),
            (json!({"runtime": "python", "version": ">=3.13"}), python.clone(), false),
            (json!({"runtime": "python", "version": "3"}), python.clone(), false),
            (json!({"runtime": "python", "version": "3.12"}), python.clone(), true),
            (json!({"runtime": "python", "version": "~3"}), python.clone(), false),
            (json!({"runtime": "python", "version": "nonsense"}), python.clone(), false),
            (json!({"runtime": "shell", "version": ">=5"}), python.clone(), false),
            (json!({"required": {"python": "*", "bash": "*"}}), python.clone(), true),
            (json!({"required": {"python": ">=4"}}), python.clone(), false),
            (
                json!({"runtime": "go", "version": ">=1.20"}),
                json!({"runtimes": ["golang"], "detected_interpreters": [{"name": "go", "path": "/go", "version": "1.22"}]}),
                true,
            ),
            (json!({"selector": {"pool": "gpu"}}), labelled.clone(), true),
            (json!({"selector": {"pool": "cpu"}}), labelled.clone(), false),
            (json!({"selector": {"pool": "gpu"}}), json!({}), false),
            (json!({}), tainted.clone(), false),
            (json!({"tolerations": [{"key": "dedicated", "value": "gpu"}]}), tainted.clone(), true),
            (json!({"tolerations": [{"key": "dedicated", "value": "cpu"}]}), tainted.clone(), false),
            (json!({"tolerations": [{"key": "dedicated", "operator": "exists"}]}), tainted.clone(), true),
            (
                json!({"tolerations": [{"key": "dedicated", "operator": "exists", "effect": "prefer_no_schedule"}]}),
                tainted,
                false,
            ),
            (json!({}), json!({"taints": [{"key": "slow", "effect": "prefer_no_schedule"}]}), true),
            (json!({"affinity": {"required": [{"match_labels": {"zone": "a"}}]}}), labelled.clone(), true),
            (json!({"affinity": {"required": [{"match_labels": {"zone": "b"}}]}}), labelled.clone(), false),
            (
                json!({"affinity": {"required": [{"match_labels": {"zone": "b"}}, {"match_expressions":
                    [{"key": "pool", "operator": "in", "values": ["gpu"]}]}]}}),
                labelled.clone(),
                true,
            ),
            (
                json!({"affinity": {"anti_affinity": [{"match_labels": {"zone": "a"}}]}}),
                labelled.clone(),
                false,
            ),
            (
                json!({"affinity": {"anti_affinity": [{"match_expressions": [{"key": "arch", "operator": "exists"}]}]}}),
                labelled.clone(),
                true,
            ),
            (json!({"affinity": {"required": "nonsense"}}), labelled, false),
        ] {
            assert_eq!(
                wishes(&needs).are_met_by(&offer(capabilities.clone())),
                fits,
                "{needs} on {capabilities}"
            );
        }
    }

    #[test]
    fn preferences_add_up() {
        let needs = wishes(&json!({"affinity": {"preferred": [
            {"weight": 5, "preference": {"match_labels": {"zone": "a"}}},
            {"preference": {"match_labels": {"pool": "gpu"}}},
            {"weight": 9, "preference": {"match_labels": {"zone": "b"}}},
        ]}}));
        assert_eq!(needs.score(&offer(json!({"labels": {"zone": "a", "pool": "gpu"}}))), 6);
        assert_eq!(needs.score(&offer(json!({}))), 0);
    }
}
