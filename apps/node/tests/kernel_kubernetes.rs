//! The agent on a real Kubernetes API server: what `kubectl` changes there, packets obey here.

#[expect(dead_code, reason = "the other tests need the rest")]
mod agent;
#[expect(
    dead_code,
    reason = "the other tests send raw packets of all protocols"
)]
mod wire;

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use agent::{Host, LONG, skipped, until};
use testkit::servers::{KubernetesOptions, Place, RealKubernetes, User};
use wire::interface;

const PODS: [&[&str]; 3] = [
    &["10.0.0.1", "fd00::1"],
    &["10.0.0.2", "fd00::2"],
    &["10.0.0.3", "fd00::3"],
];

/// Not a test: what this program is when a test starts it as the agent.
#[test]
fn agent_process() {
    agent::become_agent();
}

/// A cluster of one node: the API server in the host's namespace, where the agent finds it.
fn cluster(host: &mut Host) -> Option<RealKubernetes> {
    let namespace = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        host.site.host.as_fd().as_raw_fd()
    );
    let place = Place {
        namespace: Some(PathBuf::from(namespace)),
        ..Place::default()
    };
    let server = RealKubernetes::start_with(KubernetesOptions {
        place,
        ..KubernetesOptions::default()
    })?;
    server.install_definitions("v1");
    let kubeconfig = server.kubeconfig(User::Node).display().to_string();
    host.environment
        .retain(|(name, _)| !name.contains("DATASTORE"));
    for (name, value) in [
        ("DATASTORE_TYPE", "kubernetes".to_owned()),
        ("KUBECONFIG", kubeconfig),
        ("PATH", std::env::var("PATH").unwrap_or_default()),
    ] {
        host.environment.push((name.to_owned(), value));
    }
    Some(server)
}

/// The pod as a kubelet and the CNI plugin leave it.
fn pod(host: &Host, number: usize, labels: &str) -> String {
    let addresses: Vec<String> = host.site.pods[number]
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod{number}\n  namespace: red\n  labels: {{{labels}}}\n  annotations:\n    \
         cni.projectcalico.org/podIP: \"{first}\"\n    cni.projectcalico.org/podIPs: \"{all}\"\n\
         spec: {{nodeName: n1, containers: [{{name: c, image: i}}]}}\n",
        first = addresses[0],
        all = addresses.join(","),
    )
}

/// Names the pods' interfaces as the CNI plugin does on Kubernetes.
fn rename_interfaces(host: &Host) {
    for number in 0..PODS.len() {
        let name = format!("cali{}", api::interface_digest(&format!("red.pod{number}")));
        host.hand(&format!("ip link set {} down", interface(number)));
        host.hand(&format!("ip link set {} name {name}", interface(number)));
        host.hand(&format!("ip link set {name} up"));
    }
}

const DENY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: red}\n\
                    spec: {podSelector: {matchLabels: {role: server}}, policyTypes: [Ingress]}\n";
const ALLOW: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow, namespace: red}\n\
                     spec: {podSelector: {matchLabels: {role: server}}, policyTypes: [Ingress], \
                     ingress: [{from: [{namespaceSelector: {matchLabels: {team: ours}}, podSelector: {matchLabels: {role: client}}}]}]}\n";

#[test]
fn what_kubectl_changes_packets_obey() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    let Some(mut server) = cluster(&mut host) else {
        return;
    };
    rename_interfaces(&host);
    // Before the kubelet has registered the node there is nothing to be done, and it is said.
    host.launch();
    until("the agent waits for its Node", LONG, || {
        host.log().contains("the cluster has no Node")
    });
    server.apply("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: red}\n");
    host.wait_ready();
    let tiers = server.object(&["tiers.crd.projectcalico.org"]);
    assert_eq!(
        tiers["items"].as_array().map(Vec::len),
        Some(3),
        "made as on other stores"
    );
    let cluster = server.object(&["clusterinformations.crd.projectcalico.org", "default"]);
    assert_eq!(cluster["spec"]["clusterType"], "k8s,bgp,kdd");
    assert_eq!(
        server.object(&["ippools.crd.projectcalico.org", "default-ipv4-ippool"])["spec"]["cidr"],
        "10.0.0.0/16"
    );

    let pods = [
        pod(&host, 0, "role: client"),
        pod(&host, 1, "role: server"),
        pod(&host, 2, "role: other"),
    ];
    server.apply(&pods.join("---\n"));
    host.wait_status(3);
    let client = host.stream(0, 1, 40_000, 1000);
    let other = host.stream(2, 1, 40_001, 1000);
    until("without a policy packets pass", LONG, || {
        flows(&client) && flows(&other)
    });

    policy_follows(&server, &client, &other);
    service_follows(&server, &other);
    not_ready(&host, &server, &other);
    outage(&host, &mut server, &client, &other);
    client.end();
    other.end();
    let requests = server.requests(User::Node);
    let watches = requests
        .iter()
        .filter(|request| request.starts_with("watch "))
        .count();
    let lists = requests
        .iter()
        .filter(|request| request.starts_with("list "))
        .count();
    eprintln!(
        "requests of the agent: {} in all, {watches} watches, {lists} lists",
        requests.len()
    );
    assert!(host.terminate().success());
}

