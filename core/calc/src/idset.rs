//! Sets of small numbers: a sorted array while they are few, pages of bits when they are many.

use std::collections::BTreeMap;

use smallvec::SmallVec;

/// Above this many the array becomes pages; moving so many numbers costs less than a look into a tree.
const FEW: usize = 256;
const PAGE_BITS: u32 = 512;

#[derive(Debug)]
pub(crate) enum IdSet {
    Few(SmallVec<[u32; 4]>),
    Many {
        pages: BTreeMap<u32, Box<[u64; 8]>>,
        len: usize,
    },
}

impl Default for IdSet {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl IdSet {
    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::Few(ids) => {
                let Err(place) = ids.binary_search(&id) else {
                    return false;
                };
                ids.insert(place, id);
                if ids.len() > FEW {
                    *self = Self::paged(ids);
                }
                true
            }
            Self::Many { pages, len } => {
                let word = &mut pages.entry(id / PAGE_BITS).or_default()[word(id)];
                let added = *word & bit(id) == 0;
                *word |= bit(id);
                *len += usize::from(added);
                added
            }
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::Few(ids) => match ids.binary_search(&id) {
                Ok(place) => {
                    ids.remove(place);
                    true
                }
                Err(_) => false,
            },
            Self::Many { pages, len } => {
                let Some(page) = pages.get_mut(&(id / PAGE_BITS)) else {
                    return false;
                };
                let removed = page[word(id)] & bit(id) != 0;
                page[word(id)] &= !bit(id);
                if removed {
                    *len -= 1;
                    if page.iter().all(|&word| word == 0) {
                        pages.remove(&(id / PAGE_BITS));
                    }
                    // Half way down, so that a set of a size around the limit does not change its form all the time.
                    if *len <= FEW / 2 {
                        *self = Self::Few(self.iter().collect());
                    }
                }
                removed
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(ids) => ids.len(),
            Self::Many { len, .. } => *len,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (few, pages) = match self {
            Self::Few(ids) => (Some(ids.iter().copied()), None),
            Self::Many { pages, .. } => (
                None,
                Some(pages.iter().flat_map(|(&page, words)| numbers(page, words))),
            ),
        };
        few.into_iter().flatten().chain(pages.into_iter().flatten())
    }

    fn paged(ids: &[u32]) -> Self {
        let mut pages: BTreeMap<u32, Box<[u64; 8]>> = BTreeMap::new();
        for &id in ids {
            pages.entry(id / PAGE_BITS).or_default()[word(id)] |= bit(id);
        }
        Self::Many {
            pages,
            len: ids.len(),
        }
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
        assert!(ids.is_empty() && matches!(ids, IdSet::Few(_)));
    }
}
