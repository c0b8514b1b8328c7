//! The host's side of local workloads: what there is of it, and the steps towards what should be.
//!
//! The driver of [`dataplane::host`]: [`observe`] reads as much as the wanted state asks for, [`apply`] carries out a plan. Both work in
//! the calling thread's network namespace, of which the socket must be too (sysctls follow the thread).

use std::collections::{BTreeMap, BTreeSet};

use dataplane::host::{HostDesired, HostOp, HostSeen, InterfaceSeen, Sysctl, WorkloadRoute};
use model::Family;

use crate::netlink::NetlinkError;
use crate::route::{
    Changes, Link, LinkIndex, LinkRef, LinkState, NextHop, Route, RouteFilter, RouteProtocol,
    RouteSocket, Scope, TableId, Via,
};
use crate::sysctl::{self, SysctlError, SysctlPath, SysctlValue};

/// One step that failed. The others were carried out.
#[derive(Debug)]
pub struct Failed {
    /// The step.
    pub op: HostOp,
    /// Why.
    pub error: StepError,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The kernel refused the route.
    #[error(transparent)]
    Route(#[from] NetlinkError),
    /// The sysctl could not be written.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The interface is not there.
    #[error("the interface {0} is not there")]
    NoInterface(Box<str>),
}

/// Reads what the host has of what is wanted.
///
/// Interfaces that are missing or switched off are left out; settings that cannot be read count as absent, as those of an interface that
/// goes away meanwhile are.
pub fn observe(socket: &mut RouteSocket, desired: &HostDesired) -> Result<HostSeen, NetlinkError> {
    let mut names = BTreeMap::new();
    let mut seen = HostSeen {
        sysctls: read_all(desired.sysctls.keys()),
        ..HostSeen::default()
    };
    for link in links(socket, &desired.interfaces.keys().cloned().collect())? {
        let Some((name, want)) = desired.interfaces.get_key_value(link.name.as_str()) else {
            continue;
        };
        if link.state == LinkState::Up {
            names.insert(link.index, name);
            let sysctls = read_all(want.sysctls.keys());
            seen.interfaces.insert(
                name.clone(),
                InterfaceSeen {
                    routes: BTreeSet::new(),
                    sysctls,
                },
            );
        }
    }
    for filter in filters(&names) {
        for route in socket.routes(&filter)? {
            let Via::One(NextHop {
                link: Some(link), ..
            }) = route.via
            else {
                continue;
            };
            let interface = names
                .get(&link)
                .and_then(|name| seen.interfaces.get_mut(*name));
            if let Some(interface) = interface.filter(|_| route.protocol != RouteProtocol::KERNEL) {
                let RouteProtocol(protocol) = route.protocol;
                interface.routes.insert(WorkloadRoute {
                    dst: route.dst,
                    metric: route.priority,
                    protocol,
                });
            }
        }
    }
    Ok(seen)
}

/// Up to so many interfaces are asked for one by one; for more, all are read at once.
const FEW: usize = 4;

/// These interfaces, as far as they are there; of many, all others too.
fn links(socket: &mut RouteSocket, names: &BTreeSet<Box<str>>) -> Result<Vec<Link>, NetlinkError> {
    if names.len() > FEW {
        return socket.links();
    }
    let mut links = Vec::new();
    for name in names {
        links.extend(socket.link(LinkRef::Name(name))?);
    }
    Ok(links)
}

fn filters<T>(names: &BTreeMap<LinkIndex, T>) -> Vec<RouteFilter> {
    let main = |family, link| RouteFilter {
        table: Some(TableId::MAIN),
        link,
        ..RouteFilter::all(family)
    };
    if names.len() > FEW {
        return Family::ALL.map(|family| main(family, None)).into();
    }
    let of_link = |link: &LinkIndex| Family::ALL.map(|family| main(family, Some(*link)));
    names.keys().flat_map(of_link).collect()
}

/// Carries out a plan: sysctls first, then the routes in their order. Says which steps failed; an error means that the socket itself does.
pub fn apply(socket: &mut RouteSocket, plan: &[HostOp]) -> Result<Vec<Failed>, NetlinkError> {
    let mut failed = Vec::new();
    let mut changes = Changes::new();
    // The step of each change.
    let mut steps = Vec::new();
    let mut links = None;
    for op in plan {
        let (name, route) = match op {
            HostOp::WriteSysctl(name, value) => {
                if let Err(error) = write(name, value) {
                    failed.push(Failed {
                        op: op.clone(),
                        error: error.into(),
                    });
                }
                continue;
            }
            HostOp::AddRoute(name, route) | HostOp::DeleteRoute(name, route) => (name, route),
        };
        let links = match &links {
            Some(links) => links,
            None => links.insert(indexes(socket, plan)?),
        };
        let Some(link) = links.get(&**name).copied() else {
            // Its routes went with it.
            if matches!(op, HostOp::AddRoute(..)) {
                failed.push(Failed {
                    op: op.clone(),
                    error: StepError::NoInterface(name.clone()),
                });
            }
            continue;
        };
        let route = kernel_route(route, link);
        match op {
            HostOp::AddRoute(..) => changes.replace_route(&route),
            // A route to delete has whatever scope its maker gave it; `Nowhere` stands for any.
            HostOp::DeleteRoute(..) => changes.delete_route(&Route {
                scope: Scope::Nowhere,
                ..route
            }),
            HostOp::WriteSysctl(..) => continue,
        };
        steps.push(op);
    }
    for failure in socket.apply(&mut changes)?.failures {
        let Some(op) = steps.get(failure.index) else {
            continue;
        };
        let error = NetlinkError::Refused(failure);
        if !(matches!(op, HostOp::DeleteRoute(..)) && error.is_absent()) {
            failed.push(Failed {
                op: (*op).clone(),
                error: error.into(),
            });
        }
    }
    Ok(failed)
}

fn kernel_route(route: &WorkloadRoute, link: LinkIndex) -> Route {
    let WorkloadRoute {
        dst,
        metric,
        protocol,
    } = *route;
    Route {
        priority: metric,
        protocol: RouteProtocol(protocol),
        ..Route::over(dst, link)
    }
}

fn indexes(
    socket: &mut RouteSocket,
    plan: &[HostOp],
) -> Result<BTreeMap<String, LinkIndex>, NetlinkError> {
    let name = |op: &HostOp| match op {
        HostOp::AddRoute(name, _) | HostOp::DeleteRoute(name, _) => Some(name.clone()),
        HostOp::WriteSysctl(..) => None,
    };
    let links = links(socket, &plan.iter().filter_map(name).collect())?;
    Ok(links
        .into_iter()
        .map(|link| (link.name, link.index))
        .collect())
}

fn read_all<'a>(names: impl Iterator<Item = &'a Sysctl>) -> BTreeMap<Sysctl, Option<Box<str>>> {
    let read = |name| SysctlPath::try_from(name).and_then(|path| sysctl::read(&path));
    names
        .map(|name| {
            (
                name.clone(),
                read(name).ok().map(|value| value.as_str().into()),
            )
        })
        .collect()
}

fn write(name: &Sysctl, value: &str) -> Result<(), SysctlError> {
    sysctl::write(&SysctlPath::try_from(name)?, &SysctlValue::from(value))
}
