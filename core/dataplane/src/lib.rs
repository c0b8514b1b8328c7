#![doc = include_str!("../README.md")]

pub mod filter;
pub mod host;
pub mod nft;
pub mod nftables;
pub mod rules;
