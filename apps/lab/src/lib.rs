#![doc = include_str!("../README.md")]

pub mod cluster;
pub mod cni;
pub mod demo;
pub mod matrix;
pub mod probe;
pub mod traffic;
