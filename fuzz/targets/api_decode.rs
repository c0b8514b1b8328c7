#![no_main]

use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 20] = [
    "/calico/resources/v3/projectcalico.org/networkpolicies/ns/name",
    "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/name",
    "/calico/resources/v3/projectcalico.org/tiers/name",
    "/calico/resources/v3/projectcalico.org/networksets/ns/name",
    "/calico/resources/v3/projectcalico.org/profiles/name",
    "/calico/resources/v3/projectcalico.org/workloadendpoints/ns/n1-k8s-pod-eth0",
    "/calico/resources/v3/projectcalico.org/ippools/name",
    "/calico/resources/v3/projectcalico.org/nodes/name",
    "/calico/resources/v3/projectcalico.org/felixconfigurations/default",
    "/calico/resources/v3/projectcalico.org/kubernetesnetworkpolicies/ns/name",
    "/calico/resources/v3/projectcalico.org/kubernetesclusternetworkpolicies/name",
    "/calico/resources/v3/projectcalico.org/stagednetworkpolicies/ns/name",
    "/calico/resources/v3/projectcalico.org/stagedkubernetesnetworkpolicies/ns/name",
    "/calico/resources/v3/projectcalico.org/bgpconfigurations/default",
    "/calico/resources/v3/projectcalico.org/bgppeers/name",
    "/calico/resources/v3/projectcalico.org/bgpfilters/name",
    "/calico/resources/v3/projectcalico.org/kubecontrollersconfigurations/default",
    "/calico/resources/v3/projectcalico.org/caliconodestatuses/name",
    "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
    "/calico/ipam/v2/handle/net.container",
];

fuzz_target!(|input: (u8, &[u8])| {
    let (key, bytes) = input;
    // Whatever it is, it is an update or a list of problems.
    let _ = api::decode(KEYS[usize::from(key) % KEYS.len()], bytes);
});
