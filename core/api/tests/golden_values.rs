//! What is stored of an object of each kind: key and value by hand, from upstream's layout and its structs' tags.
//!
//! Values are compared byte for byte. Fields stand in the order of their names, where upstream's stand in that of its structs.

use std::collections::BTreeSet;

use api::{AdmitOptions, Kind, admit};

const V3: &str = "/calico/resources/v3/projectcalico.org/";

/// The object as its author writes it; the key, after the prefix of resources where it has that; the value.
const CASES: &[(&str, &str, &str)] = &[
    (
        r#"{"kind":"NetworkPolicy","metadata":{"name":"web"},"spec":{"selector":"app == 'a<b'","order":1e3,"ingress":[{"action":"Allow","protocol":"tcp","destination":{"ports":[80]}}]}}"#,
        "networkpolicies/default/web",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"annotations":{"projectcalico.org/metadata":"{\"name\":\"web\"}"},"labels":{"projectcalico.org/tier":"default"},"name":"web","namespace":"default"},"spec":{"ingress":[{"action":"Allow","destination":{"ports":[80]},"protocol":"TCP"}],"order":1000,"selector":"app == 'a\u003cb'","tier":"default","types":["Ingress"]}}"#,
    ),
    (
        r#"{"kind":"GlobalNetworkPolicy","metadata":{"name":"out"},"spec":{"tier":"t","egress":[{"action":"Pass"}]}}"#,
        "globalnetworkpolicies/out",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkPolicy","metadata":{"annotations":{"projectcalico.org/metadata":"{\"name\":\"out\"}"},"labels":{"projectcalico.org/tier":"t"},"name":"out"},"spec":{"egress":[{"action":"Pass"}],"tier":"t","types":["Egress"]}}"#,
    ),
    (
        r#"{"kind":"StagedNetworkPolicy","metadata":{"name":"web"},"spec":{"ingress":[{"action":"Deny"}],"egress":[{"action":"Deny"}]}}"#,
        "stagednetworkpolicies/default/web",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"StagedNetworkPolicy","metadata":{"annotations":{"projectcalico.org/metadata":"{\"name\":\"web\"}"},"labels":{"projectcalico.org/tier":"default"},"name":"web","namespace":"default"},"spec":{"egress":[{"action":"Deny"}],"ingress":[{"action":"Deny"}],"stagedAction":"Set","tier":"default","types":["Ingress","Egress"]}}"#,
    ),
    (
        r#"{"kind":"StagedGlobalNetworkPolicy","metadata":{"name":"gone"},"spec":{"stagedAction":"Delete"}}"#,
        "stagedglobalnetworkpolicies/gone",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"StagedGlobalNetworkPolicy","metadata":{"annotations":{"projectcalico.org/metadata":"{\"name\":\"gone\"}"},"labels":{"projectcalico.org/tier":"default"},"name":"gone"},"spec":{"stagedAction":"Delete","tier":"default"}}"#,
    ),
    (
        r#"{"kind":"StagedKubernetesNetworkPolicy","metadata":{"name":"web","namespace":"prod"},"spec":{"egress":[{}]}}"#,
        "stagedkubernetesnetworkpolicies/prod/web",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"StagedKubernetesNetworkPolicy","metadata":{"name":"web","namespace":"prod"},"spec":{"egress":[{}],"podSelector":{},"stagedAction":"Set"}}"#,
    ),
    (
        r#"{"kind":"Tier","metadata":{"name":"t"}}"#,
        "tiers/t",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{"name":"t"},"spec":{"defaultAction":"Deny","order":1000000}}"#,
    ),
    (
        r#"{"kind":"NetworkSet","metadata":{"name":"s"},"spec":{"nets":["10.0.0.1"]}}"#,
        "networksets/default/s",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"NetworkSet","metadata":{"name":"s","namespace":"default"},"spec":{"nets":["10.0.0.1"]}}"#,
    ),
    (
        r#"{"kind":"GlobalNetworkSet","metadata":{"name":"s","labels":{"a":true}}}"#,
        "globalnetworksets/s",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkSet","metadata":{"labels":{"a":"true"},"name":"s"},"spec":{}}"#,
    ),
    (
        r#"{"kind":"Profile","metadata":{"name":"p"},"spec":{"labelsToApply":{"n":1}}}"#,
        "profiles/p",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"Profile","metadata":{"name":"p"},"spec":{"labelsToApply":{"n":"1"}}}"#,
    ),
    (
        r#"{"kind":"WorkloadEndpoint","metadata":{},"spec":{"orchestrator":"k8s","node":"node-1","pod":"web-0","endpoint":"eth0","interfaceName":"cali1","ipNetworks":["10.65.0.1/32"]}}"#,
        "workloadendpoints/default/node--1-k8s-web--0-eth0",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"WorkloadEndpoint","metadata":{"labels":{"projectcalico.org/namespace":"default","projectcalico.org/orchestrator":"k8s"},"name":"node--1-k8s-web--0-eth0","namespace":"default"},"spec":{"endpoint":"eth0","interfaceName":"cali1","ipNetworks":["10.65.0.1/32"],"node":"node-1","orchestrator":"k8s","pod":"web-0"}}"#,
    ),
    (
        r#"{"kind":"HostEndpoint","metadata":{"name":"h"},"spec":{"node":"n","interfaceName":"*","ports":[{"name":"ssh","protocol":"tcp","port":22}]}}"#,
        "hostendpoints/h",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"HostEndpoint","metadata":{"name":"h"},"spec":{"interfaceName":"*","node":"n","ports":[{"name":"ssh","port":22,"protocol":"TCP"}]}}"#,
    ),
    (
        r#"{"kind":"Node","metadata":{"name":"n"},"spec":{"bgp":{"asNumber":"64.1","ipv4Address":"192.0.2.1/24"}}}"#,
        "nodes/n",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"Node","metadata":{"name":"n"},"spec":{"bgp":{"asNumber":4194305,"ipv4Address":"192.0.2.1/24"}}}"#,
    ),
    (
        r#"{"kind":"IPPool","metadata":{"name":"six"},"spec":{"cidr":"FD00:0::/64"}}"#,
        "ippools/six",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"IPPool","metadata":{"name":"six"},"spec":{"allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic","blockSize":122,"cidr":"fd00::/64","ipipMode":"Never","nodeSelector":"all()","vxlanMode":"Never"}}"#,
    ),
    (
        r#"{"kind":"IPReservation","metadata":{"name":"r"},"spec":{"reservedCIDRs":["10.0.0.0/30"]}}"#,
        "ipreservations/r",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"IPReservation","metadata":{"name":"r"},"spec":{"reservedCIDRs":["10.0.0.0/30"]}}"#,
    ),
    (
        r#"{"kind":"IPAMConfiguration","metadata":{"name":"default"},"spec":{"strictAffinity":true,"maxBlocksPerHost":4}}"#,
        "/calico/ipam/v2/config",
        r#"{"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":4}"#,
    ),
    (
        r#"{"kind":"BlockAffinity","metadata":{"name":"n-10-65-0-0-26"},"spec":{"state":"confirmed","node":"n","cidr":"10.65.0.0/26"}}"#,
        "/calico/ipam/v2/host/n/ipv4/block/10.65.0.0-26",
        r#"{"state":"confirmed","deleted":false}"#,
    ),
    (
        r#"{"kind":"IPAMBlock","metadata":{"name":"10-65-0-0-31"},"spec":{"cidr":"10.65.0.0/31","allocations":[null,null],"unallocated":[0,1],"attributes":[],"strictAffinity":false}}"#,
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-31",
        r#"{"cidr":"10.65.0.0/31","affinity":null,"allocations":[null,null],"unallocated":[0,1],"attributes":null,"sequenceNumber":0,"sequenceNumberForAllocation":{},"deleted":false}"#,
    ),
    (
        r#"{"kind":"IPAMHandle","metadata":{"name":"net.1"},"spec":{"handleID":"Net.1","block":{"10.65.0.0/26":1}}}"#,
        "/calico/ipam/v2/handle/Net.1",
        r#"{"block":{"10.65.0.0/26":1},"deleted":false}"#,
    ),
    (
        r#"{"kind":"FelixConfiguration","metadata":{"name":"default"},"spec":{"bpfConnectTimeLoadBalancingEnabled":false}}"#,
        "felixconfigurations/default",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"FelixConfiguration","metadata":{"name":"default"},"spec":{"bpfConnectTimeLoadBalancing":"Disabled","bpfConnectTimeLoadBalancingEnabled":false,"bpfHostNetworkedNATWithoutCTLB":"Disabled","floatingIPs":"Disabled","nftablesFlowTableOffload":"Disabled","nftablesMode":"Auto"}}"#,
    ),
    (
        r#"{"kind":"ClusterInformation","metadata":{"name":"default"},"spec":{"datastoreReady":true}}"#,
        "clusterinformations/default",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"ClusterInformation","metadata":{"name":"default"},"spec":{"datastoreReady":true}}"#,
    ),
    (
        r#"{"kind":"BGPConfiguration","metadata":{"name":"default"},"spec":{"asNumber":"64.1","listenPort":0,"nodeMeshPassword":{"secretKeyRef":{"key":"k"}}}}"#,
        "bgpconfigurations/default",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"BGPConfiguration","metadata":{"name":"default"},"spec":{"asNumber":4194305,"logSeverityScreen":"Info","nodeMeshPassword":{"secretKeyRef":{"key":"k","name":""}},"serviceLoadBalancerAggregation":"Enabled"}}"#,
    ),
    (
        r#"{"kind":"BGPPeer","metadata":{"name":"p"},"spec":{"peerIP":"192.0.2.1","asNumber":"64512","localASNumber":"1.0"}}"#,
        "bgppeers/p",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"BGPPeer","metadata":{"name":"p"},"spec":{"asNumber":64512,"localASNumber":65536,"peerIP":"192.0.2.1"}}"#,
    ),
    (
        r#"{"kind":"BGPFilter","metadata":{"name":"f"},"spec":{"importV4":[{"action":"Accept","asPathPrefix":["1.1"],"operations":[{"prependASPath":{"prefix":["7"]}}]}]}}"#,
        "bgpfilters/f",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"BGPFilter","metadata":{"name":"f"},"spec":{"importV4":[{"action":"Accept","asPathPrefix":[65537],"operations":[{"prependASPath":{"prefix":[7]}}]}]}}"#,
    ),
    (
        r#"{"kind":"KubeControllersConfiguration","metadata":{"name":"default"},"spec":{"controllers":{"node":{},"loadBalancer":{},"migration":{}}}}"#,
        "kubecontrollersconfigurations/default",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"KubeControllersConfiguration","metadata":{"name":"default"},"spec":{"controllers":{"loadBalancer":{"assignIPs":"AllServices"},"migration":{"policyNameMigrator":"Enabled"},"node":{"leakGracePeriod":"15m0s"}},"healthChecks":"Enabled","prometheusMetricsPort":9094}}"#,
    ),
    (
        r#"{"kind":"CalicoNodeStatus","metadata":{"name":"n"},"spec":{"node":"n","classes":["BGP"],"updatePeriodSeconds":10}}"#,
        "caliconodestatuses/n",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"CalicoNodeStatus","metadata":{"name":"n"},"spec":{"classes":["BGP"],"node":"n","updatePeriodSeconds":10}}"#,
    ),
    (
        r#"{"kind":"LiveMigration","metadata":{"name":"m"},"spec":{"target":{"selector":"has(vm)"}}}"#,
        "livemigrations/default/m",
        r#"{"apiVersion":"projectcalico.org/v3","kind":"LiveMigration","metadata":{"name":"m","namespace":"default"},"spec":{"target":{"selector":"has(vm)"}}}"#,
    ),
    (
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"prod"}}"#,
        "namespaces/prod",
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"prod"}}"#,
    ),
    (
        r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"robot","namespace":"prod"}}"#,
        "serviceaccounts/prod/robot",
        r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"robot","namespace":"prod"}}"#,
    ),
    (
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"prod"},"spec":{"ports":[{"port":80}]}}"#,
        "kubernetesservice/prod/web",
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"prod"},"spec":{"ports":[{"port":80}]}}"#,
    ),
    (
        r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-x1","namespace":"prod"},"addressType":"IPv4","endpoints":[]}"#,
        "kubernetesendpointslices/prod/web-x1",
        r#"{"addressType":"IPv4","apiVersion":"discovery.k8s.io/v1","endpoints":[],"kind":"EndpointSlice","metadata":{"name":"web-x1","namespace":"prod"}}"#,
    ),
    (
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web"},"spec":{"egress":[{}]}}"#,
        "kubernetesnetworkpolicies/default/web",
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"default"},"spec":{"egress":[{}],"podSelector":{},"policyTypes":["Ingress","Egress"]}}"#,
    ),
    (
        r#"{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"c"},"spec":{"tier":"Admin","priority":1,"subject":{"namespaces":{}}}}"#,
        "kubernetesclusternetworkpolicies/c",
        r#"{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"c"},"spec":{"priority":1,"subject":{"namespaces":{}},"tier":"Admin"}}"#,
    ),
];

#[test]
fn golden_keys_and_values_of_every_kind() {
    let mut kinds = BTreeSet::new();
    for (written, key, stored) in CASES {
        let mut value: serde_json::Value = serde_json::from_str(written).unwrap();
        let api_version = value["apiVersion"]
            .as_str()
            .unwrap_or("projectcalico.org/v3");
        value["apiVersion"] = api_version.to_owned().into();
        let object = admit(value, &AdmitOptions::default()).unwrap();
        kinds.insert(object.kind());
        let key = if key.starts_with('/') {
            (*key).to_owned()
        } else {
            format!("{V3}{key}")
        };
        assert_eq!(object.store_key(), key);
        assert_eq!(String::from_utf8(object.to_store_bytes()).unwrap(), *stored);
        assert!(api::decode(&key, stored.as_bytes()).is_ok(), "{key}");
    }
    assert_eq!(kinds, Kind::all().collect());
}
