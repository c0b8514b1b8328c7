//! Sets of small numbers: a sorted array while they are few, pages of bits when they are many.
//!
//! There is one for every label value and every class, and most hold a single number, so an [`IdSet`] takes 16 bytes and its
//! first two numbers no memory besides.

use std::collections::BTreeMap;

/// Above this many the array becomes pages; moving so many numbers costs less than a look into a tree.
const FEW: usize = 256;
const PAGE_BITS: u32 = 512;

#[derive(Debug, Default)]
pub(crate) struct IdSet(Form);

#[derive(Debug, Default)]
enum Form {
    #[default]
    None,
    One([u32; 1]),
    Two([u32; 2]),
    #[expect(
        clippy::box_collection,
        reason = "a thin pointer keeps the set at 16 bytes"
    )]
    Few(Box<Vec<u32>>),
    Many(Box<Pages>),
}

#[derive(Debug, Default)]
struct Pages {
    pages: BTreeMap<u32, Box<[u64; 8]>>,
    len: usize,
}

impl IdSet {
    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        if let Form::Many(pages) = &mut self.0 {
            return pages.insert(id);
        }
        let Err(place) = self.few().binary_search(&id) else {
            return false;
        };
        match &mut self.0 {
            Form::Few(ids) if ids.len() < FEW => ids.insert(place, id),
            Form::None | Form::One(_) | Form::Two(_) | Form::Few(_) | Form::Many(_) => {
                let mut ids = self.few().to_vec();
                ids.insert(place, id);
                *self = Self::from_sorted(ids);
            }
        }
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        if let Form::Many(pages) = &mut self.0 {
            let removed = pages.remove(id);
            // Half way down, so that a set of a size around the limit does not change its form all the time.
            if pages.len <= FEW / 2 {
                *self = Self::from_sorted(pages.iter().collect());
            }
            return removed;
        }
        let Ok(place) = self.few().binary_search(&id) else {
            return false;
        };
        match &mut self.0 {
            Form::Few(ids) if ids.len() > 3 => {
                ids.remove(place);
            }
            Form::None | Form::One(_) | Form::Two(_) | Form::Few(_) | Form::Many(_) => {
                let mut ids = self.few().to_vec();
                ids.remove(place);
                *self = Self::from_sorted(ids);
            }
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::Many(pages) => pages.len,
            Form::None | Form::One(_) | Form::Two(_) | Form::Few(_) => self.few().len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let pages = match &self.0 {
            Form::Many(pages) => Some(pages.iter()),
            Form::None | Form::One(_) | Form::Two(_) | Form::Few(_) => None,
        };
        self.few()
            .iter()
            .copied()
            .chain(pages.into_iter().flatten())
    }

    /// The numbers of a set that has no pages.
    fn few(&self) -> &[u32] {
        match &self.0 {
            Form::None | Form::Many(_) => &[],
            Form::One(ids) => ids,
            Form::Two(ids) => ids,
            Form::Few(ids) => ids,
        }
    }

    fn from_sorted(ids: Vec<u32>) -> Self {
        Self(match *ids.as_slice() {
            [] => Form::None,
            [one] => Form::One([one]),
            [one, two] => Form::Two([one, two]),
            _ if ids.len() <= FEW => Form::Few(Box::new(ids)),
            _ => {
                let mut pages = Pages::default();
                ids.iter().for_each(|&id| {
                    pages.insert(id);
                });
                Form::Many(Box::new(pages))
            }
        })
    }
}

impl Pages {
    fn insert(&mut self, id: u32) -> bool {
        let word = &mut self.pages.entry(id / PAGE_BITS).or_default()[word(id)];
        let added = *word & bit(id) == 0;
        *word |= bit(id);
        self.len += usize::from(added);
        added
    }

    fn remove(&mut self, id: u32) -> bool {
        let Some(page) = self.pages.get_mut(&(id / PAGE_BITS)) else {
            return false;
        };
        let removed = page[word(id)] & bit(id) != 0;
        page[word(id)] &= !bit(id);
        self.len -= usize::from(removed);
        if page.iter().all(|&word| word == 0) {
            self.pages.remove(&(id / PAGE_BITS));
        }
        removed
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.pages
            .iter()
            .flat_map(|(&page, words)| numbers(page, words))
    }
}

fn word(id: u32) -> usize {
    (id % PAGE_BITS / 64) as usize
}

fn bit(id: u32) -> u64 {
    1 << (id % 64)
}

fn numbers(page: u32, words: &[u64; 8]) -> impl Iterator<Item = u32> + '_ {
    let first = page * PAGE_BITS;
    (0..PAGE_BITS)
        .map(move |offset| first + offset)
        .filter(|&id| words[word(id)] & bit(id) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn behaves_as_a_set_in_both_forms() {
        let mut ids = IdSet::default();
        let mut expected = BTreeSet::new();
        for step in 0..4000_u32 {
            let id = step.wrapping_mul(2_654_435_761) % 1500;
            let grows = step < 2000;
            if grows {
                assert_eq!(ids.insert(id), expected.insert(id));
            } else {
                assert_eq!(ids.remove(id), expected.remove(&id));
            }
            assert_eq!(ids.len(), expected.len());
        }
        assert!(ids.iter().eq(expected.iter().copied()));
        for id in 0..1500 {
            ids.remove(id);
        }
        assert!(ids.is_empty() && ids.iter().next().is_none());
        assert_eq!(size_of::<IdSet>(), 16);
    }
}
