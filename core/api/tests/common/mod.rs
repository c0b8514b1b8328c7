//! One real object of every kind, full of fields.

use serde_json::{Value, json};

fn v3(kind: &str, metadata: Value, spec: Value) -> Value {
    json!({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec})
}

fn policies() -> Vec<Value> {
    vec![
        v3(
            "NetworkPolicy",
            json!({"name": "web", "namespace": "prod", "labels": {"a": "b"}, "annotations": {"Note": "x"}}),
            json!({
                "order": 10.5,
                "selector": "app == 'web'",
                "serviceAccountSelector": "role == 'web'",
                "performanceHints": ["AssumeNeededOnEveryNode"],
                "ingress": [
                    {
                        "action": "Allow",
                        "protocol": "tcp",
                        "ipVersion": 4,
                        "source": {
                            "nets": ["10.0.0.0/8", "192.0.2.1/32"],
                            "selector": "app in {'a', 'b'}",
                            "namespaceSelector": "team == 'x'",
                            "serviceAccounts": {"names": ["s1", "s2"], "selector": "k == 'v'"},
                            "notPorts": [1]
                        },
                        "destination": {"ports": [80, "8000:8080", "http"]},
                        "http": {"methods": ["GET"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]},
                        "metadata": {"annotations": {"name": "r1"}}
                    },
                    {"action": "Deny", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}},
                    {"action": "Log", "notProtocol": 17},
                    {"action": "Pass", "source": {"services": {"name": "dns", "namespace": "kube-system"}}}
                ],
                "egress": [{"action": "Allow", "destination": {"notSelector": "has(x)", "notNets": ["10.1.0.0/16"]}}]
            }),
        ),
        v3(
            "GlobalNetworkPolicy",
            json!({"name": "deny-all"}),
            json!({
                "tier": "security",
                "selector": "all()",
                "namespaceSelector": "env == 'prod'",
                "doNotTrack": true,
                "applyOnForward": true,
                "types": ["Ingress", "Egress"],
                "ingress": [{"action": "Allow", "source": {"namespaceSelector": "global()"}}]
            }),
        ),
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "knp", "namespace": "prod"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "t", "operator": "In", "values": ["a", "b"]}]},
                "ingress": [{
                    "from": [
                        {"podSelector": {"matchLabels": {"role": "front"}}},
                        {"namespaceSelector": {}},
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
                    ],
                    "ports": [{"port": 81}, {"port": 80}, {"port": 82, "endPort": 90}, {"protocol": "UDP", "port": "dns"}]
                }],
                "egress": [{}]
            }
        }),
        v3("Tier", json!({"name": "security"}), json!({"order": 100})),
    ]
}

fn networks() -> Vec<Value> {
    vec![
        v3(
            "NetworkSet",
            json!({"name": "set", "namespace": "prod", "labels": {"a": "b"}}),
            json!({"nets": ["10.1.2.3/8", "fd00::1"]}),
        ),
        v3(
            "GlobalNetworkSet",
            json!({"name": "gset"}),
            json!({"nets": ["192.0.2.0/24"]}),
        ),
        v3(
            "Profile",
            json!({"name": "prof"}),
            json!({"ingress": [{"action": "Allow"}], "labelsToApply": {"x": "y"}}),
        ),
        v3(
            "IPPool",
            json!({"name": "pool"}),
            json!({"cidr": "10.65.0.0/16", "vxlanMode": "CrossSubnet", "natOutgoing": true}),
        ),
        v3(
            "IPReservation",
            json!({"name": "res"}),
            json!({"reservedCIDRs": ["10.65.0.0/30"]}),
        ),
        v3(
            "IPAMConfiguration",
            json!({"name": "default"}),
            json!({"strictAffinity": true, "ipCooldownSeconds": 5}),
        ),
        v3(
            "BlockAffinity",
            json!({"name": "node-1-10-65-0-0-26"}),
            json!({"state": "confirmed", "node": "node-1", "type": "host", "cidr": "10.65.0.0/26", "deleted": false}),
        ),
        v3(
            "IPAMBlock",
            json!({"name": "10-65-0-0-30"}),
            json!({
                "cidr": "10.65.0.0/30", "affinity": "host:node-1", "allocations": [0, null, null, null],
                "unallocated": [1, 2, 3], "attributes": [{"handle_id": "h", "secondary": {"pod": "p"}}],
                "sequenceNumber": 1, "sequenceNumberForAllocation": {"0": 1}, "deleted": false, "strictAffinity": false
            }),
        ),
        v3(
            "IPAMHandle",
            json!({"name": "net.1"}),
            json!({"handleID": "net.1", "block": {"10.65.0.0/26": 1}, "deleted": false}),
        ),
    ]
}

