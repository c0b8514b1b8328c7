//! CHECK: compares what ADD made with what is there, in the kernel and in the datastore.

use std::net::IpAddr;

use model::Cidr;

use crate::attachment;
use crate::conf::NetConf;
use crate::delegate;
use crate::environment::{Call, Variables};
use crate::error::{CniError, Code};
use crate::identity;
use crate::interface;
use crate::pod_cidrs;
use crate::result::Outcome;
use crate::routes;
use crate::store;

/// Checks an attachment.
pub(crate) fn check(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    stdin: &[u8],
) -> Result<(), CniError> {
    conf.check_name()?;
    let before = conf.prev_result.as_ref();
    let before = before.ok_or_else(|| {
        CniError::new(
            Code::Config,
            "CHECK needs prevResult in the network configuration",
        )
    })?;
    let before = Outcome::read(before)?;
    let node = identity::node_name(conf)?;
    let netns = interface::open_netns(&call.netns)?;
    let store = store::open(conf, variables)?;
    let ids = identity::candidates(conf, call, &node);
    let snapshot = store.read(&attachment::queries(&ids))?;
    let found = ids.iter().find_map(|id| {
        let endpoint = attachment::endpoint(&snapshot, id)?;
        let own = endpoint.container_id.as_deref() == Some(&*call.container);
        own.then_some((id, endpoint))
    });
    let (id, endpoint) = found.ok_or_else(|| {
        CniError::new(
            Code::Differs,
            format!(
                "the datastore has no endpoint for container {} on node {node}",
                call.container
            ),
        )
    })?;
    for ip in &before.ips {
        if !endpoint.nets.contains(&Cidr::host(ip.addr)) {
            return Err(CniError::new(
                Code::Differs,
                format!("address {ip} of prevResult is not in the endpoint"),
            ));
        }
    }
    let addrs: Vec<IpAddr> = endpoint.nets.iter().map(|net| net.addr()).collect();
    let routes = routes::wanted(conf, id)?;
    interface::verify(
        &netns,
        &endpoint.interface,
        &call.interface,
        &addrs,
        &routes,
    )?;
    if conf.ipam.kind != delegate::OWN {
        let stdin = pod_cidrs::fill_any(conf, stdin);
        delegate::run(&conf.ipam.kind, call, "CHECK", &stdin)?;
    }
    Ok(())
}
