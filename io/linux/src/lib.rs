#![doc = include_str!("../README.md")]

pub mod netlink;
pub mod netns;
pub mod route;
