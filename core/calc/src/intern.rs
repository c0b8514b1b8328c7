//! Every string once, named by four bytes. Counted references, so that what nobody names any more is forgotten.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// The name of an interned string. Equal strings have equal names as long as the string lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Str(u32);

#[derive(Default)]
struct Slot {
    text: Box<str>,
    references: u32,
}

/// The strings.
#[derive(Default)]
pub(crate) struct Interner {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
}

impl Interner {
    /// The name of `text`, with one reference for the caller, to be given back by [`Interner::release`].
    pub(crate) fn intern(&mut self, text: &str) -> Str {
        if let Some(name) = self.find(text) {
            self.retain(name);
            return name;
        }
        let slot = Slot {
            text: text.into(),
            references: 1,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 strings fit in memory")
            }
        };
        let slots = &self.slots;
        self.by_text.insert_unique(hash(text), index, |&other| {
            hash(&slots[other as usize].text)
        });
        Str(index)
    }

    /// The name of `text` if it has one.
    pub(crate) fn find(&self, text: &str) -> Option<Str> {
        self.by_text
            .find(hash(text), |&index| {
                &*self.slots[index as usize].text == text
            })
            .map(|&index| Str(index))
    }

    /// One more reference.
    pub(crate) fn retain(&mut self, name: Str) {
        self.slots[name.0 as usize].references += 1;
    }

    /// One reference less; the last one takes the string away.
    pub(crate) fn release(&mut self, name: Str) {
        let slot = &mut self.slots[name.0 as usize];
        slot.references -= 1;
        if slot.references > 0 {
            return;
        }
        let text = std::mem::take(&mut slot.text);
        if let Ok(entry) = self
            .by_text
            .find_entry(hash(&text), |&index| index == name.0)
        {
            entry.remove();
        }
        self.free.push(name.0);
        if self.by_text.is_empty() {
            *self = Self::default();
        }
    }

    pub(crate) fn text(&self, name: Str) -> &str {
        &self.slots[name.0 as usize].text
    }

    pub(crate) fn len(&self) -> usize {
        self.by_text.len()
    }
}

fn hash(text: &str) -> u64 {
    FxBuildHasher.hash_one(text)
}
