//! `attune-agent wait`: block until what a worker needs is there.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent_core::control_plane::attune::{await_broker, await_database, await_schema};

use crate::cli::{WaitArgs, WaitFor};
use crate::exit::{FAILED, Failure, tell};
use crate::session::Session;

/// Packs come by a volume that another machine may fill, and no event crosses it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What every installation has.
const CORE: &str = "core/pack.yaml";

pub(crate) async fn run(session: &Session, args: WaitArgs) -> Result<ExitCode, Failure> {
    let waiting = wait(session, args.what);
    let Some(seconds) = args.timeout else {
        waiting.await?;
        return Ok(ExitCode::SUCCESS);
    };
    if let Ok(there) = tokio::time::timeout(Duration::from_secs(seconds), waiting).await {
        there?;
        return Ok(ExitCode::SUCCESS);
    }
    tell(&format!("error: not everything is there after {seconds} s"));
    Ok(ExitCode::from(FAILED))
}

async fn wait(session: &Session, what: WaitFor) -> Result<(), Failure> {
    let servers = &session.config.servers;
    let wanted = |which| what == which || what == WaitFor::All;
    // With its tables it is there, too.
    let database = async { if what == WaitFor::Database { await_database(servers).await } else { Ok(()) } };
    let schema = async { if wanted(WaitFor::Schema) { await_schema(servers).await } else { Ok(()) } };
    let broker = async { if wanted(WaitFor::Queue) { await_broker(servers).await } else { Ok(()) } };
    let packs = async {
        if wanted(WaitFor::Packs) {
            await_packs(&session.config.directories.packs).await;
        }
        Ok(())
    };
    // What no waiting can mend is told at once.
    tokio::try_join!(database, schema, broker, packs)?;
    Ok(())
}

async fn await_packs(directory: &Path) {
    let core = directory.join(CORE);
    let mut said = false;
    while !core.is_file() {
        if !said {
            tracing::warn!(file = %core.display(), "waiting for the core pack");
            said = true;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
