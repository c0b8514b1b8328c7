//! Kubernetes' services, and the slices that say who serves them.
//!
//! Upstream takes slices as they are: an endpoint counts whether it is ready or not, a name of a host is passed over, and a
//! port without a number leads nowhere.

use std::net::IpAddr;

use model::{EndpointSlice, Family, Protocol, Resource};

use super::Metadata;
use crate::fields::limit;
use crate::reader::{Fields, Item};

/// The label by which a slice says whose it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Kubernetes' own limits.
const MAX_ENDPOINTS: usize = 1000;
const MAX_PORTS: usize = 100;
const MAX_ADDRESSES: usize = 100;

/// A service tells the model nothing: its slices do.
pub(crate) fn service(fields: &mut Fields<'_>) {
    fields.ignore(&["spec", "status"]);
}

/// What the addresses of a slice are.
#[derive(Clone, Copy)]
enum AddressType {
    Of(Family),
    /// Names of hosts.
    Names,
}

pub(crate) fn endpoint_slice(meta: &Metadata, fields: &mut Fields<'_>) -> Option<Resource> {
    let words = [
        ("IPv4", AddressType::Of(Family::V4)),
        ("IPv6", AddressType::Of(Family::V6)),
        ("FQDN", AddressType::Names),
    ];
    // What is stored is read address by address, as upstream does.
    let wanted = match fields.reader().is_admission() {
        true => fields.required("addressType", |item| item.word(&words)),
        false => None,
    };
    fields.ignore(&["addressType"]);
    let addresses = fields.read("endpoints", |item| {
        limit(&item, MAX_ENDPOINTS);
        item.list(|item| item.object(|fields| endpoint(fields, wanted)))
    });
    let ports = fields.read("ports", |item| {
        limit(&item, MAX_PORTS);
        item.list(|item| item.object(port))
    });
    let service = meta
        .labels
        .get(SERVICE_NAME)
        .filter(|name| !name.is_empty())?;
    let mut addresses: Vec<IpAddr> = addresses.into_iter().flatten().flatten().collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut ports: Vec<(Protocol, u16)> = ports.into_iter().flatten().flatten().collect();
    ports.sort_unstable();
    ports.dedup();
    Some(Resource::EndpointSlice(EndpointSlice {
        service: service.clone(),
        addresses,
        ports,
    }))
}

fn endpoint(fields: &mut Fields<'_>, wanted: Option<AddressType>) -> Vec<IpAddr> {
    // Ready or not, upstream's policy takes it in.
    fields.ignore(&[
        "conditions",
        "deprecatedTopology",
        "hints",
        "hostname",
        "nodeName",
        "targetRef",
        "zone",
    ]);
    let addresses = fields.read("addresses", |item| {
        limit(&item, MAX_ADDRESSES);
        item.list(|item| address(item, wanted))
    });
    if fields.reader().is_admission() && addresses.is_none() && !fields.has("addresses") {
        fields.wrong("addresses", "is required");
    }
    addresses.into_iter().flatten().collect()
}

fn address(item: Item<'_>, wanted: Option<AddressType>) -> Option<IpAddr> {
    let address = item.text()?.parse::<IpAddr>().ok();
    let address = address.map(|address| address.to_canonical());
    if let (true, Some(AddressType::Of(family))) = (item.reader.is_admission(), wanted)
        && address.is_none_or(|address| Family::of(address) != family)
    {
        item.wrong(format!("is no IPv{} address", family.version()));
    }
    address
}

/// `None` for a port without a number.
fn port(fields: &mut Fields<'_>) -> Option<(Protocol, u16)> {
    fields.ignore(&["appProtocol", "name"]);
    let words = [
        ("TCP", Protocol::TCP),
        ("UDP", Protocol::UDP),
        ("SCTP", Protocol::SCTP),
    ];
    let protocol = fields.nonempty("protocol", |item| item.word(&words));
    let number = fields.read("port", |item| item.integer(0..=65_535))?;
    Some((
        protocol.unwrap_or(Protocol::TCP),
        u16::try_from(number).ok()?,
    ))
}
