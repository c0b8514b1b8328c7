//! DEL: takes back whatever there is of an attachment, goes on after errors, and tells all of them.

use ipam::release::release_handles;

use crate::attachment;
use crate::conf::NetConf;
use crate::delegate;
use crate::environment::{Call, Variables};
use crate::error::{CniError, Code};
use crate::identity;
use crate::interface;
use crate::lock;
use crate::log::Log;
use crate::pod_cidrs;
use crate::removal::Removal;
use crate::store;

/// Detaches a container. Nothing there is a success.
pub(crate) fn del(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    stdin: &[u8],
    log: &Log,
) -> Result<(), CniError> {
    conf.check_name()?;
    let mut errors = Vec::new();
    // The link first: an address must not be another's while packets still leave the container with it. It is closed long
    // before it is gone, and the store is asked meanwhile.
    let mut removal = None;
    if !call.netns.as_os_str().is_empty() {
        match Removal::begin(&call.netns, &call.interface) {
            Ok(begun) => removal = begun,
            Err(error) => errors.push(error),
        }
    }
    if conf.ipam.kind != delegate::OWN {
        if let Some(removal) = &mut removal {
            removal.wait_until_closed();
        }
        let stdin = pod_cidrs::fill_any(conf, stdin);
        errors.extend(delegate::run(&conf.ipam.kind, call, "DEL", &stdin).err());
    }
    errors.extend(forget(conf, call, variables, log, removal.as_mut()).err());
    if let Some(removal) = removal {
        errors.extend(removal.finish().err());
    }
    joined(errors)
}

/// Removes the endpoint and gives the addresses back, in one commit.
fn forget(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    log: &Log,
    mut removal: Option<&mut Removal>,
) -> Result<(), CniError> {
    let store = store::open(conf, variables)?;
    let node = identity::node_name(conf);
    let ids = match &node {
        Ok(node) => identity::candidates(conf, call, node),
        Err(_) => Vec::new(),
    };
    let handles = match conf.ipam.kind == delegate::OWN {
        true => attachment::handles(conf, call, &store),
        false => Vec::new(),
    };
    let _lock = (!handles.is_empty()).then(|| lock::addresses(conf, log));
    let machine = release_handles(handles, store::now());
    let mut queries = attachment::queries(&ids);
    queries.extend(store::readiness_query());
    let released = store.run(machine, &queries, None, &mut |snapshot| {
        store::check_unlocked(snapshot)?;
        if let Some(removal) = &mut removal {
            removal.wait_until_closed();
        }
        let mut writes = Vec::new();
        for (endpoint, write) in attachment::removals(snapshot, &ids, &call.container) {
            // The runtime may not have told us the namespace; the link is closed before the address is free.
            let goes = removal
                .as_ref()
                .is_some_and(|removal| removal.takes_along(&endpoint.interface));
            if !goes {
                interface::delete_host(&endpoint.interface)?;
            }
            writes.push(write);
        }
        Ok(writes)
    })?;
    log.debug(format_args!(
        "{} store requests for DEL of container {}",
        store.requests(),
        call.container
    ));
    released
        .map_err(|e| CniError::from_source(Code::Ipam, "failed to give the addresses back", &e))?;
    node.map(|_| ())
}

/// All errors as one, with the code of the first.
pub(crate) fn joined(errors: Vec<CniError>) -> Result<(), CniError> {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    match errors.into_iter().next() {
        None => Ok(()),
        Some(only) if texts.len() == 1 => Err(only),
        Some(first) => Err(CniError::new(first.code, texts.join("; "))
            .hint("what could be undone is undone; DEL may be repeated")),
    }
}
