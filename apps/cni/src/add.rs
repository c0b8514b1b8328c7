//! ADD, from top to bottom: read, assign, make the interface, write the endpoint, wait for its policy.
//!
//! Whatever fails, everything before it is taken back.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use datastore::{Query, Snapshot, Write};
use ipam::Machine;
use ipam::assign::Assign;
use ipam::release::{ReleaseAddress, release_addresses, release_handles};
use linux::netns::NetNs;
use model::{Cidr, Key, Resource, WorkloadEndpoint};

use crate::attachment;
use crate::conf::NetConf;
use crate::delegate;
use crate::environment::{Call, Variables};
use crate::error::{CniError, Code};
use crate::gates;
use crate::identity::{self, Identity};
use crate::interface::{self, Forwarding, Made, Wanted};
use crate::lock;
use crate::log::Log;
use crate::pod_cidrs;
use crate::pods;
use crate::ready;
use crate::result::{Address, Interface, Outcome};
use crate::routes;
use crate::store::{self, Store};
use crate::told::Told;
use crate::wait::{self, Waited};
use crate::wishes::{Addresses, Wishes};

const STATUS_DIR: &str = "/var/run/calico/endpoint-status";
const POLICY_TIMEOUT: u32 = 10;
/// How often the endpoint is written anew when somebody else was faster.
const ATTEMPTS: usize = 20;

/// One ADD.
struct Add<'a> {
    conf: &'a NetConf,
    call: &'a Call,
    stdin: &'a [u8],
    node: String,
    store: Store,
    log: &'a Log,
}

/// What is to be taken back when a later step fails.
#[derive(Default)]
struct Done {
    addresses: bool,
    interface: Option<String>,
}

/// Whether something was freed for this ADD.
enum Room {
    Made,
    NotNeeded,
}

/// Attaches a container.
pub(crate) fn add(
    conf: &NetConf,
    call: &Call,
    variables: &Variables,
    stdin: &[u8],
    log: &Log,
) -> Result<Outcome, CniError> {
    conf.check_name()?;
    conf.check_add()?;
    let node = identity::node_name(conf)?;
    let netns = interface::open_netns(&call.netns)?;
    ready::check_table()?;
    let add = Add {
        conf,
        call,
        stdin,
        node,
        store: store::open(conf, variables)?,
        log,
    };
    gates::wait(&conf.readiness_gates, gates::PATIENCE, log)?;
    let told = Told::ask(conf, call, &add.node, &add.store, variables, stdin)?;
    let mut done = Done::default();
    match add.run(&netns, &told, &mut done) {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(add.undo(done, error)),
    }
}

