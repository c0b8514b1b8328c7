#![doc = include_str!("../README.md")]

pub mod conntrack;
pub mod host;
pub mod monitor;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod route;
pub mod sysctl;
