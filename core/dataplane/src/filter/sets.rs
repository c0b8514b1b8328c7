//! Sets of the graph -> kernel sets. One set of addresses becomes one kernel set per family, in the form that its members need;
//! a set of (address, protocol, port) becomes one per family too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use calc::{Member, SetDelta, SetId, SetKind};
use model::{Cidr, Family, Protocol};

use crate::rules::SetName;
use crate::rules::names::{self, NetForm};

/// What the elements of a kernel set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetForm {
    /// Addresses.
    Hosts(Family),
    /// Networks that do not overlap.
    Networks(Family),
    /// Address, protocol, port.
    Ports(Family),
    /// Interface and address.
    InterfaceHosts(Family),
    /// Interface and network.
    InterfaceNetworks(Family),
    /// Interface to chain: a verdict map.
    Dispatch,
}

/// An element of a kernel set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetElement {
    /// For [`SetForm::Hosts`] and [`SetForm::Networks`].
    Net(Cidr),
    /// For [`SetForm::Ports`].
    Port(IpAddr, Protocol, u16),
    /// For [`SetForm::InterfaceHosts`] and [`SetForm::InterfaceNetworks`].
    InterfaceNet(Box<str>, Cidr),
    /// For [`SetForm::Dispatch`]: traffic of the interface goes to the chain.
    Dispatch(Box<str>, Box<str>),
}

/// A kernel set as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSet {
    /// What its elements are.
    pub form: SetForm,
    /// The elements.
    pub elements: BTreeSet<SetElement>,
}

/// Elements to add to and delete from a kernel set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElementDelta {
    /// To add.
    pub added: BTreeSet<SetElement>,
    /// To delete.
    pub removed: BTreeSet<SetElement>,
}

impl ElementDelta {
    pub(super) fn add(&mut self, element: SetElement) {
        if !self.removed.remove(&element) {
            self.added.insert(element);
        }
    }

    pub(super) fn remove(&mut self, element: SetElement) {
        if !self.added.remove(&element) {
            self.removed.insert(element);
        }
    }
}

/// A set of the graph with its members, per family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GraphSet {
    Net(BTreeMap<Family, NetMembers>),
    NetPort(BTreeSet<(IpAddr, Protocol, u16)>),
}

/// Networks of one family, with the biggest of overlapping ones told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetMembers {
    all: BTreeSet<Cidr>,
    networks: usize,
}

impl NetMembers {
    fn form(&self) -> NetForm {
        if self.networks == 0 {
            NetForm::Hosts
        } else {
            NetForm::Networks
        }
    }

    /// True if another member covers `net`.
    fn is_covered(&self, net: Cidr) -> bool {
        (0..net.len()).any(|len| self.all.contains(&Cidr::new(net.addr(), len)))
    }

    /// Members strictly inside `net` that no other member inside `net` covers.
    fn biggest_inside(&self, net: Cidr) -> Vec<Cidr> {
        let mut out: Vec<Cidr> = Vec::new();
        for inside in self.all.range(Cidr::host(net.addr()).min(net)..) {
            if !net.covers(*inside) {
                // Members sort by address: past the last address of `net` nothing is inside.
                if inside.addr() > net.last() {
                    break;
                }
                continue;
            }
            if *inside != net && !out.last().is_some_and(|big| big.covers(*inside)) {
                out.retain(|small| !inside.covers(*small));
                out.push(*inside);
            }
        }
        out
    }

    fn insert(&mut self, net: Cidr, delta: &mut ElementDelta) {
        if !self.all.insert(net) {
            return;
        }
        self.networks += usize::from(!net.is_host());
        if self.is_covered(net) {
            return;
        }
        for inside in self.inside_of(net) {
            delta.remove(SetElement::Net(inside));
        }
        delta.add(SetElement::Net(net));
    }

    fn remove(&mut self, net: Cidr, delta: &mut ElementDelta) {
        if !self.all.remove(&net) {
            return;
        }
        self.networks -= usize::from(!net.is_host());
        if self.is_covered(net) {
            return;
        }
        delta.remove(SetElement::Net(net));
        for inside in self.inside_of(net) {
            delta.add(SetElement::Net(inside));
        }
    }

    fn inside_of(&self, net: Cidr) -> Vec<Cidr> {
        if net.is_host() {
            Vec::new()
        } else {
            self.biggest_inside(net)
        }
    }

    fn elements(&self) -> BTreeSet<SetElement> {
        let mut out = BTreeSet::new();
        let mut cover: Option<Cidr> = None;
        // Sorted by address, shorter prefix first: whatever covers a member was the last cover before it.
        for net in &self.all {
            if cover.is_some_and(|big| big.covers(*net)) {
                continue;
            }
            cover = Some(*net);
            // The kernel's interval sets hold a whole family only as two halves.
            for part in halves(*net) {
                out.insert(SetElement::Net(part));
            }
        }
        out
    }
}

/// A /0 as two /1, anything else as it is.
fn halves(net: Cidr) -> Vec<Cidr> {
    if net.len() > 0 {
        return vec![net];
    }
    let upper = match net.family() {
        Family::V4 => IpAddr::from([128, 0, 0, 0]),
        Family::V6 => IpAddr::from([0x8000, 0, 0, 0, 0, 0, 0, 0]),
    };
    vec![Cidr::new(net.addr(), 1), Cidr::new(upper, 1)]
}

