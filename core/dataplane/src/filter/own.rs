//! The filter's own sets: dispatch by interface, addresses that endpoints may send from, pools.

use std::collections::BTreeSet;

use calc::{LocalEndpoint, NatPool};
use model::Cidr;

use super::Filter;
use super::sets::{KernelSet, SetElement, SetForm};
use crate::rules::{Direction, hooks, names};

/// Whether an interface belongs to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owned {
    Yes,
    No,
}

impl Filter {
    pub(super) fn print_dispatch(&mut self, interface: &str, owned: Owned) {
        for (map, direction) in [
            (names::FROM_DISPATCH, Direction::Egress),
            (names::TO_DISPATCH, Direction::Ingress),
        ] {
            let chain = names::endpoint_chain(direction, interface);
            let element = SetElement::Dispatch(interface.into(), chain);
            match owned {
                Owned::Yes => self.change_elements(map, [], [element]),
                Owned::No => self.change_elements(map, [element], []),
            }
        }
    }

    pub(super) fn print_sources(&mut self, interface: &str, owner: Option<&LocalEndpoint>) {
        for family in self.options.hooks.families.clone() {
            let nets = owner
                .map(|o| o.nets.iter().chain(&o.allow_spoofed))
                .into_iter()
                .flatten();
            let mine: Vec<Cidr> = nets.copied().filter(|net| net.family() == family).collect();
            // Networks of one interface must not overlap in the kernel's set.
            let covered = |net: &Cidr| mine.iter().any(|big| big != net && big.covers(*net));
            let (hosts, networks): (Vec<Cidr>, Vec<Cidr>) = mine
                .iter()
                .copied()
                .filter(|net| !covered(net))
                .partition(|net| net.is_host());
            for (set, nets) in [(hooks::sets::OWN, hosts), (hooks::sets::OWN_NETS, networks)] {
                let name = names::own_set(family, set);
                let element = |net: Cidr| SetElement::InterfaceNet(interface.into(), net);
                let want: BTreeSet<SetElement> = nets.into_iter().map(element).collect();
                let have = self.elements_of(&name, interface);
                let gone: Vec<SetElement> = have.difference(&want).cloned().collect();
                let new: Vec<SetElement> = want.difference(&have).cloned().collect();
                self.change_elements(&name, gone, new);
            }
        }
    }

    /// The elements that belong to an interface: elements sort by interface first.
    fn elements_of(&self, set: &str, interface: &str) -> BTreeSet<SetElement> {
        let Some(set) = self.sets.get(set) else {
            return BTreeSet::new();
        };
        let lowest = Cidr::any(model::Family::V4);
        set.elements
            .range(SetElement::InterfaceNet(interface.into(), lowest)..)
            .take_while(|element| match element {
                SetElement::InterfaceNet(name, _) => &**name == interface,
                SetElement::Net(_) | SetElement::Port(..) | SetElement::Dispatch(..) => false,
            })
            .cloned()
            .collect()
    }

    pub(super) fn put_pool(&mut self, name: &str, pool: Option<NatPool>) {
        match pool {
            Some(pool) => {
                self.pools.insert(name.into(), pool);
            }
            None => {
                self.pools.remove(name);
            }
        }
        for family in self.options.hooks.families.clone() {
            let all = self.pools.values().filter(|p| p.cidr.family() == family);
            let nat = all.clone().filter(|p| p.nat_outgoing);
            let pools = biggest(all.map(|p| p.cidr).collect());
            let nat_pools = biggest(nat.map(|p| p.cidr).collect());
            for (set, nets) in [
                (hooks::sets::POOLS, pools),
                (hooks::sets::NAT_POOLS, nat_pools),
            ] {
                let elements = nets.into_iter().map(SetElement::Net).collect();
                let kernel_set = KernelSet {
                    form: SetForm::Networks(family),
                    elements,
                };
                self.put_set(names::own_set(family, set), Some(kernel_set));
            }
        }
    }
}

/// Networks that no other covers. Pools of a valid cluster never overlap; those of an invalid one must not stop the kernel.
fn biggest(nets: BTreeSet<Cidr>) -> Vec<Cidr> {
    let covered = |net: &Cidr| nets.iter().any(|big| big != net && big.covers(*net));
    nets.iter().copied().filter(|net| !covered(net)).collect()
}
