//! A small cluster as upstream's clients lay it down in etcd: keys and values by hand, from upstream's key layout and struct
//! tags, IPAM included.

const ENTRIES: &str = include_str!("upstream_store.txt");

/// Keys and values, in the order of the keys.
pub fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut lines = ENTRIES.lines();
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
}
