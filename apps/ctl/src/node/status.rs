//! `node status`: whether an agent runs on this host, and what it says of itself.

use super::{agents, health};
use crate::outcome::{Failure, Status};
use crate::session::Session;

pub(crate) fn run(session: &mut Session<'_>) -> Result<Status, Failure> {
    if agents().is_empty() {
        return Err(Failure::new(
            Status::NotFound,
            "Calico process is not running.",
        ));
    }
    session.line("Calico process is running.")?;
    // An agent of upstream's may have its health elsewhere; then there is nothing to show.
    if let Some((is_ready, text)) = health("/readiness", &session.environment) {
        let text = text.replace('\n', "\n  ");
        session.line(match (is_ready, text.as_str()) {
            (true, _) => "It is ready.".to_owned(),
            (false, "") => "It is not ready.".to_owned(),
            (false, why) => format!("It is not ready:\n  {why}"),
        })?;
    }
    session.line("\nThe BGP backend process (BIRD) is not running.")?;
    session.line("Routing between nodes comes with a later release: there are no BGP peers.\n")?;
    Ok(Status::Done)
}
