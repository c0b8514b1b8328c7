//! Felix parameters -> the small option structs of the core crates, in this one place.

use std::time::Duration;

use config::{Config, Param};
use dataplane::filter::FilterOptions;
use dataplane::host::{Forwarding, HostOptions, OthersRoutes};
use dataplane::nftables::{Deny, NftOptions};
use dataplane::rules::hooks::{Encapsulated, HookOptions, InvalidPackets, ToHost};
use dataplane::rules::policy::PolicyOptions;
use model::Family;

/// What the agent's parts are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Of the packet filter.
    pub filter: FilterOptions,
    /// Of routes and sysctls.
    pub host: HostOptions,
    /// Of nf_tables.
    pub nft: NftOptions,
    /// How often everything of the host is looked at without a notice (`routeRefreshInterval`).
    pub look_every: Option<Duration>,
}

impl Options {
    /// What the parameters in force say.
    pub fn of(config: &Config) -> Options {
        let families = match config.flag(Param::Ipv6Support) {
            true => Family::ALL.to_vec(),
            false => vec![Family::V4],
        };
        let log_prefix = config.text(Param::LogPrefix);
        Options {
            filter: FilterOptions {
                hooks: hooks(config, &families),
                policy: PolicyOptions {
                    families: families.clone(),
                    log_prefix: format!("{log_prefix}: ").into(),
                },
            },
            host: host(config, families),
            nft: nft(config),
            look_every: Some(config.duration(Param::RouteRefreshInterval))
                .filter(|every| !every.is_zero()),
        }
    }
}

fn hooks(config: &Config, families: &[Family]) -> HookOptions {
    let encapsulated = |param| match config.flag(param) {
        true => Encapsulated::Allow,
        false => Encapsulated::Drop,
    };
    let port = u16::try_from(config.int(Param::VXLANPort));
    HookOptions {
        families: families.to_vec(),
        prefixes: config.list(Param::InterfacePrefix),
        to_host: match &*config
            .text(Param::DefaultEndpointToHostAction)
            .to_ascii_uppercase()
        {
            "ACCEPT" => ToHost::Accept,
            "RETURN" => ToHost::Return,
            _ => ToHost::Drop,
        },
        vxlan_from_workloads: encapsulated(Param::AllowVXLANPacketsFromWorkloads),
        ipip_from_workloads: encapsulated(Param::AllowIPIPPacketsFromWorkloads),
        vxlan_port: port.unwrap_or(HookOptions::default().vxlan_port),
        drop_invalid: match config.flag(Param::DisableConntrackInvalidCheck) {
            true => InvalidPackets::Policy,
            false => InvalidPackets::Drop,
        },
    }
}

fn host(config: &Config, families: Vec<Family>) -> HostOptions {
    let default = HostOptions::default();
    let metric = |param, default| u32::try_from(config.int(param)).unwrap_or(default);
    let protocol = u8::try_from(config.int(Param::DeviceRouteProtocol));
    let forwarding = config.text(Param::IPForwarding);
    HostOptions {
        families,
        route_metric_v4: metric(Param::IPv4NormalRoutePriority, default.route_metric_v4),
        route_metric_v6: metric(Param::IPv6NormalRoutePriority, default.route_metric_v6),
        route_protocol: protocol.unwrap_or(default.route_protocol),
        forwarding: if forwarding.eq_ignore_ascii_case("disabled") {
            Forwarding::LeftAlone
        } else {
            Forwarding::Managed
        },
        others: match config.flag(Param::RemoveExternalRoutes) {
            true => OthersRoutes::Removed,
            false => OthersRoutes::Left,
        },
    }
}

fn nft(config: &Config) -> NftOptions {
    let deny = config.text(Param::NftablesFilterDenyAction);
    let mask = config.mark(Param::NftablesMarkMask);
    // Upstream gives the lowest bit to "accepted" and the next one to "passed".
    let rest = mask & mask.wrapping_sub(1);
    let pass = rest & rest.wrapping_neg();
    NftOptions {
        pass_mark: if pass == 0 {
            NftOptions::default().pass_mark
        } else {
            pass
        },
        deny: if deny.eq_ignore_ascii_case("reject") {
            Deny::Reject
        } else {
            Deny::Drop
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Layers, Source};

    #[test]
    fn no_parameters_are_the_defaults() {
        let (config, warnings) = Layers::new().resolve();
        assert_eq!(warnings, []);
        let options = Options::of(&config);
        assert_eq!(options.host, HostOptions::default());
        assert_eq!(options.nft, NftOptions::default());
        assert_eq!(options.filter.hooks, HookOptions::default());
    }

    #[test]
    fn parameters_reach_the_parts() {
        let mut layers = Layers::new();
        let set = [
            ("interfacePrefix", "tap,cali"),
            ("ipv6Support", "false"),
            ("nftablesFilterDenyAction", "REJECT"),
            ("nftablesMarkMask", "0xff00"),
            ("removeExternalRoutes", "false"),
            ("ipv4NormalRoutePriority", "99"),
        ];
        layers.set(Source::Global, set);
        let options = Options::of(&layers.resolve().0);
        assert_eq!(options.filter.hooks.prefixes, ["tap".into(), "cali".into()]);
        assert_eq!(options.host.families, [Family::V4]);
        assert_eq!(options.nft.deny, Deny::Reject);
        assert_eq!(options.nft.pass_mark, 0x200);
        assert_eq!(options.host.others, OthersRoutes::Left);
        assert_eq!(options.host.route_metric_v4, 99);
    }
}
