//! The host's side of local workloads: routes to them, and the sysctls without which they cannot reach their gateway.
//!
//! Functions: [`desired`] says what each local endpoint needs, [`plan`] compares it with what was observed. Routes on a workload
//! interface are ours alone; an interface that no endpoint claims yet is left as the CNI plugin made it.

use std::collections::{BTreeMap, BTreeSet};

use calc::LocalEndpoint;
use model::{Cidr, Family};

/// Settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Families that are programmed.
    pub families: Vec<Family>,
    /// Metric of IPv4 routes to workloads (`ipv4NormalRoutePriority`).
    pub route_metric_v4: u32,
    /// Metric of IPv6 routes to workloads (`ipv6NormalRoutePriority`).
    pub route_metric_v6: u32,
    /// Protocol number that marks routes to workloads (`deviceRouteProtocol`).
    pub route_protocol: u8,
    /// Whether forwarding is switched on for the host (`ipForwarding`).
    pub forwarding: Forwarding,
    /// What becomes of others' routes over workload interfaces (`removeExternalRoutes`).
    pub others: OthersRoutes,
}

/// What becomes of routes over workload interfaces that have another protocol than ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OthersRoutes {
    /// They are removed.
    #[default]
    Removed,
    /// They stay.
    Left,
}

/// Who switches on forwarding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// We do, and keep it on.
    #[default]
    Managed,
    /// The operator does.
    LeftAlone,
}

impl Default for HostOptions {
    fn default() -> HostOptions {
        HostOptions {
            families: Family::ALL.to_vec(),
            route_metric_v4: 1024,
            route_metric_v6: 1024,
            route_protocol: 3,
            forwarding: Forwarding::Managed,
            others: OthersRoutes::Removed,
        }
    }
}

/// A route to a workload: link scope, in the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRoute {
    /// The destination.
    pub dst: Cidr,
    /// The metric; 0 is the kernel's default for the family.
    pub metric: u32,
    /// The routing protocol number.
    pub protocol: u8,
}

/// A sysctl under `/proc/sys`, by its path in parts, because interface names may hold dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sysctl(pub Vec<Box<str>>);

impl Sysctl {
    fn of(parts: &[&str]) -> Sysctl {
        Sysctl(parts.iter().map(|part| (*part).into()).collect())
    }
}

/// The path below `/proc/sys`.
impl std::fmt::Display for Sysctl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// What one workload interface should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceWant {
    /// Exactly these routes.
    pub routes: BTreeSet<WorkloadRoute>,
    /// These sysctls.
    pub sysctls: BTreeMap<Sysctl, Box<str>>,
}

/// What the host should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDesired {
    /// By interface name.
    pub interfaces: BTreeMap<Box<str>, InterfaceWant>,
    /// Sysctls of the host as a whole.
    pub sysctls: BTreeMap<Sysctl, Box<str>>,
}

/// What an interface has. `None` for a sysctl: it does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSeen {
    /// Routes over it, in the main table, without those the kernel made itself.
    pub routes: BTreeSet<WorkloadRoute>,
    /// The sysctls that were asked for.
    pub sysctls: BTreeMap<Sysctl, Option<Box<str>>>,
}

/// What the host has, as far as [`HostDesired`] asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSeen {
    /// Workload interfaces that exist and are up.
    pub interfaces: BTreeMap<Box<str>, InterfaceSeen>,
    /// The host's sysctls.
    pub sysctls: BTreeMap<Sysctl, Option<Box<str>>>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostOp {
    /// Write a sysctl.
    WriteSysctl(Sysctl, Box<str>),
    /// Add a route over an interface.
    AddRoute(Box<str>, WorkloadRoute),
    /// Delete a route over an interface.
    DeleteRoute(Box<str>, WorkloadRoute),
}

/// What the endpoints need. Of several endpoints on one interface the first one given has it.
pub fn desired<'a>(
    endpoints: impl IntoIterator<Item = &'a LocalEndpoint>,
    options: &HostOptions,
) -> HostDesired {
    let mut out = HostDesired::default();
    match options.forwarding {
        Forwarding::Managed => {
            if options.families.contains(&Family::V4) {
                out.sysctls
                    .insert(Sysctl::of(&["net", "ipv4", "ip_forward"]), "1".into());
            }
            if options.families.contains(&Family::V6) {
                let all = Sysctl::of(&["net", "ipv6", "conf", "all", "forwarding"]);
                out.sysctls.insert(all, "1".into());
            }
        }
        Forwarding::LeftAlone => {}
    }
    for endpoint in endpoints {
        out.interfaces
            .entry(endpoint.interface.clone())
            .or_insert_with(|| interface(endpoint, options));
    }
    out
}

