//! PostgreSQL and RabbitMQ, each asked once.

use agent_core::config::ServersConfig;
use agent_core::control_plane::attune::{DatabaseFacts, examine_broker, examine_database};

use super::check::Check;

/// Clocks that differ by more make a worker look dead, or its logs confusing.
const SKEW_MS: i64 = 2_000;

pub(super) async fn checks(servers: &ServersConfig) -> Vec<Check> {
    let (database, broker) = tokio::join!(examine_database(servers), examine_broker(servers));
    let mut checks = match database {
        Ok(facts) => database_checks(facts),
        Err(error) => vec![Check::failed("database", &error)],
    };
    checks.push(match broker {
        Ok(()) => Check::fine("broker", "connected"),
        Err(error) => Check::failed("broker", &error),
    });
    checks
}

fn database_checks(facts: DatabaseFacts) -> Vec<Check> {
    let encrypted = if facts.encrypted { "encrypted" } else { "not encrypted" };
    let mut checks = vec![Check::fine("database", format!("PostgreSQL {}, {encrypted}", facts.version))];
    checks.push(match facts.schema_problem {
        None => Check::fine("schema", "the control plane's tables are there"),
        Some((detail, hint)) => Check::broken("schema", detail, hint),
    });
    let skew = format!("the database's clock differs by {} ms", facts.skew_ms);
    checks.push(if facts.skew_ms.abs() <= SKEW_MS {
        Check::fine("clock", skew)
    } else {
        let hint = "the agent goes by the database's clock; let both machines keep the time by NTP";
        Check::doubtful("clock", skew, hint)
    });
    checks
}
