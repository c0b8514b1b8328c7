//! Which pools may serve a request.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{AffinityOwner, AssignmentMode, Cidr, Family, IpPool, Labels};

use super::draft::Draft;
use super::{AssignError, PoolState, Request, Want};
use crate::seam::Query;
use crate::view::{View, usable_block_size};

/// How a request names a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolRef {
    /// By name.
    Name(Box<str>),
    /// By network.
    Cidr(Cidr),
}

/// A text is the network of a pool if it reads as one, otherwise its name.
impl From<&str> for PoolRef {
    fn from(text: &str) -> PoolRef {
        match text.contains('/').then(|| text.parse()) {
            Some(Ok(cidr)) => PoolRef::Cidr(cidr),
            Some(Err(_)) | None => PoolRef::Name(text.into()),
        }
    }
}

/// The pools to try, in order.
pub(super) struct Candidates<'a> {
    pub(super) pools: Vec<(&'a str, &'a IpPool)>,
}

impl Candidates<'_> {
    pub(super) fn states(&self, view: &View, draft: &Draft<'_>) -> Vec<PoolState> {
        let states = self.pools.iter();
        states
            .map(|(name, pool)| state(name, pool, view, draft))
            .collect()
    }
}

fn state(name: &str, pool: &IpPool, view: &View, draft: &Draft<'_>) -> PoolState {
    let bits = u32::from(pool.cidr.family().bits());
    let size = |len: u8| {
        1u128
            .checked_shl(bits - u32::from(len))
            .unwrap_or(u128::MAX)
    };
    let blocks: Vec<&Cidr> = view
        .blocks
        .keys()
        .filter(|block| pool.cidr.covers(**block))
        .collect();
    let covered: u128 = blocks.iter().map(|block| size(block.len())).sum();
    let in_use = blocks
        .iter()
        .map(|block| draft.in_use_before(**block))
        .sum();
    PoolState {
        name: name.into(),
        cidr: pool.cidr,
        size: size(pool.cidr.len()),
        in_use,
        free_blocks: size(pool.cidr.len()).saturating_sub(covered)
            / size(pool.block_size.min(pool.cidr.family().bits())).max(1),
    }
}

/// The pools for a request of any address: those it names, or those that serve its host, namespace and use.
pub(super) fn candidates<'a>(
    request: &Request,
    view: &'a View,
    family: Family,
    named: &[PoolRef],
) -> Result<Candidates<'a>, AssignError> {
    if named.is_empty() {
        return automatic(request, view, family);
    }
    let mut pools = Vec::new();
    for wanted in named {
        let (name, pool) = find(view, wanted)?;
        if let Some(why) = unusable(request, pool, family) {
            return Err(AssignError::UnusablePool {
                name: name.into(),
                why,
            });
        }
        pools.push((name, pool));
    }
    Ok(Candidates { pools })
}

/// What a choice among all pools rests on and was not read: the labels of the node and of the namespace, if there are pools
/// that select by them.
pub(super) fn unread(request: &Request, view: &View) -> Vec<Query> {
    let families = request.wanted.iter().filter_map(|want| match want {
        Want::Any { family, pools, .. } if pools.is_empty() => Some(*family),
        Want::Any { .. } | Want::Address(_) => None,
    });
    let families: BTreeSet<Family> = families.collect();
    let asked: Vec<&IpPool> = view
        .pools
        .values()
        .filter(|pool| families.contains(&pool.cidr.family()))
        .filter(|pool| unusable(request, pool, pool.cidr.family()).is_none())
        .filter(|pool| pool.assignment_mode != AssignmentMode::Manual)
        .collect();
    let by_node = asked.iter().any(|pool| !pool.node_selector.is_all());
    let by_namespace = asked.iter().any(|pool| pool.namespace_selector.is_some());
    let queries = [
        request.node().filter(|_| by_node),
        request.namespace_profile().filter(|_| by_namespace),
    ];
    queries
        .into_iter()
        .flatten()
        .filter(|query| !view.has_read(query))
        .collect()
}

