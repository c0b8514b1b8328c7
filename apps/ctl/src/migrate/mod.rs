//! `datastore migrate`: locks a datastore, writes all of it to a file, reads such a file into another, and unlocks.

pub(crate) mod lock;
