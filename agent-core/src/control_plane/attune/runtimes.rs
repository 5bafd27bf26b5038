//! Runtimes that the control plane knows, and those that only this worker has.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::packs::{DetectedRuntime, detected_runtime};
use super::{Attune, rows};
use crate::error::Result;
use crate::model::{Capabilities, Version, VersionConstraint, canonical_name};

const KNOWN: &str = "SELECT r.ref, r.aliases, \
    ARRAY(SELECT v.version FROM runtime_version v WHERE v.runtime = r.id ORDER BY v.id) AS versions FROM runtime r";

/// One runtime that the control plane knows.
struct Known {
    reference: String,
    aliases: Vec<String>,
    /// Its declared versions, such as `20`.
    versions: Vec<String>,
}

impl Attune {
    /// What is offered, with the labels of the declared versions that it includes; a runtime which the control plane does
    /// not know gets a row.
    ///
    /// The scheduler reads a constraint of `20` as 20.0.x, which `20.11.1` is not; the label `20` is.
    pub(super) async fn with_declared_versions(&self, offered: &Capabilities) -> Result<Capabilities> {
        let found = self
            .database()
            .run_vital(|connection| Box::pin(sqlx::query(KNOWN).fetch_all(connection)))
            .await?;
        let known = found.iter().map(Known::read).collect::<Result<Vec<_>>>()?;
        for name in offered.runtimes.iter().filter(|name| !known.iter().any(|known| known.is(name))) {
            if let Some(detected) = detected_runtime(name, offered) {
                self.insert_runtime(detected).await?;
                tracing::info!(runtime = name, "a runtime that the control plane did not know was added");
            }
        }
        let mut offered = offered.clone();
        add_labels(&mut offered.runtime_versions, &known);
        Ok(offered)
    }

    /// The row is named `auto.*` and has a program's bare name, so that it serves every worker and not only those whose
    /// image has it at the same place.
    async fn insert_runtime(&self, runtime: DetectedRuntime) -> Result<()> {
        self.database()
            .run_vital(move |connection| {
                let insert = sqlx::query(
                    "INSERT INTO runtime (ref, name, description, aliases, distributions, execution_config, \
                     auto_detected, detection_config) VALUES ($1, $2, $3, $4, $5, $6, true, $7) \
                     ON CONFLICT (ref) DO NOTHING",
                )
                .bind(runtime.reference)
                .bind(runtime.name)
                .bind(runtime.description)
                .bind(runtime.aliases)
                .bind(Json(runtime.distributions))
                .bind(Json(runtime.execution_config))
                .bind(Json(runtime.detection));
                Box::pin(async move { insert.execute(connection).await })
            })
            .await?;
        Ok(())
    }
}

impl Known {
    fn read(row: &PgRow) -> Result<Self> {
        Ok(Self {
            reference: rows::get(row, "ref")?,
            aliases: rows::get(row, "aliases")?,
            versions: rows::get(row, "versions")?,
        })
    }

    /// Whether this is the runtime of that canonical name (CONTRACT §4.3).
    fn is(&self, canonical: &str) -> bool {
        self.reference.ends_with(&format!(".{canonical}"))
            || self.aliases.iter().any(|alias| alias == canonical)
    }
}

/// Adds each declared version that one of the exact versions is.
fn add_labels(versions: &mut BTreeMap<String, Vec<String>>, known: &[Known]) {
    for runtime in known {
        let Some(name) = runtime.aliases.first().map(|alias| canonical_name(alias)) else { continue };
        let Some(exact) = versions.get_mut(&name) else { continue };
        let parsed: Vec<Version> = exact.iter().filter_map(|version| version.parse().ok()).collect();
        for label in &runtime.versions {
            let is_here = label.parse().is_ok_and(|constraint: VersionConstraint| {
                parsed.iter().any(|version| constraint.allows(*version))
            });
            if is_here && !exact.contains(label) {
                exact.push(label.clone());
            }
        }
        exact.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_versions_are_added_where_an_exact_one_is_theirs() {
        let runtime = |reference: &str, alias: &str, versions: &[&str]| Known {
            reference: reference.to_owned(),
            aliases: vec![alias.to_owned()],
            versions: versions.iter().map(ToString::to_string).collect(),
        };
        let known = [
            runtime("core.nodejs", "nodejs", &["18", "20", "22"]),
            runtime("core.python", "python3", &["3.11", "3.12"]),
            runtime("core.ruby", "ruby", &["3"]),
        ];
        let exact = [("node", "20.20.2"), ("python", "3.11.7")];
        let mut versions =
            exact.map(|(name, version)| (name.to_owned(), vec![version.to_owned()])).into_iter().collect();
        add_labels(&mut versions, &known);
        assert_eq!(versions["node"], ["20", "20.20.2"]);
        assert_eq!(versions["python"], ["3.11", "3.11.7"]);
        assert!(!versions.contains_key("ruby"));
    }
}