/// Whether packets of a stream arrive now.
fn flows(stream: &agent::Stream) -> bool {
    let (received, sent) = (stream.received(), stream.sent());
    until("packets are sent", LONG, || stream.sent() > sent + 100);
    stream.received() > received
}

fn policy_follows(server: &RealKubernetes, client: &agent::Stream, other: &agent::Stream) {
    // A NetworkPolicy.
    server.apply(DENY);
    until("the policy denies", LONG, || {
        !flows(client) && !flows(other)
    });
    server.apply(ALLOW);
    assert!(!flows(client), "its namespace has no such label");
    // The Namespace is relabelled.
    server.kubectl(&["label", "namespace", "red", "team=ours"]);
    until("the namespace's label lets the client in", LONG, || {
        flows(client)
    });
    assert!(!flows(other));
    // The pods' labels change.
    label(server, "pod2", "client");
    until("the pod's label lets it in", LONG, || flows(other));
    label(server, "pod0", "other");
    until("the pod's label shuts it out", LONG, || !flows(client));
}

/// Lets pods with the role of a client reach the service, and nothing else.
const TO_SERVICE: &str = "apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: default.to-db, namespace: red}\n\
                          spec: {tier: default, order: 1, selector: role == 'client', types: [Egress], \
                          egress: [{action: Allow, destination: {services: {name: db, namespace: red}}}]}\n";

/// Where the stream from the third pod goes.
const SERVED: u16 = agent::PORT + 1;

/// A slice of a service that has the server's address, as a controller of Kubernetes makes it.
fn slice(service: &str, port: u16) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: db-1, namespace: red, labels: {{kubernetes.io/service-name: {service}}}}}\n\
         addressType: IPv4\nendpoints: [{{addresses: [10.0.0.2], conditions: {{ready: true}}}}]\n\
         ports: [{{name: stream, protocol: UDP, port: {port}}}]\n"
    )
}

fn service_follows(server: &RealKubernetes, client: &agent::Stream) {
    assert!(flows(client));
    server.apply(TO_SERVICE);
    until("nobody serves it yet", LONG, || !flows(client));
    server.apply(&slice("db", SERVED));
    until("the slice lets the client out", LONG, || flows(client));
    server.apply(&slice("db", agent::PORT));
    until("another port shuts it in", LONG, || !flows(client));
    server.apply(&slice("db", SERVED));
    until("the port is back", LONG, || flows(client));
    server.apply(&slice("cache", SERVED));
    until("the slice is another service's", LONG, || !flows(client));
    server.apply(&slice("db", SERVED));
    until("the slice is the service's again", LONG, || flows(client));
    server.kubectl(&["-n", "red", "delete", "endpointslice", "db-1"]);
    until("the slice is gone", LONG, || !flows(client));
    server.kubectl(&[
        "-n",
        "red",
        "delete",
        "networkpolicies.crd.projectcalico.org",
        "default.to-db",
    ]);
    until("without the policy packets pass", LONG, || flows(client));
}

/// While the datastore is locked the last policy stays in force.
fn not_ready(host: &Host, server: &RealKubernetes, other: &agent::Stream) {
    let say = |ready: &str| {
        let spec = format!(r#"{{"spec": {{"datastoreReady": {ready}}}}}"#);
        let cluster = "clusterinformations.crd.projectcalico.org";
        server.kubectl(&["patch", cluster, "default", "--type=merge", "-p", &spec]);
    };
    // What says nothing is no more ready than what says no.
    for (times, locked) in [(1, "false"), (2, "null")] {
        say(locked);
        until("the agent waits", LONG, || {
            host.log().matches("is not ready;").count() == times
        });
        label(server, "pod2", "other");
        assert!(flows(other), "the last policy stays in force");
        say("true");
        until("the agent goes on", LONG, || !flows(other));
        label(server, "pod2", "client");
        until("the pod's label lets it in again", LONG, || flows(other));
    }
}

fn label(server: &RealKubernetes, pod: &str, role: &str) {
    let role = format!("role={role}");
    server.kubectl(&["-n", "red", "label", "--overwrite", "pod", pod, &role]);
}

fn outage(host: &Host, server: &mut RealKubernetes, client: &agent::Stream, other: &agent::Stream) {
    // The API server is gone: the last policy stays in force, and what changes later is caught up.
    server.kill();
    until("the agent says so", LONG, || {
        !host.is_ready() || host.log().contains("datastore cannot be followed")
    });
    assert!(flows(other) && !flows(client), "nothing changes meanwhile");
    server.restart();
    server.kubectl(&["-n", "red", "delete", "networkpolicy", "deny", "allow"]);
    until("without policies packets pass again", LONG, || {
        flows(client) && flows(other)
    });
    // A pod that is done has no address any more: its interface has no policy, and so no traffic.
    server.kubectl(&[
        "-n",
        "red",
        "patch",
        "pod",
        "pod2",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"phase":"Succeeded"}}"#,
    ]);
    until("a finished pod is cut off", LONG, || !flows(other));
}
