//! Where a container may send to: everything, or what the configuration of `host-local` says, by upstream's rule.

use model::{Cidr, Family, WorkloadEndpointId};
use serde_json::Value;

use crate::conf::NetConf;
use crate::error::{CniError, Code};

/// The destinations of the container's routes. Those of the configuration are for pods with `host-local` only; with
/// `include_default_routes` they stand beside the default ones, otherwise in their place.
pub(crate) fn wanted(conf: &NetConf, id: &WorkloadEndpointId) -> Result<Vec<Cidr>, CniError> {
    let default = Family::ALL.map(Cidr::any).to_vec();
    if &*id.orchestrator != "k8s" || conf.ipam.kind != "host-local" {
        return Ok(default);
    }
    let named = named(&conf.ipam.routes)?;
    if named.is_empty() {
        return Ok(default);
    }
    let mut routes = match conf.include_default_routes {
        true => default,
        false => Vec::new(),
    };
    for dst in named {
        if !routes.contains(&dst) {
            routes.push(dst);
        }
    }
    Ok(routes)
}

fn named(routes: &[Value]) -> Result<Vec<Cidr>, CniError> {
    let bad = |dst: &Value, why: &str| {
        CniError::new(
            Code::Config,
            format!("the route {dst} in ipam.routes {why}"),
        )
    };
    let destinations = routes.iter().filter_map(|route| route.get("dst"));
    destinations
        .map(|dst| {
            let text = dst.as_str().ok_or_else(|| bad(dst, "is no text"))?;
            if !text.contains('/') {
                return Err(bad(dst, "is no network: it has no prefix length"));
            }
            text.parse()
                .map_err(|error| bad(dst, &format!("is no network: {error}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(orchestrator: &str, conf: Value, expected: &[&str]) {
        let id = WorkloadEndpointId {
            node: "n".into(),
            orchestrator: orchestrator.into(),
            namespace: "ns".into(),
            workload: "w".into(),
            endpoint: "eth0".into(),
        };
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        let texts: Vec<String> = wanted(&conf, &id)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn routes_of_the_configuration() {
        let all = ["0.0.0.0/0", "::/0"];
        let routes = json!([{"dst": "10.0.0.7/8"}, {"gw": "10.0.0.1"}, {"dst": "fd00::/8"}, {"dst": "::/0"}]);
        let ipam = |kind: &str| json!({"type": kind, "routes": routes});
        check("k8s", json!({"ipam": {"type": "host-local"}}), &all);
        check(
            "k8s",
            json!({"ipam": ipam("host-local")}),
            &["10.0.0.0/8", "fd00::/8", "::/0"],
        );
        let both = json!({"ipam": ipam("host-local"), "include_default_routes": true});
        check(
            "k8s",
            both.clone(),
            &["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8"],
        );
        check("cni", both, &all);
        check("k8s", json!({"ipam": ipam("calico-ipam")}), &all);
        for bad in [json!(7), json!("10.0.0.1"), json!("here/8")] {
            assert!(named(&[json!({"dst": bad})]).is_err());
        }
    }
}
