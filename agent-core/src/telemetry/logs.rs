//! Logs: sentences for an operator on standard error. ERROR means that someone must act, WARN that someone should
//! look, INFO is what changed; details are fields.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::LogConfig;

/// Starts logging as configured. A second call changes nothing.
pub fn init_logs(config: &LogConfig) {
    // The configuration has checked the filter.
    let filter: Targets =
        config.filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // It prints messages whole, and with them what actions returned; what an operator needs of it, the agent says.
    let filter = filter.with_target("lapin", LevelFilter::OFF);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = if config.json {
        layer.json().flatten_event(true).boxed()
    } else {
        layer.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    if let Err(error) = registry().with(layer.with_filter(filter)).try_init() {
        tracing::debug!(%error, "logging was started before");
    }
}