fn others() -> Vec<Value> {
    vec![
        v3(
            "WorkloadEndpoint",
            json!({"namespace": "prod", "labels": {"app": "web", "pcns.x": "y"}}),
            json!({
                "node": "node-1", "orchestrator": "k8s", "pod": "web-0", "endpoint": "eth0", "containerID": "abc123",
                "serviceAccountName": "robot", "ipNetworks": ["10.65.0.1/32", "fd00::1/128"],
                "ipNATs": [{"internalIP": "10.65.0.1", "externalIP": "192.0.2.9"}],
                "ipv4Gateway": "169.254.1.1", "profiles": ["kns.prod"], "interfaceName": "cali123", "mac": "ee:ee:ee:ee:ee:ee",
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "hostPort": 0, "hostIP": ""}],
                "allowSpoofedSourcePrefixes": ["10.9.0.0/16"], "qosControls": {"ingressBandwidth": 1000, "dscp": "EF"}
            }),
        ),
        v3(
            "HostEndpoint",
            json!({"name": "hep"}),
            json!({"node": "node-1", "interfaceName": "*", "expectedIPs": ["10.0.0.1"], "ports": [{"name": "ssh", "protocol": "tcp", "port": 22}]}),
        ),
        v3(
            "Node",
            json!({"name": "node-1", "labels": {"rack": "1"}}),
            json!({
                "bgp": {"asNumber": "64.1", "ipv4Address": "192.0.2.1/24", "ipv4IPIPTunnelAddr": "10.65.0.2"},
                "ipv4VXLANTunnelAddr": "10.65.0.3", "vxlanTunnelMACAddr": "66:00:00:00:00:01",
                "addresses": [{"address": "192.0.2.1", "type": "InternalIP"}, {"address": "192.0.2.1/24"}],
                "orchRefs": [{"nodeName": "node-1", "orchestrator": "k8s"}]
            }),
        ),
        v3(
            "FelixConfiguration",
            json!({"name": "default", "annotations": {"config.projectcalico.org/LogFilePath": "none"}}),
            json!({
                "logSeverityScreen": "Debug", "routeRefreshInterval": "1m30s", "iptablesLockProbeInterval": "100ms",
                "failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22, "net": "10.0.0.0/8"}, {"protocol": "udp", "port": 68, "net": "fd00::/8"}],
                "failsafeOutboundHostPorts": [], "kubeNodePortRanges": ["30000:32767", 80], "vxlanPort": 4789,
                "routeTableRanges": [{"min": 1, "max": 250}], "bpfLogFilters": {"eth0": "tcp"}, "iptablesMarkMask": 4294901760u32,
                "healthTimeoutOverrides": [{"name": "X", "timeout": "1m"}], "externalNodesList": ["10.0.0.0/8", "10.1.0.1"]
            }),
        ),
        v3(
            "ClusterInformation",
            json!({"name": "default"}),
            json!({"clusterGUID": "00", "clusterType": "k8s", "calicoVersion": "v3.33.0", "datastoreReady": true}),
        ),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"team": "x"}}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "prod", "labels": {"role": "web"}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "prod"}, "spec": {"ports": [{"port": 80}]}}),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-x1", "namespace": "prod", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
        }),
    ]
}

fn staged() -> Vec<Value> {
    vec![
        v3(
            "StagedNetworkPolicy",
            json!({"name": "web", "namespace": "prod"}),
            json!({
                "stagedAction": "Learn", "tier": "security", "order": 3, "selector": "app == 'web'",
                "egress": [{"action": "Deny", "protocol": "udp", "destination": {"ports": [53]}}]
            }),
        ),
        v3(
            "StagedGlobalNetworkPolicy",
            json!({"name": "gone"}),
            json!({"stagedAction": "Delete", "tier": "security"}),
        ),
        v3(
            "StagedKubernetesNetworkPolicy",
            json!({"name": "knp", "namespace": "prod"}),
            json!({
                "podSelector": {"matchLabels": {"app": "web"}},
                "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 80}]}],
                "policyTypes": ["Ingress"]
            }),
        ),
        json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "admin"},
            "spec": {
                "tier": "Admin", "priority": 10,
                "subject": {"namespaces": {"matchLabels": {"env": "prod"}}},
                "ingress": [{"name": "r", "action": "Deny", "from": [{"namespaces": {}}]}]
            }
        }),
    ]
}

fn bgp() -> Vec<Value> {
    vec![
        v3(
            "BGPConfiguration",
            json!({"name": "default"}),
            json!({
                "asNumber": 64512, "nodeToNodeMeshEnabled": true, "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
                "communities": [{"name": "c", "value": "64512:1"}],
                "prefixAdvertisements": [{"cidr": "10.65.0.0/16", "communities": ["c"]}]
            }),
        ),
        v3(
            "BGPPeer",
            json!({"name": "tor"}),
            json!({"nodeSelector": "rack == '1'", "peerIP": "192.0.2.254:1179", "asNumber": "64.1", "filters": ["f"]}),
        ),
        v3(
            "BGPFilter",
            json!({"name": "f"}),
            json!({"exportV4": [{"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In"}]}),
        ),
        v3(
            "KubeControllersConfiguration",
            json!({"name": "default"}),
            json!({"logSeverityScreen": "Info", "controllers": {"node": {"syncLabels": "Enabled"}}}),
        ),
        v3(
            "CalicoNodeStatus",
            json!({"name": "node-1"}),
            json!({"node": "node-1", "classes": ["BGP"], "updatePeriodSeconds": 10}),
        ),
        v3(
            "LiveMigration",
            json!({"name": "m", "namespace": "prod"}),
            json!({
                "source": {"workload": {"orchestratorID": "k8s", "workloadID": "prod/vm-a"}},
                "target": {"selector": "vm == 'a'"}
            }),
        ),
    ]
}

/// All of them.
pub(crate) fn objects() -> Vec<Value> {
    [policies(), staged(), networks(), bgp(), others()].concat()
}

/// How many there are.
pub(crate) const COUNT: usize = 32;
