#![doc = include_str!("../README.md")]

mod add;
mod attachment;
mod check;
mod conf;
mod del;
mod delegate;
mod environment;
mod error;
mod gates;
mod gc;
mod identity;
mod interface;
mod ipam_plugin;
mod lock;
mod log;
mod plugin;
mod pod_cidrs;
mod pods;
mod ready;
mod removal;
mod result;
mod routes;
mod store;
mod told;
mod trial;
mod wait;
mod wishes;

pub use conf::NetConf;
pub use error::{CniError, Code};
pub use plugin::{Plugin, main};
