//! Felix parameters -> the small option structs of the core crates, in this one place.

use dataplane::filter::FilterOptions;
use dataplane::host::{Forwarding, HostOptions};
use dataplane::nftables::{Deny, NftOptions};
use dataplane::rules::hooks::{Encapsulated, HookOptions, InvalidPackets, ToHost};
use dataplane::rules::policy::PolicyOptions;
use model::Family;

use crate::settings::{Settings, felix, is_true};

/// What the agent's parts are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Of the packet filter.
    pub filter: FilterOptions,
    /// Of routes and sysctls.
    pub host: HostOptions,
    /// Of nf_tables.
    pub nft: NftOptions,
}

impl Options {
    /// Reads the parameters that the environment gives (`FELIX_<NAME>`); others have upstream's defaults.
    pub fn from_environment(settings: &Settings) -> Options {
        let get = |name: &str| felix(&settings.env, name).map(String::as_str);
        let on = |name: &str| get(name).map(is_true);
        let families = match on("IPV6SUPPORT") {
            Some(false) => vec![Family::V4],
            Some(true) | None => Family::ALL.to_vec(),
        };
        let encapsulated = |name: &str| match on(name) {
            Some(true) => Encapsulated::Allow,
            Some(false) | None => Encapsulated::Drop,
        };
        let prefixes = get("INTERFACEPREFIX").unwrap_or("cali").split(',');
        let hooks = HookOptions {
            families: families.clone(),
            prefixes: prefixes
                .map(str::trim)
                .filter(|p| !p.is_empty())
                .map(Into::into)
                .collect(),
            to_host: match get("DEFAULTENDPOINTTOHOSTACTION")
                .map(str::to_ascii_uppercase)
                .as_deref()
            {
                Some("ACCEPT") => ToHost::Accept,
                Some("RETURN") => ToHost::Return,
                _ => ToHost::Drop,
            },
            vxlan_from_workloads: encapsulated("ALLOWVXLANPACKETSFROMWORKLOADS"),
            ipip_from_workloads: encapsulated("ALLOWIPIPPACKETSFROMWORKLOADS"),
            vxlan_port: get("VXLANPORT")
                .and_then(|p| p.parse().ok())
                .unwrap_or(4789),
            drop_invalid: match on("DISABLECONNTRACKINVALIDCHECK") {
                Some(true) => InvalidPackets::Policy,
                Some(false) | None => InvalidPackets::Drop,
            },
        };
        let log_prefix = get("LOGPREFIX").unwrap_or("calico-packet");
        let policy = PolicyOptions {
            families: families.clone(),
            log_prefix: format!("{log_prefix}: ").into(),
        };
        let host = HostOptions {
            families,
            forwarding: match get("IPFORWARDING").map(str::to_ascii_lowercase).as_deref() {
                Some("disabled") => Forwarding::LeftAlone,
                _ => Forwarding::Managed,
            },
            ..HostOptions::default()
        };
        let nft = NftOptions {
            deny: match get("NFTABLESFILTERDENYACTION")
                .map(str::to_ascii_uppercase)
                .as_deref()
            {
                Some("REJECT") => Deny::Reject,
                _ => Deny::Drop,
            },
            ..NftOptions::default()
        };
        Options {
            filter: FilterOptions { hooks, policy },
            host,
            nft,
        }
    }
}
