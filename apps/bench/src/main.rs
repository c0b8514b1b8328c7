#![doc = include_str!("../README.md")]

mod cni;
mod idle;
mod latency;
mod packets;
mod sample;
mod site;
mod startup;
mod stores;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures calico-rs, each figure beside its floor.
#[derive(Parser)]
#[command(name = "calico-bench", version)]
struct Arguments {
    #[command(subcommand)]
    measure: Option<Measure>,
    /// Where calicoctl and calico-node are.
    #[arg(long, global = true, default_value = "dist/bin")]
    bin: PathBuf,
    /// Where the CNI plugin `calico` is.
    #[arg(long, global = true, default_value = "dist/cni")]
    cni: PathBuf,
}

#[derive(Subcommand, Clone, Copy)]
enum Measure {
    /// All measures, one after the other.
    All,
    /// From the datastore to the kernel.
    Latency,
    /// Whole CNI ADD and DEL.
    Cni,
    /// The ruleset's cost for packets.
    Packets,
    /// An agent with nothing to do.
    Idle,
    /// Starting calicoctl.
    Startup,
    /// The three stores beside one another.
    Stores,
    /// What `stores` starts to follow the store of the environment.
    #[command(hide = true)]
    Follow,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !rustix::process::geteuid().is_root() {
        eprintln!("calico-bench: network namespaces need root");
        return ExitCode::FAILURE;
    }
    let measures = match arguments.measure {
        None | Some(Measure::All) => {
            vec![
                Measure::Startup,
                Measure::Packets,
                Measure::Latency,
                Measure::Cni,
                Measure::Stores,
                Measure::Idle,
            ]
        }
        Some(one) => vec![one],
    };
    let mut code = ExitCode::SUCCESS;
    for measure in measures {
        let result = match measure {
            Measure::All => Ok(()),
            Measure::Latency => latency::run(&arguments.bin),
            Measure::Cni => cni::run(&arguments.bin, &arguments.cni),
            Measure::Packets => packets::run(),
            Measure::Idle => idle::run(&arguments.bin),
            Measure::Startup => startup::run(&arguments.bin),
            Measure::Stores => stores::run(&arguments.bin),
            Measure::Follow => stores::follow(),
        };
        if let Err(error) = result {
            eprintln!("calico-bench: {error:#}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
