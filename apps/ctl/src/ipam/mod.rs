//! `ipam`.
