#![doc = include_str!("../README.md")]

pub mod affinity;
pub mod assign;
pub mod audit;
mod ledger;
mod machine;
pub mod release;
mod scan;
mod seam;
pub mod sweep;
mod time;
pub mod usage;
mod view;

pub use ledger::{Ledger, Owner};
pub use machine::{Attempt, Contended, MAX_ATTEMPTS, Machine, Operation};
pub use seam::{Change, Entry, Expect, Query, Reply, Revision, Step, Write, merge};
pub use time::Timestamp;
pub use view::View;
