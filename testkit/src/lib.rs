#![doc = include_str!("../README.md")]

pub mod rng;
pub mod servers;
pub mod worlds;
