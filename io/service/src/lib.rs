#![doc = include_str!("../README.md")]

pub mod http;
pub mod identity;
pub mod logs;
pub mod signals;
