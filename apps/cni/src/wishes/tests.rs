use super::*;
use serde_json::json;

fn conf(ipam: &str, features: &[&str]) -> NetConf {
    let features: BTreeMap<&str, bool> = features.iter().map(|name| (*name, true)).collect();
    let conf = json!({"ipam": {"type": ipam}, "feature_control": features});
    NetConf::parse(conf.to_string().as_bytes()).unwrap()
}

fn facts(pod: &[(&str, &str)], namespace: &[(&str, &str)]) -> PodFacts {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned()))
            .collect()
    };
    PodFacts {
        shown: "shop/web-0".into(),
        annotations: map(pod),
        namespace_annotations: map(namespace),
        endpoint: None,
    }
}

fn of(pod: &[(&str, &str)], namespace: &[(&str, &str)]) -> Wishes {
    let all = conf(delegate::OWN, &["ip_addrs_no_ipam", "floating_ips"]);
    Wishes::read(&all, &facts(pod, namespace)).unwrap()
}

fn any(wishes: Wishes) -> Choice {
    match wishes.addresses {
        Addresses::Any(choice) => choice,
        other @ (Addresses::Exactly(_) | Addresses::Unmanaged(_)) => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_asked_for_without_annotations() {
    assert_eq!(of(&[], &[]), Wishes::default());
    let empty = [("ipAddrs", ""), ("ipv4pools", ""), ("floatingIPs", "")];
    assert_eq!(of(&empty, &empty), Wishes::default());
}

#[test]
fn a_pods_pools_go_before_its_namespaces() {
    let namespace = [
        ("ipv4pools", r#"["ns4"]"#),
        ("ipv6pools", r#"["ns6", "fd00::/64"]"#),
        ("ipFamilies", r#"["IPv4", "IPv6"]"#),
        // What only a pod can ask for.
        ("ipAddrs", r#"["10.0.0.1"]"#),
        ("hwAddr", "nonsense"),
    ];
    let choice = any(of(&[], &namespace));
    assert_eq!(choice.pools[&Family::V4], ["ns4"]);
    assert_eq!(choice.pools[&Family::V6], ["ns6", "fd00::/64"]);
    assert_eq!(choice.families, Some(vec![Family::V4, Family::V6]));
    let pod = [
        ("ipv4pools", r#"["10.0.0.0/8"]"#),
        ("ipv6pools", "null"),
        ("ipFamilies", r#"["IPv6"]"#),
    ];
    let choice = any(of(&pod, &namespace));
    assert_eq!(choice.pools[&Family::V4], ["10.0.0.0/8"]);
    assert!(choice.pools[&Family::V6].is_empty());
    assert_eq!(choice.families, Some(vec![Family::V6]));
    // Another IPAM is not asked so.
    let other = conf("host-local", &[]);
    let wishes = Wishes::read(&other, &facts(&[("ipv4pools", "nonsense")], &[])).unwrap();
    assert_eq!(wishes, Wishes::default());
}

#[test]
fn addresses_and_interface() {
    let wishes = of(
        &[
            ("ipAddrs", r#"["fd00::7", "::ffff:10.0.0.7"]"#),
            ("hwAddr", "02-00-5E-10-00-01"),
            ("floatingIPs", r#"["192.0.2.1", "2001:db8::1"]"#),
            ("allowedSourcePrefixes", r#"["10.9.0.7/16"]"#),
        ],
        &[],
    );
    let addr = |text: &str| -> IpAddr { text.parse().unwrap() };
    assert_eq!(
        wishes.addresses,
        Addresses::Exactly(vec![addr("fd00::7"), addr("10.0.0.7")])
    );
    assert_eq!(wishes.mac.unwrap().to_string(), "02:00:5e:10:00:01");
    assert_eq!(wishes.source_prefixes, ["10.9.0.0/16".parse().unwrap()]);
    let (nats, idle) = wishes.nats(&[addr("10.0.0.7")]);
    assert_eq!(
        nats,
        [IpNat {
            internal: addr("10.0.0.7"),
            external: addr("192.0.2.1")
        }]
    );
    assert_eq!(idle, [addr("2001:db8::1")]);
    let wishes = of(&[("ipAddrsNoIpam", r#"["10.0.0.1"]"#)], &[]);
    assert_eq!(
        wishes.addresses,
        Addresses::Unmanaged(vec![addr("10.0.0.1")])
    );
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    let mut said = String::new();
    let mut refuse = |conf: &NetConf, pod: &[(&str, &str)], namespace: &[(&str, &str)]| {
        let error = Wishes::read(conf, &facts(pod, namespace)).unwrap_err();
        assert_eq!(error.code, Code::Config);
        said.push_str(&format!("{error}\n"));
    };
    let own = conf(delegate::OWN, &[]);
    refuse(&own, &[("ipAddrs", "10.0.0.1")], &[]);
    refuse(&own, &[("ipAddrs", "[]")], &[]);
    refuse(&own, &[("ipAddrs", r#"["10.0.0.1/32"]"#)], &[]);
    refuse(&own, &[("ipAddrs", r#"["10.0.0.1", "10.0.0.2"]"#)], &[]);
    refuse(&own, &[("ipAddrs", "[]"), ("ipAddrsNoIpam", "[]")], &[]);
    refuse(&own, &[("ipAddrsNoIpam", r#"["10.0.0.1"]"#)], &[]);
    let other = conf("host-local", &["ip_addrs_no_ipam"]);
    refuse(&other, &[("ipAddrs", r#"["10.0.0.1"]"#)], &[]);
    refuse(&own, &[], &[("ipv4pools", "blue")]);
    refuse(&own, &[("ipFamilies", r#"["ipv4"]"#)], &[]);
    refuse(&own, &[("ipFamilies", "[]")], &[]);
    refuse(&own, &[("hwAddr", "")], &[]);
    refuse(&own, &[("hwAddr", "01:00:5e:00:00:01")], &[]);
    refuse(&own, &[("floatingIPs", r#"["192.0.2.1"]"#)], &[]);
    let floating = conf(delegate::OWN, &["floating_ips"]);
    refuse(&floating, &[("floatingIPs", r#"["here"]"#)], &[]);
    refuse(&own, &[("allowedSourcePrefixes", r#"["10.0.0.1"]"#)], &[]);
    insta::assert_snapshot!(said);
}
