//! Limits on a pod's traffic, which its annotations ask for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::quantity;
use crate::kinds::endpoints::dscp_of_word;

/// A limit: its name, which is that of the field and, below `qos.projectcalico.org/`, of the annotation; and the range its
/// value is brought into.
struct Limit {
    name: &'static str,
    least: i64,
    most: i64,
}

/// The limits of one direction.
struct Limits {
    /// Kubernetes' own annotation for the bandwidth, which ours goes before.
    kubernetes: &'static str,
    bandwidth: Limit,
    burst: Limit,
    peakrate: Limit,
    minburst: Limit,
    packet_rate: Limit,
    packet_burst: Limit,
    connections: Limit,
}

const PREFIX: &str = "qos.projectcalico.org/";
/// What a burst is where only a bandwidth is given, in bits.
const DEFAULT_BURST: i64 = 4 << 30;
/// What a packet burst is where only a packet rate is given.
const DEFAULT_PACKET_BURST: i64 = 5;

macro_rules! limits {
    ($kubernetes:literal, $direction:literal) => {
        Limits {
            kubernetes: $kubernetes,
            bandwidth: limit(
                concat!($direction, "Bandwidth"),
                1_000,
                1_000_000_000_000_000,
            ),
            burst: limit(concat!($direction, "Burst"), 1_000, u32::MAX as i64 * 8),
            peakrate: limit(
                concat!($direction, "Peakrate"),
                1_010,
                1_010_000_000_000_000,
            ),
            minburst: limit(concat!($direction, "Minburst"), 1_000, 100_000_000),
            packet_rate: limit(concat!($direction, "PacketRate"), 1, 10_000),
            packet_burst: limit(concat!($direction, "PacketBurst"), 1, 10_000),
            connections: limit(concat!($direction, "MaxConnections"), 1, u32::MAX as i64),
        }
    };
}

const DIRECTIONS: [Limits; 2] = [
    limits!("kubernetes.io/ingress-bandwidth", "ingress"),
    limits!("kubernetes.io/egress-bandwidth", "egress"),
];

const fn limit(name: &'static str, least: i64, most: i64) -> Limit {
    Limit { name, least, most }
}

/// The `qosControls` that annotations ask for; `None` if they ask for none. What is out of range is brought into it, what
/// does not fit together is left out, and each is a problem.
pub(super) fn controls(
    annotations: &BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> Option<Value> {
    let mut controls = Map::new();
    for limits in &DIRECTIONS {
        direction(limits, annotations, &mut controls, problems);
    }
    let name = "qos.projectcalico.org/dscp";
    if let Some(text) = annotations.get(name) {
        let number = text.parse().ok().filter(|value| (0..64).contains(value));
        match number.or_else(|| dscp_of_word(text)) {
            Some(_) if number.is_none() => controls.insert("dscp".to_owned(), json!(text)),
            Some(value) => controls.insert("dscp".to_owned(), json!(value)),
            None => {
                problems.push(format!(
                    "annotation {name}: {text:?} is neither a number up to 63 nor a name"
                ));
                None
            }
        };
    }
    (!controls.is_empty()).then_some(Value::Object(controls))
}

fn direction(
    limits: &Limits,
    annotations: &BTreeMap<String, String>,
    controls: &mut Map<String, Value>,
    problems: &mut Vec<String>,
) {
    let mut read = |limit: &Limit, other: Option<&str>| {
        let own = format!("{PREFIX}{}", limit.name);
        let found = annotations.get_key_value(&own);
        let (name, text) = found.or_else(|| annotations.get_key_value(other?))?;
        let Some(value) = quantity::parse(text) else {
            problems.push(format!("annotation {name}: {text:?} is no quantity"));
            return None;
        };
        let within = value.clamp(limit.least, limit.most);
        if within != value {
            problems.push(format!(
                "annotation {name}: {text:?} is out of range; {within} is used"
            ));
        }
        Some(within)
    };
    let bandwidth = read(&limits.bandwidth, Some(limits.kubernetes));
    let burst = read(&limits.burst, None);
    let peakrate = read(&limits.peakrate, None);
    let minburst = read(&limits.minburst, None);
    let packet_rate = read(&limits.packet_rate, None);
    let packet_burst = read(&limits.packet_burst, None);
    let connections = read(&limits.connections, None);
    let mut needs = |limit: &Limit, value: Option<i64>, holds: bool, what: &str| {
        let kept = value.filter(|_| holds);
        if kept != value {
            problems.push(format!(
                "annotation {PREFIX}{}: has no effect: {what}",
                limit.name
            ));
        }
        kept
    };
    let burst = needs(
        &limits.burst,
        burst,
        bandwidth.is_some(),
        "a bandwidth is needed",
    );
    let above = peakrate
        .zip(bandwidth)
        .is_some_and(|(peak, bandwidth)| peak > bandwidth);
    let peakrate = needs(
        &limits.peakrate,
        peakrate,
        above,
        "a lower bandwidth is needed",
    );
    let minburst = needs(
        &limits.minburst,
        minburst,
        peakrate.is_some(),
        "a peak rate is needed",
    );
    let packet_burst = needs(
        &limits.packet_burst,
        packet_burst,
        packet_rate.is_some(),
        "a packet rate is needed",
    );
    let found = [
        (&limits.bandwidth, bandwidth),
        (&limits.burst, burst.or(bandwidth.map(|_| DEFAULT_BURST))),
        (&limits.peakrate, peakrate),
        (&limits.minburst, minburst),
        (&limits.packet_rate, packet_rate),
        (
            &limits.packet_burst,
            packet_burst.or(packet_rate.map(|_| DEFAULT_PACKET_BURST)),
        ),
        (&limits.connections, connections),
    ];
    for (limit, value) in found {
        if let Some(value) = value {
            controls.insert(limit.name.to_owned(), json!(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(annotations: &[(&str, &str)], expected: Value, problems: usize) {
        let map = annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut found = Vec::new();
        let controls = controls(&map, &mut found).unwrap_or(Value::Null);
        assert_eq!(controls, expected, "{annotations:?}");
        assert_eq!(found.len(), problems, "{found:?}");
    }

    #[test]
    fn limits_are_brought_into_range_and_made_to_fit() {
        check(&[], Value::Null, 0);
        check(
            &[("kubernetes.io/ingress-bandwidth", "10M")],
            json!({"ingressBandwidth": 10_000_000, "ingressBurst": 4_294_967_296_i64}),
            0,
        );
        check(
            &[
                ("kubernetes.io/egress-bandwidth", "10M"),
                ("qos.projectcalico.org/egressBandwidth", "2M"),
                ("qos.projectcalico.org/egressBurst", "1"),
            ],
            json!({"egressBandwidth": 2_000_000, "egressBurst": 1000}),
            1,
        );
        check(
            &[
                ("qos.projectcalico.org/ingressPeakrate", "2M"),
                ("qos.projectcalico.org/ingressMinburst", "2k"),
            ],
            Value::Null,
            2,
        );
        check(
            &[("qos.projectcalico.org/egressPacketRate", "200")],
            json!({"egressPacketRate": 200, "egressPacketBurst": 5}),
            0,
        );
        check(
            &[("qos.projectcalico.org/ingressMaxConnections", "x")],
            Value::Null,
            1,
        );
        check(
            &[("qos.projectcalico.org/dscp", "20")],
            json!({"dscp": 20}),
            0,
        );
        check(
            &[("qos.projectcalico.org/dscp", "EF")],
            json!({"dscp": "EF"}),
            0,
        );
        check(&[("qos.projectcalico.org/dscp", "64")], Value::Null, 1);
    }
}
