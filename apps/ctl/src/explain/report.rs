//! Puts an explanation into words, or into JSON with stable names.

use std::fmt::Write as _;

use calc::{Decision, Packet, Reason, Transport, Verdict};
use model::{Action, PolicyId, Protocol};
use serde_json::{Map, Value, json};

use super::packet::End;
use super::walk::{Matched, Outcome, PolicyStep, TierStep};
use super::{Explanation, Hop};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Yes,
    No,
}

impl Colours {
    fn paint(self, action: Decision, text: &str) -> String {
        let code = match action {
            Decision::Allow => 32,
            Decision::Deny => 31,
        };
        match self {
            Colours::Yes => format!("\u{1b}[1;{code}m{text}\u{1b}[0m"),
            Colours::No => text.to_owned(),
        }
    }
}

impl Explanation {
    /// What becomes of the packet: it must pass at both ends.
    fn verdict(&self) -> Decision {
        let denied = |hop: &&Hop| hop.verdict.action == Decision::Deny;
        match self.hops().find(denied) {
            Some(_) => Decision::Deny,
            None => Decision::Allow,
        }
    }

    fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.egress.iter().chain(&self.ingress)
    }
}

/// The explanation for people.
pub(super) fn text(explanation: &Explanation, colours: Colours) -> String {
    let Explanation {
        packet, from, to, ..
    } = explanation;
    let verdict = explanation.verdict();
    let shout = colours.paint(verdict, &verdict.to_string().to_uppercase());
    let mut out = format!(
        "{shout}  {} -> {}  {}\n",
        with_address(from, packet.source),
        with_address(to, packet.destination),
        sent(packet)
    );
    for hop in explanation.hops() {
        let action = colours.paint(hop.verdict.action, &hop.verdict.action.to_string());
        out.push('\n');
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} of {}: {action}", hop.direction, hop.endpoint);
        for line in lines(hop) {
            let _ = writeln!(out, "  {line}");
        }
        if !hop.agrees() {
            let _ = writeln!(
                out,
                "  BUG: compiled policy says {}; the oracle says {}",
                hop.verdict, hop.oracle
            );
        }
    }
    if explanation.hops().next().is_none() {
        out.push_str("\nneither end is a workload: no policy of workloads is asked\n");
    }
    out
}

fn with_address(end: &End, address: std::net::IpAddr) -> String {
    match end {
        End::Workload { .. } => format!("{} ({address})", end.name()),
        End::Outside(_) => format!("{address} (no workload)"),
    }
}

fn protocol_name(protocol: Protocol) -> String {
    protocol
        .name()
        .map_or_else(|| protocol.number().to_string(), str::to_owned)
}

fn sent(packet: &Packet) -> String {
    let name = protocol_name(packet.protocol);
    match packet.transport {
        Transport::Ports { destination, .. } => format!("{name} port {destination}"),
        Transport::Icmp { kind, code } => format!("{name} type {kind} code {code}"),
        Transport::Opaque => name,
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Pass => "pass",
        Action::Log => "log",
    }
}

fn rule_text(matched: &Matched) -> String {
    let name = matched
        .name
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!("rule {}{name}", matched.rule)
}

/// The services that the rule names, as the end of a line.
fn services_text(matched: &Matched) -> String {
    let text = |word: &str, service: &Option<String>| {
        let service = service.as_ref();
        service.map_or_else(String::new, |service| format!(", {word} service {service}"))
    };
    text("from", &matched.from) + &text("to", &matched.to)
}

/// The way to the verdict; its last line is what decided.
fn lines(hop: &Hop) -> Vec<String> {
    let mut lines: Vec<String> = hop.walk.tiers.iter().flat_map(tier_lines).collect();
    if hop.walk.tiers.is_empty() {
        lines.push(format!("no policy applies to its {}", hop.direction));
    }
    for step in &hop.walk.profiles {
        lines.push(match &step.matched {
            Some(_) if matches!(&hop.verdict.reason, Reason::MissingProfile { .. }) => {
                format!("profile {}: deny, because it does not exist", step.profile)
            }
            Some(matched) => format!(
                "profile {}: {} by {}{}",
                step.profile,
                action_word(matched.action),
                rule_text(matched),
                services_text(matched)
            ),
            None => format!("profile {}: no rule matches", step.profile),
        });
    }
    if hop.verdict.reason == Reason::NoProfileMatched {
        lines.push("deny, because no tier decided and no profile allows it".to_owned());
    }
    if hop.verdict.reason == Reason::UnknownEndpoint {
        lines.push("deny, because the endpoint is not known to its node".to_owned());
    }
    lines
}

fn tier_lines(step: &TierStep) -> Vec<String> {
    let tier = &step.tier;
    let mut lines: Vec<String> = step
        .policies
        .iter()
        .map(|PolicyStep { policy, matched }| match matched {
            Some(matched) => {
                format!(
                    "tier {tier}: {} by {} of policy {policy}{}",
                    action_word(matched.action),
                    rule_text(matched),
                    services_text(matched)
                )
            }
            None => format!("tier {tier}: no rule of policy {policy} matches"),
        })
        .collect();
    match step.outcome {
        Outcome::EndDeny => {
            lines.push(format!(
                "tier {tier}: deny at its end, because policies of it apply and none decided"
            ));
        }
        Outcome::EndPass => lines.push(format!("tier {tier}: pass at its end")),
        Outcome::Allow | Outcome::Deny | Outcome::Pass => {}
    }
    lines
}

