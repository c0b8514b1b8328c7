//! The demo: one node on a store, pods in three namespaces, policies one after the other, and a crash.
//!
//! Flow: [`backend`] brings up the store, [`site`] node, agent and pods, [`stages`] says what is applied and what must be open then,
//! [`rounds`] compares packets with `calicoctl explain` and with that, [`crash`] kills the agent under traffic.

mod backend;
mod crash;
mod rounds;
mod site;
mod stages;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cluster;
pub use backend::Store;
use site::Site;

/// What the names of the demo's namespaces begin with.
const PREFIX: &str = "calico-demo";

/// Where the demo keeps its store, configuration and logs: a directory of root's, gone after a reboot.
const DIRECTORY: &str = "/run/calico-demo";

/// What becomes of the cluster at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes.
    Remove,
    /// It stays, to play with.
    Keep,
}

/// What a demo is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The programs under demonstration.
    pub programs: Programs,
    /// Directory with the policies to apply.
    pub examples: PathBuf,
    /// The store to run on.
    pub store: Store,
    /// What becomes of it at the end.
    pub afterwards: Afterwards,
}

/// The programs under demonstration.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The front.
    calico: PathBuf,
    /// The CNI plugins.
    cni: PathBuf,
}

impl Programs {
    /// Looks for them in a directory of cargo's.
    pub fn new(directory: &Path) -> Result<Self> {
        let find = |name: &str| {
            let path = directory.join(name);
            if path.is_file() {
                return Ok(path);
            }
            bail!("there is no {}: build it first", path.display())
        };
        Ok(Self {
            calico: find("calico")?,
            cni: find("calico-cni")?,
        })
    }
}

/// Checks so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// That held.
    pub passed: usize,
    /// That did not.
    pub failed: usize,
}

impl Tally {
    /// How many there were.
    pub fn all(&self) -> usize {
        self.passed + self.failed
    }

    /// Notes one check, and says aloud when it does not hold.
    fn check(&mut self, holds: bool, what: impl Display) {
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("  FAILED: {what}");
        }
    }
}

/// Runs all of it. An error is something that keeps the demo from going on; a check that fails is counted.
pub fn run(plan: &Plan) -> Result<Tally> {
    if plan.afterwards == Afterwards::Keep && plan.store != Store::Embedded {
        bail!("--keep is for the embedded store: the demo's servers end with the demo");
    }
    let left = clean()?;
    if left > 0 {
        println!("removed {left} network namespaces of an earlier demo");
    }
    let mut tally = Tally::default();
    let site = Site::create(plan, DIRECTORY.as_ref())?;
    let result = show(&site, &plan.examples, &mut tally);
    if result.is_err() || tally.failed > 0 {
        site.print_logs();
    }
    match plan.afterwards {
        Afterwards::Keep => {
            result?;
            site.keep();
        }
        Afterwards::Remove => {
            let removed = if result.is_ok() {
                site.remove(&mut tally)
            } else {
                Ok(())
            };
            clean()?;
            result.and(removed)?;
        }
    }
    Ok(tally)
}

fn show(site: &Site, examples: &Path, tally: &mut Tally) -> Result<()> {
    site.start_agent()?;
    site.make_namespaces(&examples.join(stages::NAMESPACES))?;
    site.add_pods(tally)?;
    for stage in stages::STAGES {
        println!("\n== {}", stage.title);
        if let Some(file) = stage.file {
            println!("   calicoctl apply -f examples/{file}");
            site.apply(&examples.join(file))?;
        }
        rounds::run(site, stage, tally)?;
    }
    println!("\n== the agent is killed under traffic, and started again");
    crash::run(site, tally)
}

/// Removes what an earlier demo left: namespaces with all processes in them, and files.
pub fn clean() -> Result<usize> {
    let count = cluster::sweep(PREFIX)?;
    match std::fs::remove_dir_all(DIRECTORY) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {DIRECTORY}"))
        }
        _ => Ok(count),
    }
}
