//! Logs and descriptions of Calico's pods, and what the kernel of their nodes says; of each component a few, of the nodes in
//! focus first.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::collect::{Collect, Collector};
use super::{items, text};
use crate::cli::ClusterDiagsArgs;
use crate::outcome::Failure;
use crate::session::Session;

/// What is asked inside the agent's container: what is said of it, the command, the file.
const IN_AGENT: [(&str, &str, &str); 13] = [
    (
        "iptables (legacy)",
        "iptables-legacy-save -c",
        "iptables-legacy-save.txt",
    ),
    (
        "iptables (nft)",
        "iptables-nft-save -c",
        "iptables-nft-save.txt",
    ),
    ("nftables", "nft -n -a list ruleset", "nft-ruleset.txt"),
    ("ip routes", "ip route show table all", "ip-route.txt"),
    (
        "ipv6 routes",
        "ip -6 route show table all",
        "ip-route-v6.txt",
    ),
    ("ip rule", "ip rule", "ip-rule.txt"),
    ("ip addr", "ip addr", "ip-addr.txt"),
    ("ip link", "ip link", "ip-link.txt"),
    ("ip neigh", "ip neigh", "ip-neigh.txt"),
    ("ipset list", "ipset list", "ipset-list.txt"),
    ("conntrack stats", "conntrack -LSC", "conntrack-list.txt"),
    ("tc qdisc", "tc qdisc show", "tc-qdisc.txt"),
    (
        "the CNI plugin's log",
        "cat /var/log/calico/cni/cni.log",
        "cni.log",
    ),
];

pub(super) fn collect(
    collector: &Collector<'_>,
    args: &ClusterDiagsArgs,
    root: &Path,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut nodes = args.focus_nodes.clone();
    for name in names(collector, &["nodes"], session)? {
        if !nodes.contains(&name) {
            nodes.push(name);
        }
    }
    for namespace in names(collector, &["namespaces"], session)? {
        if !namespace.contains("calico") && !namespace.contains("tigera") {
            continue;
        }
        session.line(format!(
            "Collecting detailed diags for namespace {namespace}..."
        ))?;
        let pods = asked(collector, &["pods", "-n", &namespace], session)?;
        for kind in ["daemonsets", "deployments", "statefulsets"] {
            for owner in asked(collector, &[kind, "-n", &namespace], session)? {
                let mut commands = Vec::new();
                for pod in chosen(&pods, &owner, &nodes, args.max_logs) {
                    let (name, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
                    session.line(format!(
                        "Collecting detailed diags for pod {name} in namespace {namespace} on node {node}..."
                    ))?;
                    commands.extend(of_pod(pod, &args.since, root));
                }
                collector.run(&commands, session)?;
            }
        }
    }
    Ok(())
}

fn asked(
    collector: &Collector<'_>,
    words: &[&str],
    session: &mut Session<'_>,
) -> Result<Vec<Value>, Failure> {
    match collector.kubectl.get(words) {
        Ok(list) => Ok(items(list)),
        Err(why) => {
            session.line(format!("ERROR listing {}: {why}", words.join(" ")))?;
            Ok(Vec::new())
        }
    }
}

fn names(
    collector: &Collector<'_>,
    words: &[&str],
    session: &mut Session<'_>,
) -> Result<Vec<String>, Failure> {
    let listed = asked(collector, words, session)?;
    Ok(listed
        .iter()
        .map(|item| text(item, "/metadata/name").to_owned())
        .collect())
}

/// The pods that an owner selects, in the order of the nodes, at most so many.
fn chosen<'a>(pods: &'a [Value], owner: &Value, nodes: &[String], most: i64) -> Vec<&'a Value> {
    let none = serde_json::Map::new();
    let wanted = owner
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let is_selected = |pod: &&Value| {
        let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
        let has = |(key, value): (&String, &Value)| labels.and_then(|l| l.get(key)) == Some(value);
        !wanted.is_empty() && wanted.iter().all(has)
    };
    let mut by_node: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for pod in pods.iter().filter(is_selected) {
        by_node
            .entry(text(pod, "/spec/nodeName"))
            .or_default()
            .push(pod);
    }
    nodes
        .iter()
        .filter_map(|node| by_node.remove(node.as_str()))
        .flatten()
        .take(usize::try_from(most).unwrap_or_default())
        .collect()
}

fn of_pod(pod: &Value, since: &str, root: &Path) -> Vec<Collect> {
    let (name, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
    let namespace = text(pod, "/metadata/namespace");
    let of_node = root.join("nodes").join(node);
    let linked = |info: String, words: String, file: String| {
        let mut command = Collect::new(info, &words, of_node.join(namespace).join(&file));
        command.link = Some(root.join("links").join(namespace).join(file));
        command
    };
    let mut commands = vec![
        linked(
            format!("Collect logs for pod {name}"),
            format!("logs --since={since} -n {namespace} {name} --all-containers"),
            format!("{name}.log"),
        ),
        linked(
            format!("Collect describe for pod {name}"),
            format!("-n {namespace} describe pods {name}"),
            format!("{name}.txt"),
        ),
    ];
    // One by one: asked for all at once, a container that never restarted hides the logs of those that did.
    for container in restarted(pod) {
        commands.push(linked(
            format!("Collect previous logs for container {container} in pod {name}"),
            format!("logs --previous --since={since} -n {namespace} {name} -c {container}"),
            format!("{name}.{container}.previous.log"),
        ));
    }
    if name.starts_with("calico-node-") {
        commands.extend(IN_AGENT.iter().map(|(what, command, file)| {
            Collect::new(
                format!("Collect {what} for node {node}"),
                &format!("exec -n {namespace} {name} -c calico-node -- {command}"),
                of_node.join(file),
            )
        }));
    }
    commands
}

/// The containers of a pod that have ended before.
fn restarted(pod: &Value) -> Vec<&str> {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let statuses = lists
        .iter()
        .filter_map(|pointer| pod.pointer(pointer)?.as_array())
        .flatten();
    let has_ended = |status: &&Value| {
        status.get("restartCount").and_then(Value::as_u64) > Some(0)
            || status.pointer("/lastState/terminated").is_some()
    };
    statuses
        .filter(has_ended)
        .map(|status| text(status, "/name"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_of_nodes_in_focus_come_first() {
        let pod = |name: &str, node: &str, app: &str| json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": {"nodeName": node}});
        let pods = [
            pod("p1", "a", "x"),
            pod("p2", "b", "x"),
            pod("p3", "c", "x"),
            pod("other", "c", "y"),
        ];
        let owner = json!({"spec": {"selector": {"matchLabels": {"app": "x"}}}});
        let nodes = ["c", "a", "b"].map(str::to_owned);
        let names = |most| -> Vec<String> {
            let chosen = chosen(&pods, &owner, &nodes, most);
            chosen
                .iter()
                .map(|pod| text(pod, "/metadata/name").to_owned())
                .collect()
        };
        assert_eq!(names(2), ["p3", "p1"]);
        assert_eq!(names(9), ["p3", "p1", "p2"]);
        let ended = json!({"status": {"containerStatuses": [
            {"name": "a", "restartCount": 0, "lastState": {}}, {"name": "b", "restartCount": 2}]}});
        assert_eq!(restarted(&ended), ["b"]);
    }
}