/// The explanation for programs.
pub(super) fn value(explanation: &Explanation) -> Value {
    let packet = &explanation.packet;
    let mut flow = json!({
        "from": end_value(&explanation.from, packet.source),
        "to": end_value(&explanation.to, packet.destination),
        "protocol": protocol_name(packet.protocol),
    });
    match packet.transport {
        Transport::Ports {
            source,
            destination,
        } => {
            flow["sourcePort"] = source.into();
            flow["port"] = destination.into();
        }
        Transport::Icmp { kind, code } => flow["icmp"] = json!({"type": kind, "code": code}),
        Transport::Opaque => {}
    }
    let of = |hop: &Option<Hop>| hop.as_ref().map_or_else(no_policy, hop_value);
    let oracle_of = |hop: &Option<Hop>| {
        hop.as_ref()
            .map_or_else(no_policy, |hop| verdict_value(&hop.oracle))
    };
    let denied = explanation
        .hops()
        .any(|hop| hop.oracle.action == Decision::Deny);
    json!({
        "verdict": explanation.verdict().to_string(),
        "flow": flow,
        "egress": of(&explanation.egress),
        "ingress": of(&explanation.ingress),
        "oracle": {
            "verdict": if denied { "deny" } else { "allow" },
            "agrees": explanation.hops().all(Hop::agrees),
            "egress": oracle_of(&explanation.egress),
            "ingress": oracle_of(&explanation.ingress),
        },
    })
}

fn end_value(end: &End, address: std::net::IpAddr) -> Value {
    let mut value = json!({"address": address.to_string()});
    if let Some(id) = end.endpoint() {
        value["namespace"] = json!(id.namespace);
        value["workload"] = json!(id.workload);
        value["endpoint"] = json!(id.endpoint);
        value["node"] = json!(id.node);
    }
    value
}

/// An end that is no workload lets everything through.
fn no_policy() -> Value {
    json!({"verdict": "allow", "reason": "NoEndpoint"})
}

fn hop_value(hop: &Hop) -> Value {
    let mut value = verdict_value(&hop.verdict);
    if let (Some(matched), Value::Object(map)) = (deciding(hop), &mut value) {
        if let Some(name) = &matched.name {
            map.insert("ruleName".to_owned(), json!(name));
        }
        for (field, service) in services(matched) {
            map.insert(field.to_owned(), json!(service));
        }
        map.insert("action".to_owned(), json!(action_word(matched.action)));
    }
    value["tiers"] = hop.walk.tiers.iter().map(tier_value).collect();
    let profiles = hop.walk.profiles.iter();
    value["profiles"] = profiles
        .map(|step| matched_value(json!({"profile": step.profile}), step.matched.as_ref()))
        .collect();
    value
}

/// The rule that decided, if a rule did.
fn deciding(hop: &Hop) -> Option<&Matched> {
    match hop.verdict.reason {
        Reason::Rule { .. } => hop.walk.tiers.last()?.policies.last()?.matched.as_ref(),
        Reason::Profile { .. } => hop.walk.profiles.last()?.matched.as_ref(),
        Reason::EndOfTier { .. }
        | Reason::MissingProfile { .. }
        | Reason::NoProfileMatched
        | Reason::UnknownEndpoint
        | Reason::NoEndpoint => None,
    }
}

fn tier_value(step: &TierStep) -> Value {
    let outcome = match step.outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Pass => "pass",
        Outcome::EndDeny => "end-of-tier-deny",
        Outcome::EndPass => "end-of-tier-pass",
    };
    let policies: Vec<Value> = step
        .policies
        .iter()
        .map(|policy| matched_value(policy_value(&policy.policy), policy.matched.as_ref()))
        .collect();
    json!({"tier": step.tier, "outcome": outcome, "policies": policies})
}

fn policy_value(id: &PolicyId) -> Value {
    let mut value = json!({"policy": id.to_string(), "name": id.name});
    if let Some(ns) = &id.namespace {
        value["namespace"] = json!(ns);
    }
    value
}

fn matched_value(mut value: Value, matched: Option<&Matched>) -> Value {
    if let Some(matched) = matched {
        value["rule"] = matched.rule.into();
        value["action"] = action_word(matched.action).into();
        if let Some(name) = &matched.name {
            value["ruleName"] = json!(name);
        }
        for (field, service) in services(matched) {
            value[field] = json!(service);
        }
    }
    value
}

/// The services by which a rule knows the ends of a connection.
fn services(matched: &Matched) -> impl Iterator<Item = (&'static str, &String)> {
    [("fromService", &matched.from), ("toService", &matched.to)]
        .into_iter()
        .filter_map(|(field, service)| Some((field, service.as_ref()?)))
}

/// A verdict with its reason, field by field.
fn verdict_value(verdict: &Verdict) -> Value {
    let mut map = Map::new();
    map.insert("verdict".to_owned(), verdict.action.to_string().into());
    let (reason, fields) = match &verdict.reason {
        Reason::Rule { tier, policy, rule } => (
            "Rule",
            json!({"tier": tier, "policy": policy.to_string(), "rule": rule}),
        ),
        Reason::EndOfTier { tier } => ("EndOfTier", json!({"tier": tier})),
        Reason::Profile { profile, rule } => ("Profile", json!({"profile": profile, "rule": rule})),
        Reason::MissingProfile { profile } => ("MissingProfile", json!({"profile": profile})),
        Reason::NoProfileMatched => ("NoProfileMatched", json!({})),
        Reason::UnknownEndpoint => ("UnknownEndpoint", json!({})),
        Reason::NoEndpoint => ("NoEndpoint", json!({})),
    };
    map.insert("reason".to_owned(), reason.into());
    if let Value::Object(fields) = fields {
        map.extend(fields);
    }
    Value::Object(map)
}
