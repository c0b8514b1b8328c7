#![doc = include_str!("../README.md")]

mod addresses;
mod boxtable;
mod called_as;
mod cli;
mod cluster;
mod columns;
mod command;
mod completion;
mod connect;
mod examples;
mod explain;
mod json;
mod lock;
mod manifest;
mod migrate;
mod node;
mod objections;
mod objects;
mod outcome;
mod output;
mod patching;
mod programs;
mod progress;
mod run;
mod session;
mod suggest;
mod tabwriter;
pub mod template;
mod time;
mod unique;
mod verbs;
mod wording;
mod yaml;

pub use run::{run, run_with};
pub use session::{Output, Session};