impl Add<'_> {
    fn is_own_ipam(&self) -> bool {
        self.conf.ipam.kind == delegate::OWN
    }

    fn queries(&self) -> Vec<Query> {
        let keys = [Key::ClusterInformation, identity::profile_key(self.conf)];
        let pod = identity::pod(self.call);
        let namespace = pod.iter().flat_map(identity::namespace_queries);
        let ids = identity::candidates(self.conf, self.call, &self.node);
        let keys = keys.iter().filter_map(api::key_text).map(Query::key);
        keys.chain(namespace)
            .chain(attachment::queries(&ids))
            .collect()
    }

    /// The assignment, if the addresses are our IPAM's to give.
    fn assignment(&self, wishes: &Wishes) -> Result<Option<Machine<Assign>>, CniError> {
        if !self.is_own_ipam() {
            return Ok(None);
        }
        let wants = match &wishes.addresses {
            Addresses::Any(choice) => attachment::wants(self.conf, self.call, choice)?,
            Addresses::Exactly(addrs) => attachment::exactly(addrs),
            Addresses::Unmanaged(_) => return Ok(None),
        };
        let request = attachment::request(self.conf, self.call, &self.node, wants);
        Ok(Some(self.store.assignment(request)))
    }

    fn run(&self, netns: &NetNs, told: &Told, done: &mut Done) -> Result<Outcome, CniError> {
        let mut machine = self.assignment(&told.wishes)?;
        let mut queries = match self.store.has_pods() {
            // All that there is to know of it was told already.
            true => Vec::new(),
            false => self.queries(),
        };
        if let Some(machine) = &mut machine {
            queries.extend(self.store.queries_of(machine));
        }
        let lock = machine
            .is_some()
            .then(|| lock::addresses(self.conf, self.log));
        let read = || {
            let fresh = self.store.read(&queries)?;
            Ok(store::together(told.seen.clone(), fresh))
        };
        let mut snapshot = read()?;
        store::check_ready(&snapshot)?;
        let facts = told.facts.as_ref();
        let identity = identity::identify(self.conf, self.call, &self.node, &snapshot, facts)?;
        if let Some(before) = attachment::endpoint(&snapshot, &identity.id) {
            if self.is_own(&before) && interface::exists(&before.interface) {
                self.log
                    .info(format_args!("{} is there already", identity.id));
                return Ok(self.outcome(&before, None));
            }
            if let Room::Made = self.make_room(&before, &told.wishes)? {
                snapshot = read()?;
            }
        }
        self.check_features(&identity)?;
        let mut from_others = Outcome::default();
        let addrs = match (machine, &told.wishes.addresses) {
            (Some(machine), _) => {
                done.addresses = true;
                self.assign(machine, snapshot.clone())?
            }
            (None, Addresses::Unmanaged(addrs)) => addrs.clone(),
            (None, Addresses::Any(_) | Addresses::Exactly(_)) => {
                done.addresses = true;
                from_others = delegate::add(&self.conf.ipam.kind, self.call, &told.stdin)?;
                from_others.ips.iter().map(|ip| ip.addr).collect()
            }
        };
        drop(lock);
        self.log
            .debug(format_args!("{} gets {addrs:?}", identity.id));
        let made = self.make(netns, &identity, &addrs, &told.wishes)?;
        done.interface = Some(identity.host_interface.clone());
        let endpoint = self.endpoint(&identity, &addrs, &made, &told.wishes);
        self.write(&identity, &endpoint, snapshot)?;
        self.log.debug(format_args!(
            "{} store requests for ADD of {}",
            self.store.requests(),
            identity.id
        ));
        self.wait(&identity);
        self.log.info(format_args!(
            "ADD of {}: {} with {addrs:?}",
            identity.id, identity.host_interface
        ));
        Ok(Outcome {
            routes: from_others.routes,
            dns: from_others.dns,
            ..self.outcome(&endpoint, made.mtu)
        })
    }

    fn assign(&self, machine: Machine<Assign>, first: Snapshot) -> Result<Vec<IpAddr>, CniError> {
        let assigned = self
            .store
            .run(machine, &[], Some(first), &mut |_| Ok(Vec::new()))?;
        let assigned = assigned.map_err(|e| attachment::refusal(&e))?;
        Ok(assigned.into_iter().map(|one| one.addr).collect())
    }

    fn is_own(&self, endpoint: &WorkloadEndpoint) -> bool {
        endpoint.container_id.as_deref() == Some(&*self.call.container)
    }

    /// Frees what the endpoint that is there keeps from this ADD: all of it if it is this container's own, of an ADD that did
    /// not come to its end and whose interface is gone. Of a container that had the pod before, and whose DEL is still to come,
    /// the addresses that the pod asks for by name.
    fn make_room(&self, before: &WorkloadEndpoint, wishes: &Wishes) -> Result<Room, CniError> {
        if self.is_own(before) {
            self.release()?;
            return Ok(Room::Made);
        }
        let (Addresses::Exactly(addrs), Some(container)) =
            (&wishes.addresses, before.container_id.as_deref())
        else {
            return Ok(Room::NotNeeded);
        };
        // The link first: an address must not be another's while packets still leave the container with it.
        interface::delete_host(&before.interface)?;
        let addrs = addrs.iter().map(|addr| ReleaseAddress {
            addr: *addr,
            block: None,
            handle: Some(identity::handle(&self.conf.name, container)),
            sequence: None,
        });
        let released = self
            .store
            .run_alone(release_addresses(addrs.collect(), store::now()))?;
        released.map_err(|e| {
            let doing = "failed to take back the addresses of the pod's container before";
            CniError::from_source(Code::Ipam, doing, &e)
        })?;
        Ok(Room::Made)
    }

    fn make(
        &self,
        netns: &NetNs,
        identity: &Identity,
        addrs: &[IpAddr],
        wishes: &Wishes,
    ) -> Result<Made, CniError> {
        let forwarding = match self.conf.container_settings.allow_ip_forwarding {
            true => Forwarding::Allowed,
            false => Forwarding::Off,
        };
        let device = self.conf.device()?;
        let made = interface::make(
            netns,
            &Wanted {
                host: &identity.host_interface,
                container: &self.call.interface,
                addrs,
                mac: wishes.mac,
                mtu: interface::mtu(self.conf)?,
                queues: self.conf.num_queues,
                device,
                routes: &routes::wanted(self.conf, &identity.id)?,
                forwarding,
            },
        )?;
        if made.device != device {
            self.log.info(format_args!(
                "this kernel has no {device}; {} is a {} pair",
                identity.host_interface, made.device
            ));
        }
        Ok(made)
    }

    /// What `feature_control` permits is asked for by annotations, which only pods have.
    fn check_features(&self, identity: &Identity) -> Result<(), CniError> {
        if self.conf.feature_control.ip_addrs_no_ipam && &*identity.id.orchestrator != "k8s" {
            return Err(CniError::new(
                Code::UnsupportedField,
                "requested feature is not supported for this runtime: ip_addrs_no_ipam",
            )
            .hint(
                "feature_control.ip_addrs_no_ipam is for pods whose Namespace is in the datastore",
            ));
        }
        Ok(())
    }

    fn endpoint(
        &self,
        identity: &Identity,
        addrs: &[IpAddr],
        made: &Made,
        wishes: &Wishes,
    ) -> WorkloadEndpoint {
        let (nats, idle) = wishes.nats(addrs);
        for addr in idle {
            self.log.warning(format_args!(
                "floating address {addr} leads nowhere: {} has no address of its family",
                identity.id
            ));
        }
        WorkloadEndpoint {
            labels: identity.labels.clone(),
            container_id: Some(identity.container.as_str().into()),
            pod: (&*identity.id.orchestrator == "k8s").then(|| identity.id.workload.clone()),
            service_account: identity.service_account.clone(),
            interface: identity.host_interface.as_str().into(),
            mac: made.mac,
            nets: addrs.iter().map(|addr| Cidr::host(*addr)).collect(),
            nats,
            profiles: identity.profiles.clone(),
            ports: identity.ports.clone(),
            allow_spoofed: wishes.source_prefixes.clone(),
            ..WorkloadEndpoint::default()
        }
    }

    /// Writes the endpoint, and the network's profile if it has none yet, in one request.
    fn write(
        &self,
        identity: &Identity,
        endpoint: &WorkloadEndpoint,
        first: Snapshot,
    ) -> Result<(), CniError> {
        let key = Key::WorkloadEndpoint(identity.id.clone());
        let resource = Resource::WorkloadEndpoint(endpoint.clone());
        let mut snapshot = first;
        for _ in 0..ATTEMPTS {
            let mut writes = vec![endpoint_write(&snapshot, &key, &resource)?];
            writes.extend(profile_write(&snapshot, identity));
            if self.store.commit(&writes)? {
                return Ok(());
            }
            snapshot = self.store.read(&self.queries())?;
            let text = api::key_text(&key).unwrap_or_default();
            if self.store.has_pods() && snapshot.get(&text).is_none() {
                return Err(pods::gone(&format!(
                    "{}/{}",
                    identity.id.namespace, identity.id.workload
                )));
            }
        }
        Err(CniError::new(
            Code::TryAgain,
            format!(
                "endpoint {} was changed by others {ATTEMPTS} times in a row",
                identity.id
            ),
        ))
    }

    /// Waits until the agent has the endpoint's policy in the kernel. Until then the endpoint is closed, so giving up is safe.
    fn wait(&self, identity: &Identity) {
        let seconds = self
            .conf
            .policy_setup_timeout_seconds
            .unwrap_or(POLICY_TIMEOUT);
        if seconds == 0 {
            return;
        }
        let directory = self
            .conf
            .endpoint_status_dir
            .as_deref()
            .unwrap_or(Path::new(STATUS_DIR));
        let name = identity.id.status_file_name();
        match wait::for_file(directory, &name, Duration::from_secs(seconds.into())) {
            Ok(Waited::Ready) => {}
            Ok(Waited::TimedOut) => self.log.warning(format_args!(
                "no policy for {} within {seconds} s (policy_setup_timeout_seconds); it has no traffic until calico-node has set it up",
                identity.id
            )),
            Err(error) => self.log.warning(format_args!(
                "cannot watch {} for the policy of {}: {error}",
                directory.display(),
                identity.id
            )),
        }
    }

    fn outcome(&self, endpoint: &WorkloadEndpoint, mtu: Option<u32>) -> Outcome {
        Outcome {
            interfaces: vec![
                Interface {
                    name: endpoint.interface.to_string(),
                    mac: Some(interface::HOST_MAC),
                    mtu,
                    sandbox: None,
                },
                Interface {
                    name: self.call.interface.clone(),
                    mac: endpoint.mac,
                    mtu,
                    sandbox: Some(self.call.netns.display().to_string()),
                },
            ],
            ips: endpoint
                .nets
                .iter()
                .map(|net| Address::host(net.addr()))
                .collect(),
            ..Outcome::default()
        }
    }

    fn release(&self) -> Result<(), CniError> {
        if self.is_own_ipam() {
            // Only the container's own handle: that of the pod may be another container's.
            let handles = vec![identity::handle(&self.conf.name, &self.call.container)];
            let released = self
                .store
                .run_alone(release_handles(handles, store::now()))?;
            released.map(|_| ()).map_err(|e| {
                CniError::from_source(Code::Ipam, "failed to give the addresses back", &e)
            })
        } else {
            let stdin = pod_cidrs::fill_any(self.conf, self.stdin);
            delegate::run(&self.conf.ipam.kind, self.call, "DEL", &stdin).map(|_| ())
        }
    }

    /// Takes back what was done. What cannot be is said with the error, and left for DEL and the agent's sweep.
    fn undo(&self, done: Done, error: CniError) -> CniError {
        let mut failures = Vec::new();
        if let Some(name) = done.interface {
            failures.extend(interface::delete_host(&name).err());
        }
        if done.addresses {
            failures.extend(self.release().err());
        }
        if failures.is_empty() {
            return error;
        }
        let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
        let details = format!(
            "{}; and it could not be undone: {}",
            error.details,
            texts.join("; ")
        );
        error.hint(details.trim_start_matches("; "))
    }
}

