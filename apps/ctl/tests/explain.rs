//! Explains packets in a small world of files, and in a store.

mod support;

use support::Lab;

const WORLD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: shop, labels: {app: web}}
spec:
  node: n1
  orchestrator: cni
  containerID: web
  endpoint: eth0
  interfaceName: cali1
  ipNetworks: [10.0.0.1/32, \"fd00::1/128\"]
  profiles: [kns.shop]
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: other, labels: {app: client}}
spec:
  node: n2
  orchestrator: k8s
  pod: client-1
  endpoint: eth0
  interfaceName: cali2
  ipNetworks: [10.0.0.2/32]
  profiles: [kns.other]
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: other}
spec:
  node: n2
  orchestrator: cni
  containerID: lost
  endpoint: eth0
  interfaceName: cali3
  ipNetworks: [10.0.0.3/32]
  profiles: [gone]
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 10}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: audit}
spec: {order: 20, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: sec}
spec:
  tier: security
  selector: has(app)
  types: [Ingress]
  ingress:
  - action: Log
  - action: Deny
    protocol: TCP
    destination: {ports: [22]}
    metadata: {annotations: {name: no-ssh}}
  - action: Pass
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: aud}
spec:
  tier: audit
  selector: app == 'web'
  types: [Ingress]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - action: Allow
    protocol: TCP
    source: {namespaceSelector: \"projectcalico.org/name == 'other'\", selector: \"app == 'client'\"}
    destination: {ports: [80]}
  - action: Allow
    protocol: ICMP
    icmp: {type: 8}
";

#[test]
fn verdicts_with_their_reasons() {
    let mut lab = Lab::new();
    lab.file("world/w.yaml", WORLD);
    let flows: [&[&str]; 14] = [
        &[
            "--from",
            "other/client-1",
            "--to",
            "shop/web",
            "--port",
            "80/tcp",
        ],
        &[
            "--from",
            "other/client-1",
            "--to",
            "shop/web",
            "--port",
            "22/tcp",
        ],
        &[
            "--from",
            "other/client-1",
            "--to",
            "shop/web",
            "--port",
            "443/tcp",
        ],
        &["--from", "10.0.0.2", "--to", "10.0.0.1", "--icmp", "8"],
        &["--from", "10.0.0.2", "--to", "10.0.0.1", "--icmp", "3/1"],
        &[
            "--from",
            "shop/web",
            "--to",
            "192.0.2.1",
            "--port",
            "53/udp",
        ],
        &[
            "--from",
            "other/lost",
            "--to",
            "192.0.2.1",
            "--port",
            "udp/53",
        ],
        &[
            "--from",
            "2001:db8::1",
            "--to",
            "shop/web",
            "--port",
            "80/tcp",
        ],
        &[
            "--from",
            "192.0.2.1",
            "--to",
            "192.0.2.2",
            "--port",
            "80/tcp",
        ],
        &[
            "--from",
            "shop/nope",
            "--to",
            "shop/web",
            "--port",
            "80/tcp",
        ],
        &[
            "--from",
            "2001:db8::1",
            "--to",
            "10.0.0.1",
            "--port",
            "80/tcp",
        ],
        &["--from", "words", "--to", "10.0.0.1", "--port", "80/tcp"],
        &["--from", "10.0.0.1", "--to", "10.0.0.1", "--port", "http"],
        &["--from", "10.0.0.1", "--to", "10.0.0.1"],
    ];
    for flow in flows {
        lab.run(&[&["explain", "--world", "DIR/world"], flow].concat());
    }
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn for_programs_and_from_the_store() {
    let mut lab = Lab::new();
    lab.file("world/w.yaml", WORLD);
    lab.run(&["apply", "-f", "DIR/world"]);
    let flow = [
        "explain",
        "--from",
        "other/client-1",
        "--to",
        "shop/web",
        "--port",
        "22/tcp",
    ];
    lab.run(&[&flow[..], &["-o", "json"]].concat());
    let live = lab.quiet(&[&flow[..], &["-o", "yaml"]].concat(), "").out;
    let offline = lab
        .quiet(
            &[&flow[..], &["-o", "yaml", "--world", "DIR/world"]].concat(),
            "",
        )
        .out;
    assert_eq!(live, offline);
    insta::assert_snapshot!(lab.transcript());
}

const SERVED: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: shop, labels: {app: web}}
spec:
  {node: n1, orchestrator: cni, containerID: web, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.0.0.1/32], profiles: [kns.shop]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {ports: [{port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.7], conditions: {ready: false}}]
ports: [{name: sql, port: 5432, protocol: TCP}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, source: {services: {name: db}}}
  egress:
  - action: Allow
    destination: {services: {name: db}}
    metadata: {annotations: {name: database}}
";

#[test]
fn a_rule_that_knows_a_service_names_it() {
    let mut lab = Lab::new();
    lab.file("world/w.yaml", SERVED);
    let explain = |from, to, port| {
        [
            "explain",
            "--world",
            "DIR/world",
            "--from",
            from,
            "--to",
            to,
            "--port",
            port,
        ]
    };
    lab.run(&explain("shop/web", "192.0.2.7", "5432/tcp"));
    lab.run(&explain("shop/web", "192.0.2.7", "5433/tcp"));
    lab.run(&explain("192.0.2.7", "shop/web", "80/tcp"));
    lab.run(&explain("192.0.2.8", "shop/web", "80/tcp"));
    let json = explain("shop/web", "192.0.2.7", "5432/tcp");
    lab.run(&[&json[..], &["-o", "json"]].concat());
    // The same from the store, which keeps slices and services as they are.
    lab.run(&["apply", "-f", "DIR/world"]);
    let live = [
        "explain",
        "--from",
        "shop/web",
        "--to",
        "192.0.2.7",
        "--port",
        "5432/tcp",
    ];
    lab.run(&live);
    lab.run(&["get", "services", "-n", "shop"]);
    lab.run(&["get", "endpointslice", "db-1", "-n", "shop", "-o", "yaml"]);
    lab.run(&["delete", "endpointslice", "db-1", "-n", "shop"]);
    lab.run(&live);
    insta::assert_snapshot!(lab.transcript());
}
