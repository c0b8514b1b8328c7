//! `calico-ipam` as a plugin of its own, for main plugins other than ours.

use datastore::Query;
use ipam::assign::{Assigned, Want};
use ipam::release::release_handles;
use model::Key;
use serde_json::json;

use crate::attachment;
use crate::conf::NetConf;
use crate::environment::{Call, Variables};
use crate::error::{CniError, Code};
use crate::identity;
use crate::lock;
use crate::log::Log;
use crate::result::{Address, Outcome};
use crate::store;
use crate::wishes::Choice;

/// Assigns addresses.
pub(crate) fn add(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    log: &Log,
) -> Result<Outcome, CniError> {
    conf.check_name()?;
    let node = identity::node_name(conf)?;
    let wants = attachment::wants(conf, call, &Choice::default())?;
    let exact = wants.iter().filter(|want| matches!(want, Want::Address(_)));
    let exact = exact.count();
    let request = attachment::request(conf, call, &node, wants);
    let store = store::open(conf, variables)?;
    let mut machine = store.assignment(request);
    let information = store::readiness_query().into_iter();
    let queries: Vec<Query> = information.chain(store.queries_of(&mut machine)).collect();
    let _lock = lock::addresses(conf, log);
    let snapshot = store.read(&queries)?;
    store::check_ready(&snapshot)?;
    let assigned = store.run(machine, &[], Some(snapshot), &mut |_| Ok(Vec::new()))?;
    let assigned = assigned.map_err(|e| attachment::refusal(&e))?;
    Ok(outcome(&assigned, exact))
}

/// As upstream says it to main plugins: an address of its choice lies in its block, one of the caller's, which come first, is
/// alone; and a route to each.
fn outcome(assigned: &[Assigned], exact: usize) -> Outcome {
    let address = |(number, one): (usize, &Assigned)| {
        if number < exact {
            return Address::host(one.addr);
        }
        Address {
            addr: one.addr,
            length: one.block.len(),
        }
    };
    let ips: Vec<Address> = assigned.iter().enumerate().map(address).collect();
    let routes = ips.iter().map(|ip| json!({"dst": ip.to_string()}));
    Outcome {
        routes: routes.collect(),
        ips,
        ..Outcome::default()
    }
}

/// Gives addresses back.
pub(crate) fn del(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    log: &Log,
) -> Result<(), CniError> {
    conf.check_name()?;
    let store = store::open(conf, variables)?;
    let _lock = lock::addresses(conf, log);
    let machine = release_handles(attachment::handles(conf, call, &store), store::now());
    let information: Vec<Query> = store::readiness_query().into_iter().collect();
    let released = store.run(machine, &information, None, &mut |snapshot| {
        store::check_unlocked(snapshot).map(|()| Vec::new())
    })?;
    released
        .map(|_| ())
        .map_err(|e| CniError::from_source(Code::Ipam, "failed to give the addresses back", &e))
}

/// Looks whether the container has addresses.
pub(crate) fn check(conf: &NetConf, call: &Call, variables: &Variables) -> Result<(), CniError> {
    conf.check_name()?;
    let store = store::open(conf, variables)?;
    let key = api::key_text(&Key::Handle(identity::handle(&conf.name, &call.container)));
    let queries: Vec<Query> = key.into_iter().map(Query::key).collect();
    if store.read(&queries)?.entries.is_empty() {
        return Err(CniError::new(
            Code::Differs,
            format!(
                "container {} has no addresses in network {}",
                call.container, conf.name
            ),
        ));
    }
    Ok(())
}