impl GraphSet {
    pub(super) fn new(kind: SetKind, members: &[Member]) -> GraphSet {
        let mut set = match kind {
            SetKind::Net => GraphSet::Net(
                Family::ALL
                    .iter()
                    .map(|family| (*family, NetMembers::default()))
                    .collect(),
            ),
            SetKind::NetPort => GraphSet::NetPort(BTreeSet::new()),
        };
        let delta = SetDelta {
            added: members.to_vec(),
            removed: Vec::new(),
        };
        set.apply(&delta);
        set
    }

    /// Changes the members; says which elements of each family's kernel set change.
    pub(super) fn apply(&mut self, delta: &SetDelta) -> BTreeMap<Family, ElementDelta> {
        let mut out: BTreeMap<Family, ElementDelta> = BTreeMap::new();
        let steps = delta.removed.iter().map(|m| (m, Step::Remove));
        for (member, step) in steps.chain(delta.added.iter().map(|m| (m, Step::Add))) {
            match (&mut *self, *member) {
                (GraphSet::Net(families), Member::Net(net)) => {
                    let elements = out.entry(net.family()).or_default();
                    let members = families.entry(net.family()).or_default();
                    match step {
                        Step::Add => members.insert(net, elements),
                        Step::Remove => members.remove(net, elements),
                    }
                }
                (GraphSet::NetPort(all), Member::NetPort(addr, protocol, port)) => {
                    let elements = out.entry(Family::of(addr)).or_default();
                    let element = SetElement::Port(addr, protocol, port);
                    match step {
                        Step::Add => {
                            if all.insert((addr, protocol, port)) {
                                elements.add(element);
                            }
                        }
                        Step::Remove => {
                            if all.remove(&(addr, protocol, port)) {
                                elements.remove(element);
                            }
                        }
                    }
                }
                // A member of the other kind cannot be in this set.
                (GraphSet::Net(_), Member::NetPort(..))
                | (GraphSet::NetPort(_), Member::Net(_)) => {}
            }
        }
        out
    }

    /// Whether a delta of this family can be told as elements: a /0 is stored in another shape than it is told.
    pub(super) fn has_any(&self, family: Family) -> bool {
        match self {
            GraphSet::Net(families) => families
                .get(&family)
                .is_some_and(|m| m.all.contains(&Cidr::any(family))),
            GraphSet::NetPort(_) => false,
        }
    }

    /// The kernel set's name in a family.
    pub(super) fn name(&self, family: Family, id: &SetId) -> SetName {
        names::set(family, self.form(family), id)
    }

    fn form(&self, family: Family) -> NetForm {
        match self {
            GraphSet::Net(families) => families
                .get(&family)
                .map_or(NetForm::Hosts, NetMembers::form),
            GraphSet::NetPort(_) => NetForm::Hosts,
        }
    }

    /// The kernel set of a family, whole.
    pub(super) fn kernel_set(&self, family: Family) -> KernelSet {
        match self {
            GraphSet::Net(families) => KernelSet {
                form: match self.form(family) {
                    NetForm::Hosts => SetForm::Hosts(family),
                    NetForm::Networks => SetForm::Networks(family),
                },
                elements: families
                    .get(&family)
                    .map(NetMembers::elements)
                    .unwrap_or_default(),
            },
            GraphSet::NetPort(all) => KernelSet {
                form: SetForm::Ports(family),
                elements: all
                    .iter()
                    .filter(|(addr, _, _)| Family::of(*addr) == family)
                    .map(|(addr, protocol, port)| SetElement::Port(*addr, *protocol, *port))
                    .collect(),
            },
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Add,
    Remove,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net() -> impl Strategy<Value = Cidr> {
        let v4 = (
            0u8..4,
            0u8..4,
            prop::sample::select(vec![0u8, 1, 6, 7, 8, 24, 30, 31, 32]),
        )
            .prop_map(|(a, d, len)| Cidr::new([10 + a, 0, 0, d].into(), len));
        let v6 = (0u16..3, prop::sample::select(vec![0u8, 16, 127, 128]))
            .prop_map(|(a, len)| Cidr::new([0xfd00, 0, 0, 0, 0, 0, 0, a].into(), len));
        prop_oneof![3 => v4, 1 => v6]
    }

    proptest! {
        #[test]
        fn deltas_lead_where_the_whole_set_is(steps in prop::collection::vec((any::<bool>(), net()), 1..60)) {
            let mut set = GraphSet::new(SetKind::Net, &[]);
            for (add, net) in steps {
                let before: Vec<KernelSet> = Family::ALL.iter().map(|f| set.kernel_set(*f)).collect();
                let any_before: Vec<bool> = Family::ALL.iter().map(|f| set.has_any(*f)).collect();
                let mut delta = SetDelta::default();
                if add { delta.added.push(Member::Net(net)) } else { delta.removed.push(Member::Net(net)) }
                let deltas = set.apply(&delta);
                for (i, family) in Family::ALL.iter().enumerate() {
                    let after = set.kernel_set(*family);
                    for (a, b) in after.elements.iter().zip(after.elements.iter().skip(1)) {
                        let (SetElement::Net(a), SetElement::Net(b)) = (a, b) else { unreachable!() };
                        prop_assert!(!a.overlaps(*b), "{a} overlaps {b}");
                    }
                    if any_before[i] || set.has_any(*family) { continue; }
                    let mut elements = before[i].elements.clone();
                    if let Some(delta) = deltas.get(family) {
                        for e in &delta.removed { prop_assert!(elements.remove(e), "removed {e:?} was not there"); }
                        for e in &delta.added { prop_assert!(elements.insert(e.clone()), "added {e:?} was there"); }
                    }
                    prop_assert_eq!(&elements, &after.elements);
                }
            }
        }
    }
}
