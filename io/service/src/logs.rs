//! Logs: structured events on standard error, as text for people or as JSON for collectors.

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// Changes the level of the log that was started.
static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Takes a level or a filter.
type SetLevel = Box<dyn Fn(&str) + Send + Sync>;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `level` is a word such as `info`, or a filter such as `info,calc=debug`; a word that is none means `info`.
/// Only the first call has an effect.
pub fn init(level: &str, format: Format) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr);
    // A second initialisation fails and leaves the first in place, which is what we want.
    match format {
        Format::Text => {
            let lines = lines
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                remember(move |level| drop(handle.reload(filter(level))));
            }
        }
        Format::Json => {
            let lines = lines.json().with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                remember(move |level| drop(handle.reload(filter(level))));
            }
        }
    }
}

/// Changes the level of a log that was started; words are as for [`init`].
pub fn set_level(level: &str) {
    if let Some(set) = SET_LEVEL.get() {
        set(level);
    }
}

fn remember(set: impl Fn(&str) + Send + Sync + 'static) {
    // Only the first start gets here.
    let _ = SET_LEVEL.set(Box::new(set));
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level.to_ascii_lowercase()).unwrap_or_else(|_| EnvFilter::new("info"))
}
