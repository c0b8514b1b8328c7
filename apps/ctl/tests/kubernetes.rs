//! calicoctl on a real Kubernetes API server, with the rights of its own service account, and what each command costs there.

#[expect(dead_code, reason = "the other tests need the rest")]
mod support;

use support::Lab;
use testkit::servers::{RealKubernetes, User};

const POOL: &str = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: four}\nspec: {cidr: 10.65.0.0/24}\n";
const POLICY: &str = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec: {selector: \"app == 'web'\"}\n";

/// Runs a command; gives its code, what it said, and what was asked of the server for it.
fn run(
    lab: &Lab,
    server: &RealKubernetes,
    args: &[&str],
    stdin: &str,
) -> (u8, String, Vec<String>) {
    let before = server.requests(User::Calicoctl).len();
    let kubeconfig = server.kubeconfig(User::Calicoctl).display().to_string();
    let environment = [
        ("DATASTORE_TYPE", "kubernetes"),
        ("KUBECONFIG", kubeconfig.as_str()),
    ];
    let ended = lab.in_environment(args, stdin, &environment);
    let asked = server.requests(User::Calicoctl).split_off(before);
    eprintln!(
        "calicoctl {}: {} requests: {asked:?}",
        args.join(" "),
        asked.len()
    );
    (ended.code, ended.out + &ended.err, asked)
}

#[test]
fn commands_work_and_cost_little() {
    let Some(server) = RealKubernetes::start() else {
        return;
    };
    server.install_definitions("v1");
    server.kubectl(&["create", "namespace", "shop"]);
    let lab = Lab::new();
    // The first command of a new cluster makes tiers and ClusterInformation besides.
    let set = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: first}\n";
    let (code, said, _) = run(&lab, &server, &["create", "-f", "-"], set);
    assert_eq!(code, 0, "{said}");
    let (code, said, asked) = run(&lab, &server, &["create", "-f", "-"], POOL);
    assert_eq!(
        (code, said.as_str()),
        (0, "Successfully created 1 'IPPool' resource(s)\n")
    );
    // A pool must not overlap with another, nor with a block of none: both are read. Other kinds take 2.
    assert_eq!(asked.len(), 4, "upstream asks 7 to 9 times: {asked:?}");
    let (code, said, _) = run(&lab, &server, &["create", "-f", "-"], POOL);
    assert_eq!(code, 1);
    assert!(said.contains("already exists"), "{said}");
    let (code, said, asked) = run(&lab, &server, &["get", "ippool", "four"], "");
    assert_eq!(code, 0);
    assert!(said.contains("10.65.0.0/24"), "{said}");
    assert_eq!(asked.len(), 2, "upstream asks 3 times: {asked:?}");
    let (code, said, _) = run(&lab, &server, &["apply", "-f", "-"], POLICY);
    assert_eq!(code, 0, "{said}");
    let found = server.object(&["-n", "shop", "networkpolicies.crd.projectcalico.org", "web"]);
    assert_eq!(found["spec"]["tier"], "default");
    let (code, said, _) = run(
        &lab,
        &server,
        &["get", "networkpolicy", "-n", "shop", "-o", "yaml"],
        "",
    );
    assert_eq!(code, 0);
    assert!(
        said.contains("name: web") && said.contains("types:"),
        "{said}"
    );
    let (code, said, _) = run(&lab, &server, &["get", "profile"], "");
    assert_eq!(code, 0);
    assert!(said.contains("kns.shop"), "{said}");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: more}\n";
    let (code, said, _) = run(&lab, &server, &["apply", "-f", "-"], namespace);
    assert_eq!(code, 1);
    assert!(said.contains("use kubectl"), "{said}");
    let (code, said, _) = run(
        &lab,
        &server,
        &["delete", "networkpolicy", "web", "-n", "shop"],
        "",
    );
    assert_eq!(code, 0, "{said}");
    services(&lab, &server);
}

const BALANCED: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {type: LoadBalancer, ports: [{port: 80}]}\n";
const CONTROLLERS: &str = "apiVersion: projectcalico.org/v3\nkind: KubeControllersConfiguration\nmetadata: {name: default}\n\
                           spec: {controllers: {loadBalancer: {assignIPs: AllServices}}}\n";

/// Services are shown and asked for their addresses, and are kubectl's to change.
fn services(lab: &Lab, server: &RealKubernetes) {
    server.apply(BALANCED);
    let status = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"10.65.0.9"}]}}}"#;
    let patch = [
        "patch",
        "service",
        "web",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ];
    server.kubectl(&[&["-n", "shop"][..], &patch].concat());
    let check = ["ipam", "check", "--show-all-ips"];
    let (code, said, _) = run(lab, server, &check, "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("skipping service check"), "{said}");
    let (code, said, _) = run(lab, server, &["apply", "-f", "-"], CONTROLLERS);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) = run(lab, server, &check, "");
    assert_eq!(code, 0, "{said}");
    for line in [
        "10.65.0.9 belongs to Service(shop/web)",
        "Found 1 service load balancer(s).",
        "10.65.0.9 in use by Service(shop/web) and in active IPAM pool but has no IPAM allocation.",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let (code, said, _) = run(lab, server, &["get", "services", "-n", "shop"], "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("web"), "{said}");
    let delete = ["delete", "service", "web", "-n", "shop"];
    let (code, said, _) = run(lab, server, &delete, "");
    assert_eq!(code, 1);
    assert!(said.contains("use kubectl"), "{said}");
}