fn automatic<'a>(
    request: &Request,
    view: &'a View,
    family: Family,
) -> Result<Candidates<'a>, AssignError> {
    let none = Labels::new();
    let node = match &request.owner {
        AffinityOwner::Host(name) => view.nodes.get(name).map(|node| &node.labels),
        AffinityOwner::Virtual(_) => None,
    };
    let namespace = namespace_labels(request, view);
    let mut pools = Vec::new();
    let mut skipped = Vec::new();
    for (name, pool) in view
        .pools
        .iter()
        .filter(|(_, pool)| pool.cidr.family() == family)
    {
        let selects_namespace = |labels: &Labels| {
            pool.namespace_selector
                .as_ref()
                .is_none_or(|selector| selector.matches(labels))
        };
        let why = if let Some(why) = unusable(request, pool, family) {
            Some(why)
        } else if pool.assignment_mode == AssignmentMode::Manual {
            Some("assignmentMode is Manual and the request does not name it")
        } else if matches!(request.owner, AffinityOwner::Host(_))
            && !pool.node_selector.matches(node.unwrap_or(&none))
        {
            Some("nodeSelector does not select this node")
        } else if !selects_namespace(&namespace) {
            Some("namespaceSelector does not select this namespace")
        } else {
            None
        };
        match why {
            None => pools.push((&**name, pool)),
            Some(why) => skipped.push((name.clone(), why)),
        }
    }
    if pools.is_empty() {
        return Err(AssignError::NoPool { family, skipped });
    }
    Ok(Candidates { pools })
}

/// Why a pool can serve no request of this kind, even if named.
fn unusable(request: &Request, pool: &IpPool, family: Family) -> Option<&'static str> {
    if pool.cidr.family() != family {
        Some("it is of the other address family")
    } else if pool.disabled {
        Some("it is disabled")
    } else if pool.terminating {
        Some("it is being deleted")
    } else if !pool.allowed_uses.contains(&request.intended_use) {
        Some("allowedUses does not allow this use")
    } else if usable_block_size(pool).is_none() {
        Some("its blockSize does not fit its network")
    } else {
        None
    }
}

/// A namespace's labels, from the profile that carries them.
fn namespace_labels(request: &Request, view: &View) -> Labels {
    let Some(namespace) = &request.namespace else {
        return Labels::new();
    };
    let profile = view.profiles.get(&*format!("kns.{namespace}"));
    let inherited = profile.into_iter().flat_map(|profile| &profile.labels);
    inherited
        .filter_map(|(key, value)| {
            let key = key.strip_prefix(model::labels::NAMESPACE_PREFIX)?;
            Some((key.into(), value.clone()))
        })
        .collect()
}

fn find<'a>(view: &'a View, wanted: &PoolRef) -> Result<(&'a str, &'a IpPool), AssignError> {
    let mut pools = view.pools.iter().map(|(name, pool)| (&**name, pool));
    let (found, wanted) = match wanted {
        PoolRef::Name(wanted) => (
            pools.find(|(name, _)| *name == &**wanted),
            wanted.to_string(),
        ),
        PoolRef::Cidr(cidr) => (pools.find(|(_, pool)| pool.cidr == *cidr), cidr.to_string()),
    };
    found.ok_or_else(|| AssignError::UnknownPool {
        wanted,
        known: view.pools.keys().map(ToString::to_string).collect(),
    })
}

/// The pool of a wanted address.
pub(super) fn pool_for<'a>(
    request: &Request,
    view: &'a View,
    addr: IpAddr,
) -> Result<(&'a str, &'a IpPool), AssignError> {
    let (name, pool) = view.pool_of(addr).ok_or_else(|| AssignError::NotInPool {
        addr,
        pools: view.pools.values().map(|pool| pool.cidr).collect(),
    })?;
    match unusable(request, pool, Family::of(addr)) {
        None => Ok((name, pool)),
        Some(why) => Err(AssignError::UnusablePool {
            name: name.into(),
            why,
        }),
    }
}

/// The pool's block size, which must make sense.
pub(super) fn block_size(name: &str, pool: &IpPool) -> Result<u8, AssignError> {
    usable_block_size(pool).ok_or_else(|| AssignError::UnusablePool {
        name: name.into(),
        why: "its blockSize does not fit its network",
    })
}