fn endpoint_write(snapshot: &Snapshot, key: &Key, resource: &Resource) -> Result<Write, CniError> {
    let bad = |e: &dyn std::error::Error| {
        CniError::from_source(Code::Config, "failed to write the endpoint", e)
    };
    let text = api::key_text(key).unwrap_or_default();
    let Some(entry) = snapshot.get(&text) else {
        let mut object = api::object_of(key, resource).map_err(|e| bad(&e))?;
        store::stamp(&mut object);
        return Ok(Write::create(object.store_key(), object.to_store_bytes()));
    };
    let object = match api::Object::from_store(&entry.key, &entry.value, entry.revision.get()) {
        Ok(existing) => api::merge(&existing, key, resource),
        // What cannot be read is replaced.
        Err(_) => api::object_of(key, resource),
    };
    let object = object.map_err(|e| bad(&e))?;
    Ok(Write::update(text, object.to_store_bytes(), entry.revision))
}

/// The profile of a network that has none yet: traffic within the network, and all egress.
fn profile_write(snapshot: &Snapshot, identity: &Identity) -> Option<Write> {
    let network = identity.network_profile.as_ref()?;
    let mut profile = api::network_profile(network);
    if snapshot.get(&profile.store_key()).is_some() {
        return None;
    }
    store::stamp(&mut profile);
    Some(Write::create(profile.store_key(), profile.to_store_bytes()))
}
