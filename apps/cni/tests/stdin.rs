//! Whatever comes on stdin and in the environment, the answer is a result or an error object, and never a panic.

use std::collections::BTreeMap;

use cni::{NetConf, Plugin};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIELDS: [&str; 33] = [
    "cniVersion",
    "name",
    "type",
    "ipam",
    "mtu",
    "num_queues",
    "nodename",
    "nodename_file",
    "nodename_file_optional",
    "datastore_type",
    "datastore_file",
    "etcd_endpoints",
    "kubernetes",
    "container_settings",
    "policy",
    "policy_setup_timeout_seconds",
    "labels",
    "args",
    "runtimeConfig",
    "prevResult",
    "cni.dev/valid-attachments",
    "hostname",
    "log_level",
    "log_file_max_size",
    "require_mtu_file",
    "device_type",
    "include_default_routes",
    "readiness_gates",
    "feature_control",
    "dataplane_options",
    "log_file_max_age",
    "log_file_max_count",
    "unknown",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("true"),
            Just("calico-ipam"),
            Just("10.0.0.1/33"),
            Just("1.1.0")
        ]
        .prop_map(Value::from),
    ];
    let keys = prop_oneof![
        "[a-zA-Z_.-]{0,10}",
        Just("type".to_owned()),
        Just("labels".to_owned()),
        Just("cni".to_owned()),
        Just("ips".to_owned()),
        Just("assign_ipv4".to_owned()),
        Just("org.apache.mesos".to_owned()),
        Just("network_info".to_owned()),
        Just("containerID".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes(stdin in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = NetConf::parse(&stdin);
    }

    #[test]
    fn fields_of_any_shape(
        fields in prop::collection::btree_map(prop::sample::select(&FIELDS[..]), any_json(), 0..8),
        command in prop_oneof![Just("ADD"), Just("DEL"), Just("CHECK"), Just("GC"), Just("STATUS"), Just("VERSION"), Just("x")],
        variables in prop::collection::btree_map("CNI_(CONTAINERID|IFNAME|NETNS|ARGS|PATH)", "[a-z0-9=;/.]{0,12}", 0..6),
    ) {
        let mut conf = json!({"cniVersion": "1.1.0", "name": "n", "nodename": "n", "nodename_file_optional": true, "ipam": {"type": "calico-ipam"}});
        for (field, value) in fields {
            conf[field] = value;
        }
        // A file that is not there: the parsing is what is tested, nothing may be done.
        conf["datastore_type"] = "embedded".into();
        conf["datastore_file"] = "/nonexistent/store.db".into();
        if conf["ipam"]["type"] != "calico-ipam" {
            conf["ipam"] = json!({"type": "no/plugin"});
        }
        let mut environment: BTreeMap<String, String> = variables;
        environment.insert("CNI_COMMAND".into(), command.into());
        environment.insert("CNI_NETNS".into(), "/nonexistent/netns".into());
        let answer = Plugin::Calico.run(&environment, conf.to_string().as_bytes());
        match answer {
            Ok(_) => prop_assert_eq!(command, "VERSION"),
            Err(error) => {
                let object: Value = serde_json::from_str(&error.to_json("1.1.0")).expect("JSON");
                prop_assert!(object["code"].as_u64().is_some_and(|code| code > 0));
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}
