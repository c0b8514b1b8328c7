//! What network stores have without keeping it: the profile that allows everything. Upstream's clients never store it, and
//! would list it twice if it were.

use api::Kind;

use crate::{Entry, Query, Revision, Snapshot};

/// Puts the profile into what was read if it was asked for, by its key or among the profiles, in place of a stored one.
pub(crate) fn supply(queries: &[Query], snapshot: &mut Snapshot) {
    let profile = api::default_profile();
    let key = profile.store_key();
    let profiles = api::store_prefix(Kind::Profile, None);
    let asked = queries.iter().any(|query| match query {
        Query::Key(wanted) => **wanted == *key,
        Query::Prefix(prefix) => prefix.starts_with(&profiles) && key.starts_with(&**prefix),
    });
    if !asked {
        return;
    }
    let entry = Entry {
        value: profile.to_store_bytes(),
        // Upstream's number for it.
        revision: Revision::new(1),
        key: key.into(),
    };
    let entries = &mut snapshot.entries;
    match entries.binary_search_by(|one| one.key.cmp(&entry.key)) {
        Ok(at) => entries[at] = entry,
        Err(at) => entries.insert(at, entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(queries: &[Query]) -> Vec<Box<str>> {
        let mut snapshot = Snapshot::default();
        supply(queries, &mut snapshot);
        supply(queries, &mut snapshot);
        snapshot.entries.into_iter().map(|one| one.key).collect()
    }

    #[test]
    fn the_profile_is_there_for_whoever_asks_for_it() {
        let key = api::default_profile().store_key();
        let profiles = api::store_prefix(Kind::Profile, None);
        let tiers = api::store_prefix(Kind::Tier, None);
        let alone = vec![Box::<str>::from(key.as_str())];
        assert_eq!(read(&[Query::key(key.as_str())]), alone);
        assert_eq!(read(&[Query::prefix(profiles.as_str())]), alone, "once");
        assert!(read(&[Query::prefix(tiers)]).is_empty());
        assert!(
            read(&[Query::prefix("/calico/")]).is_empty(),
            "nobody asks for profiles by this"
        );
        assert!(read(&[Query::prefix(format!("{profiles}kns."))]).is_empty());
    }
}
