//! `calico-lab`: clusters of network namespaces on one machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use lab::demo::{self, Afterwards, Programs};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Clusters of network namespaces on one machine
#[derive(Debug, Parser)]
#[command(name = "calico-lab", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run one node with pods, apply the examples, compare packets with predictions
    Demo {
        /// Directory with the programs `calico` and `calico-cni`
        #[arg(long, value_name = "DIR")]
        binaries: PathBuf,
        /// Directory with the policies to apply
        #[arg(long, value_name = "DIR")]
        examples: PathBuf,
        /// Leave all of it up at the end, and say how to play
        #[arg(long)]
        keep: bool,
        /// The store to run on
        #[arg(long, value_enum, default_value = "embedded")]
        datastore: Store,
    },
    /// Remove what `demo --keep`, or a demo that was interrupted, left
    Clean,
}

/// The store to run on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Store {
    /// One file
    Embedded,
    /// An etcd of the demo's own, with certificates
    Etcdv3,
    /// A Kubernetes API server of the demo's own
    Kubernetes,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("calico-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.verb {
        Verb::Demo {
            binaries,
            examples,
            keep,
            datastore,
        } => {
            let afterwards = if keep {
                Afterwards::Keep
            } else {
                Afterwards::Remove
            };
            let store = match datastore {
                Store::Embedded => demo::Store::Embedded,
                Store::Etcdv3 => demo::Store::Etcd,
                Store::Kubernetes => demo::Store::Kubernetes,
            };
            clean_when_interrupted()?;
            let plan = demo::Plan {
                programs: Programs::new(&binaries)?,
                examples,
                store,
                afterwards,
            };
            let tally = demo::run(&plan)?;
            println!("demo: {} of {} checks passed", tally.passed, tally.all());
            Ok(if tally.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Verb::Clean => {
            println!("removed {} network namespaces", demo::clean()?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An interrupted demo leaves nothing either: Ctrl-C removes all of it before the program ends.
fn clean_when_interrupted() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot wait for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("calico-lab: interrupted; removing the demo");
            // The main thread is still making things, until it misses what is gone: so again, until nothing is left.
            while !matches!(demo::clean(), Ok(0)) {
                thread::sleep(Duration::from_millis(50));
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