fn interface(endpoint: &LocalEndpoint, options: &HostOptions) -> InterfaceWant {
    let mut want = InterfaceWant::default();
    for net in &endpoint.nets {
        if options.families.contains(&net.family()) {
            want.routes.insert(WorkloadRoute {
                dst: *net,
                metric: match net.family() {
                    Family::V4 => options.route_metric_v4,
                    Family::V6 => options.route_metric_v6,
                },
                protocol: options.route_protocol,
            });
        }
    }
    let name = &*endpoint.interface;
    let conf = |family: &str, key: &str| Sysctl::of(&["net", family, "conf", name, key]);
    if options.families.contains(&Family::V4) {
        let strict = if endpoint.allow_spoofed.is_empty() {
            "1"
        } else {
            "0"
        };
        want.sysctls
            .insert(conf("ipv4", "rp_filter"), strict.into());
        want.sysctls
            .insert(conf("ipv4", "route_localnet"), "1".into());
        want.sysctls.insert(conf("ipv4", "proxy_arp"), "1".into());
        want.sysctls.insert(conf("ipv4", "forwarding"), "1".into());
        let delay = Sysctl::of(&["net", "ipv4", "neigh", name, "proxy_delay"]);
        want.sysctls.insert(delay, "0".into());
    }
    if options.families.contains(&Family::V6) {
        want.sysctls.insert(conf("ipv6", "proxy_ndp"), "1".into());
        want.sysctls.insert(conf("ipv6", "forwarding"), "1".into());
        want.sysctls.insert(conf("ipv6", "accept_ra"), "0".into());
    }
    want
}

/// The steps from what is to what should be: sysctls, then new routes, then stale ones, so that a route that only changes its
/// metric is never missing. Interfaces that do not exist are left for when they appear.
pub fn plan(desired: &HostDesired, seen: &HostSeen, options: &HostOptions) -> Vec<HostOp> {
    let mut ops = Vec::new();
    write_sysctls(&desired.sysctls, &seen.sysctls, &mut ops);
    for (name, want) in &desired.interfaces {
        let Some(have) = seen.interfaces.get(name) else {
            continue;
        };
        write_sysctls(&want.sysctls, &have.sysctls, &mut ops);
        let add = want.routes.difference(&have.routes);
        ops.extend(add.map(|route| HostOp::AddRoute(name.clone(), *route)));
        let stale = have.routes.difference(&want.routes);
        let delete = stale.filter(|route| match options.others {
            OthersRoutes::Removed => true,
            OthersRoutes::Left => route.protocol == options.route_protocol,
        });
        ops.extend(delete.map(|route| HostOp::DeleteRoute(name.clone(), *route)));
    }
    ops
}

fn write_sysctls(
    want: &BTreeMap<Sysctl, Box<str>>,
    have: &BTreeMap<Sysctl, Option<Box<str>>>,
    ops: &mut Vec<HostOp>,
) {
    for (sysctl, value) in want {
        // A sysctl that does not exist (IPv6 switched off in the kernel) cannot be written and is not needed.
        if let Some(Some(now)) = have.get(sysctl)
            && now != value
        {
            ops.push(HostOp::WriteSysctl(sysctl.clone(), value.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(interface: &str, nets: &[&str]) -> LocalEndpoint {
        LocalEndpoint {
            interface: interface.into(),
            mac: None,
            nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
            allow_spoofed: Vec::new(),
            ingress: Vec::new(),
            egress: Vec::new(),
            profiles: Vec::new(),
        }
    }

    fn as_wanted(want: &HostDesired) -> HostSeen {
        let seen = |m: &BTreeMap<Sysctl, Box<str>>| {
            m.iter()
                .map(|(k, v)| (k.clone(), Some(v.clone())))
                .collect()
        };
        HostSeen {
            sysctls: seen(&want.sysctls),
            interfaces: want
                .interfaces
                .iter()
                .map(|(name, i)| {
                    let have = InterfaceSeen {
                        routes: i.routes.clone(),
                        sysctls: seen(&i.sysctls),
                    };
                    (name.clone(), have)
                })
                .collect(),
        }
    }

    #[test]
    fn nothing_to_do_when_all_is_there() {
        let one = endpoint("cali1", &["10.0.0.1/32", "fd00::1/128"]);
        let want = desired([&one], &HostOptions::default());
        assert_eq!(plan(&want, &as_wanted(&want), &HostOptions::default()), []);
    }

    #[test]
    fn repairs_what_another_hand_changed() {
        let one = endpoint("cali.1", &["10.0.0.1/32"]);
        let want = desired([&one], &HostOptions::default());
        let mut seen = as_wanted(&want);
        let arp = Sysctl::of(&["net", "ipv4", "conf", "cali.1", "proxy_arp"]);
        let interface = seen.interfaces.get_mut("cali.1").unwrap();
        interface.sysctls.insert(arp.clone(), Some("0".into()));
        let ours = interface.routes.pop_first().unwrap();
        let foreign = WorkloadRoute { metric: 0, ..ours };
        interface.routes.insert(foreign);
        let ops = plan(&want, &seen, &HostOptions::default());
        assert_eq!(
            ops,
            [
                HostOp::WriteSysctl(arp, "1".into()),
                HostOp::AddRoute("cali.1".into(), ours),
                HostOp::DeleteRoute("cali.1".into(), foreign),
            ]
        );
    }

    #[test]
    fn an_interface_that_is_not_there_yet_is_left_alone() {
        let one = endpoint("cali1", &["10.0.0.1/32"]);
        let want = desired([&one], &HostOptions::default());
        let seen = HostSeen {
            sysctls: as_wanted(&want).sysctls,
            ..HostSeen::default()
        };
        assert_eq!(plan(&want, &seen, &HostOptions::default()), []);
    }
}
