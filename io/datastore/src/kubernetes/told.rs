//! What a feed has said of one collection, so that it can say the difference: which objects, under which keys, of which
//! revision.
//!
//! Events may come twice, late, or from a server that was set back. A fold: each event in, what is to be said out.

use std::collections::HashMap;

use api::kubernetes::{ObjectName, Reading};

use crate::feed::FeedEvent;
use crate::{Entry, Revision};

/// What was said.
#[derive(Default)]
pub(super) struct Told {
    objects: HashMap<ObjectName, Object>,
    /// Counts listings, to tell what a listing did not name.
    round: u64,
}

struct Object {
    /// `None` if it is nothing to the store.
    key: Option<Box<str>>,
    revision: u64,
    /// The listing that named it last.
    round: u64,
}

/// Whether an event may be older than what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It comes from a listing: whatever it says is so.
    Listed,
    /// It comes from a watch: what is older than what was said is a repetition.
    Watched,
}

impl Told {
    /// A listing begins: all that it does not name is gone at its end.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// An object is there.
    pub(super) fn present(&mut self, reading: Reading, order: Order) -> Vec<FeedEvent> {
        let Reading {
            object,
            revision,
            key,
            value,
            ..
        } = reading;
        let before = self.objects.get(&object);
        let same = before.is_some_and(|before| match order {
            Order::Listed => before.revision == revision,
            Order::Watched => before.revision >= revision,
        });
        if same {
            let round = self.round;
            if let Some(before) = self.objects.get_mut(&object) {
                before.round = round;
            }
            return Vec::new();
        }
        let mut events = Vec::new();
        let old_key = before.and_then(|before| before.key.clone());
        let key: Option<Box<str>> = key.map(Into::into);
        let now = Object {
            key: key.clone().filter(|_| value.is_some()),
            revision,
            round: self.round,
        };
        self.objects.insert(object, now);
        if let Some(old) = old_key
            && (key.as_ref() != Some(&old) || value.is_none())
        {
            events.push(FeedEvent::Delete { key: old });
        }
        if let (Some(key), Some(value)) = (key, value) {
            events.push(FeedEvent::Put(Entry {
                key,
                value,
                revision: Revision::new(revision),
            }));
        }
        events
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, object: &ObjectName) -> Option<FeedEvent> {
        let key = self.objects.remove(object)?.key?;
        Some(FeedEvent::Delete { key })
    }

    /// A listing ends: what it did not name is gone.
    pub(super) fn end(&mut self) -> Vec<FeedEvent> {
        let round = self.round;
        let missing: Vec<ObjectName> = self
            .objects
            .iter()
            .filter(|(_, object)| object.round != round)
            .map(|(name, _)| name.clone())
            .collect();
        missing.iter().filter_map(|name| self.gone(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(name: &str, key: Option<&str>, revision: u64) -> Reading {
        Reading {
            object: named(name),
            revision,
            key: key.map(Into::into),
            value: Some(revision.to_string().into_bytes()),
            problems: Vec::new(),
        }
    }

    fn named(name: &str) -> ObjectName {
        ObjectName {
            namespace: String::new(),
            name: name.to_owned(),
        }
    }

    fn gone(told: &mut Told, name: &str) -> String {
        text(told.gone(&named(name)).as_slice())
    }

    fn text(events: &[FeedEvent]) -> String {
        let one = |event: &FeedEvent| match event {
            FeedEvent::Put(entry) => format!("+{}@{}", entry.key, entry.revision),
            FeedEvent::Delete { key } => format!("-{key}"),
            FeedEvent::InSync => "=".to_owned(),
        };
        events.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn repetitions_and_times_gone_by_are_not_said_again() {
        let mut told = Told::default();
        let mut see =
            |revision| text(&told.present(reading("a", Some("/a"), revision), Order::Watched));
        assert_eq!(see(5), "+/a@5");
        assert_eq!(see(5), "");
        assert_eq!(see(4), "");
        assert_eq!(see(6), "+/a@6");
        assert_eq!(gone(&mut told, "a"), "-/a");
        assert_eq!(gone(&mut told, "a"), "");
    }

    #[test]
    fn a_listing_says_the_difference_even_of_a_server_that_was_set_back() {
        let mut told = Told::default();
        for (name, revision) in [("a", 5), ("b", 6), ("c", 7)] {
            told.present(
                reading(name, Some(&format!("/{name}")), revision),
                Order::Watched,
            );
        }
        told.begin();
        assert_eq!(
            text(&told.present(reading("a", Some("/a"), 5), Order::Listed)),
            ""
        );
        assert_eq!(
            text(&told.present(reading("b", Some("/b"), 2), Order::Listed)),
            "+/b@2"
        );
        assert_eq!(text(&told.end()), "-/c");
        assert_eq!(text(&told.end()), "");
    }

    #[test]
    fn an_object_that_becomes_nothing_to_the_store_is_gone() {
        let mut told = Told::default();
        assert_eq!(
            text(&told.present(reading("a", None, 1), Order::Watched)),
            ""
        );
        assert_eq!(
            text(&told.present(reading("a", Some("/a"), 2), Order::Watched)),
            "+/a@2"
        );
        let mut marked = reading("a", Some("/a"), 3);
        marked.value = None;
        assert_eq!(text(&told.present(marked, Order::Watched)), "-/a");
        assert_eq!(gone(&mut told, "a"), "");
    }

    /// A release before v3.32 has put the default tier before a policy's name; whoever renames it makes the new one first.
    #[test]
    fn a_renamed_policy_is_two_for_a_while() {
        let mut told = Told::default();
        let mut see = |name: &str, revision| {
            let key = format!("/np/{name}");
            text(&told.present(reading(name, Some(&key), revision), Order::Watched))
        };
        assert_eq!(see("default.web", 1), "+/np/default.web@1");
        assert_eq!(see("web", 2), "+/np/web@2");
        assert_eq!(see("default.web", 3), "+/np/default.web@3");
        assert_eq!(gone(&mut told, "web"), "-/np/web");
        assert_eq!(gone(&mut told, "default.web"), "-/np/default.web");
    }
}
