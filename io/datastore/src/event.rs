//! What a watch reports.

use crate::{Entry, Revision};

/// One change of one key, or the news that changes were missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key holds this value since `entry.revision`.
    Put(Entry),
    /// The key is gone since `revision`.
    Delete {
        /// The removed key.
        key: Box<str>,
        /// The commit that removed it.
        revision: Revision,
    },
    /// Changes after the watch's position are no longer known: list again, and watch from that snapshot. It is the
    /// last event of its watch.
    Resync {
        /// Changes up to here may have been dropped.
        compacted: Revision,
    },
}
