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
mod ready;
mod result;
mod routes;
mod store;
mod trial;
mod wait;

pub use conf::NetConf;
pub use error::{CniError, Code};
pub use plugin::{Plugin, main};
