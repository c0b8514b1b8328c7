//! BGPFilter: ordered rules for the routes of a peering.

use model::bgp::{
    BgpFilter, Community, FilterAction, FilterRule, NetMatch, NetOperator, PeerType,
    RouteOperation, RouteSource,
};
use model::{Cidr, Family, Resource};

use super::{PRIORITIES, priority};
use crate::fields::{as_number, exact_cidr, limit};
use crate::kinds::spec;
use crate::names;
use crate::problem::Problem;
use crate::reader::{Fields, Item};

/// The most operations of a rule, and the most AS numbers that one of them puts before a path.
const MAX_OPERATIONS: usize = 10;

pub(crate) fn filter(fields: &mut Fields<'_>) -> Option<Resource> {
    let filter = spec(fields, |fields| BgpFilter {
        export_v4: fields.list("exportV4", |item| rule(item, Family::V4)),
        import_v4: fields.list("importV4", |item| rule(item, Family::V4)),
        export_v6: fields.list("exportV6", |item| rule(item, Family::V6)),
        import_v6: fields.list("importV6", |item| rule(item, Family::V6)),
    });
    Some(Resource::BgpFilter(Box::new(filter)))
}

fn rule(item: Item<'_>, family: Family) -> Option<FilterRule> {
    item.object(|fields| {
        let net = net_match(fields, family);
        let source = fields.nonempty("source", |item| {
            item.word(&[("RemotePeers", RouteSource::RemotePeers)])
        });
        let interface = fields.nonempty("interface", interface);
        let peer_type = fields.nonempty("peerType", |item| {
            item.word(&[("eBGP", PeerType::External), ("iBGP", PeerType::Internal)])
        });
        let community = fields.read("communities", |item| {
            item.object(|fields| fields.required("values", one_community))?
        });
        let as_path_prefix = fields.list("asPathPrefix", as_number);
        let priority = fields.read("priority", priority);
        let action = fields.required("action", |item| {
            item.word(&[
                ("Accept", FilterAction::Accept),
                ("Reject", FilterAction::Reject),
            ])
        });
        if action == Some(FilterAction::Reject) && fields.has_content("operations") {
            fields.wrong("operations", "are for rules whose action is Accept");
        }
        let operations = fields.read("operations", |item| {
            limit(&item, MAX_OPERATIONS);
            item.list(operation)
        });
        Some(FilterRule {
            net,
            source,
            interface,
            peer_type,
            community,
            as_path_prefix,
            priority,
            action: action?,
            operations: operations.unwrap_or_default(),
        })
    })?
}

fn net_match(fields: &mut Fields<'_>, family: Family) -> Option<NetMatch> {
    let (has_net, has_operator) = (
        fields.has_content("cidr"),
        fields.has_content("matchOperator"),
    );
    if has_net && !has_operator {
        fields.wrong("matchOperator", "is required beside cidr");
    }
    if has_operator && !has_net {
        fields.wrong("cidr", "is required beside matchOperator");
    }
    if fields.has("prefixLength") && !has_net {
        fields.wrong("prefixLength", "needs a cidr beside it");
    }
    let net = fields.nonempty("cidr", |item| net_of(item, family));
    let operator = fields.nonempty("matchOperator", |item| {
        item.word(&[
            ("Equal", NetOperator::Equal),
            ("NotEqual", NetOperator::NotEqual),
            ("In", NetOperator::In),
            ("NotIn", NetOperator::NotIn),
        ])
    });
    let lengths = fields.read("prefixLength", |item| {
        item.object(|fields| {
            let length = |item: Item<'_>| {
                let most = i64::from(family.bits());
                u8::try_from(item.integer(0..=most)?).ok()
            };
            (fields.read("min", length), fields.read("max", length))
        })
    });
    let (shortest, longest) = lengths.unwrap_or_default();
    Some(NetMatch {
        net: net?,
        operator: operator?,
        shortest,
        longest,
    })
}

fn net_of(item: Item<'_>, family: Family) -> Option<Cidr> {
    let net = exact_cidr(item)?;
    if net.family() != family {
        item.wrong(format!("must be an IPv{} network", family.version()));
    }
    Some(net).filter(|net| net.family() == family)
}

fn interface(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if !names::is_interface_pattern(text) {
        item.wrong(
            "must be an interface's name: at most 15 letters, digits, '_', '.', '-' and '*'",
        );
    }
    Some(text.into())
}

/// A list of one community: there is no rule yet for how several would be joined.
fn one_community(item: Item<'_>) -> Option<Community> {
    let communities = item.list(community)?;
    if item.value.as_array().map_or(0, Vec::len) != 1 {
        let message = "must have exactly one community";
        let problem = Problem::at(item.path.to_string(), message);
        item.reader.report(problem);
    }
    communities.first().copied()
}

/// A community without leading zeros.
fn community(item: Item<'_>) -> Option<Community> {
    let community: Community = item.parsed(str::parse)?;
    if item.value.as_str() != Some(&community.to_string()) {
        item.wrong_hint("must have no leading zeros", format!("write {community}"));
    }
    Some(community)
}

fn operation(item: Item<'_>) -> Option<RouteOperation> {
    item.object(|fields| {
        let given = fields
            .entries()
            .filter(|(_, value)| !value.is_null())
            .count();
        if given != 1 {
            fields.wrong(
                "",
                "must be exactly one of addCommunity, prependASPath, setPriority",
            );
        }
        let add = fields.read("addCommunity", |item| {
            item.object(|fields| fields.required("value", community))?
        });
        let prepend = fields.read("prependASPath", |item| {
            item.object(|fields| fields.required("prefix", prefix))?
        });
        let set = fields.read("setPriority", |item| {
            item.object(|fields| fields.required("value", |item| item.integer(PRIORITIES)))?
        });
        let set = set.and_then(|n| u32::try_from(n).ok());
        add.map(RouteOperation::AddCommunity)
            .or(prepend.map(RouteOperation::PrependAsPath))
            .or(set.map(RouteOperation::SetPriority))
    })?
}

fn prefix(item: Item<'_>) -> Option<Vec<u32>> {
    let length = item.value.as_array().map_or(1, Vec::len);
    if !(1..=MAX_OPERATIONS).contains(&length) {
        let message = format!("must have 1 to {MAX_OPERATIONS} AS numbers, not {length}");
        item.reader
            .report(Problem::at(item.path.to_string(), message));
    }
    item.list(as_number)
}
