#![doc = include_str!("../README.md")]

pub mod draw;
pub mod objects;
pub mod rng;
pub mod servers;
pub mod structural;
pub mod upstream;
pub mod worlds;
