//! KubeControllersConfiguration, CalicoNodeStatus and LiveMigration: read and checked in full. They tell the model nothing.

use super::{Identity, check_singleton, required_spec, spec};
use crate::fields::{
    annotations, cidr, distinct, duration, labels, limit_text, local_selector, name, selector, text,
};
use crate::reader::{Fields, Item};

const SWITCH: [(&str, ()); 2] = [("Enabled", ()), ("Disabled", ())];

pub(crate) fn configuration(id: &Identity<'_>, fields: &mut Fields<'_>) {
    check_singleton(id, fields);
    spec(fields, configuration_spec);
    fields.read("status", |item| {
        item.object(|fields| {
            fields.read("runningConfig", |item| item.object(configuration_spec));
            fields.read("environmentVars", |item| item.string_map(|_, _, _| ()));
        })
    });
}

fn configuration_spec(fields: &mut Fields<'_>) {
    let severities = [
        "None", "Debug", "Info", "Warning", "Error", "Fatal", "Panic",
    ];
    let severities = severities.map(|word| (word, ()));
    fields.nonempty("logSeverityScreen", |item| item.word(&severities));
    fields.nonempty("healthChecks", |item| item.word(&SWITCH));
    fields.read("etcdV3CompactionPeriod", duration);
    for port in ["prometheusMetricsPort", "debugProfilePort"] {
        fields.read(port, |item| item.integer(0..=65535));
    }
    fields.read("controllers", |item| item.object(controllers));
}

fn controllers(fields: &mut Fields<'_>) {
    fields.read("node", |item| item.object(node_controller));
    for plain in ["policy", "workloadEndpoint", "serviceAccount", "namespace"] {
        fields.read(plain, |item| {
            item.object(|fields| fields.read("reconcilerPeriod", duration))
        });
    }
    fields.read("loadBalancer", |item| {
        let words = [("AllServices", ()), ("RequestedServicesOnly", ())];
        item.object(|fields| fields.nonempty("assignIPs", |item| item.word(&words)))
    });
    fields.read("migration", |item| {
        item.object(|fields| fields.nonempty("policyNameMigrator", |item| item.word(&SWITCH)))
    });
}

fn node_controller(fields: &mut Fields<'_>) {
    for period in ["reconcilerPeriod", "leakGracePeriod"] {
        fields.read(period, duration);
    }
    fields.nonempty("syncLabels", |item| item.word(&SWITCH));
    fields.read("hostEndpoint", |item| {
        item.object(|fields| {
            for switch in ["autoCreate", "createDefaultHostEndpoint"] {
                fields.nonempty(switch, |item| item.word(&SWITCH));
            }
            fields.read("templates", templates);
        })
    });
}

fn templates(item: Item<'_>) -> Option<()> {
    let mut names = std::collections::BTreeSet::new();
    item.list(|item| {
        let name = item.object(template)?;
        if let Some(name) = name
            && item.reader.is_admission()
            && !names.insert(name)
        {
            item.wrong("has the generateName of another template");
        }
        Some(())
    })?;
    Some(())
}

/// A template of host endpoints; its name is part of theirs.
fn template(fields: &mut Fields<'_>) -> Option<Box<str>> {
    let is_admission = fields.reader().is_admission();
    if is_admission && !fields.has_content("generateName") {
        fields.wrong("generateName", "is required");
    }
    if is_admission
        && !fields.has_content("interfaceCIDRs")
        && !fields.has_content("interfacePattern")
    {
        fields.wrong(
            "interfaceCIDRs",
            "is required when there is no interfacePattern",
        );
    }
    let generate_name = fields.nonempty("generateName", |item| {
        limit_text(&item, crate::names::MAX_NAME);
        name(item)
    });
    fields.read("interfaceCIDRs", |item| {
        distinct(&item);
        item.list(cidr)
    });
    fields.nonempty("interfacePattern", pattern);
    fields.read("labels", labels);
    fields.read("annotations", annotations);
    fields.read("nodeSelector", selector);
    generate_name
}

fn pattern(item: Item<'_>) -> Option<()> {
    let text = item.text()?;
    if let Err(wanted) = config::Kind::Pattern.parse(text) {
        item.wrong(wanted.to_string());
    }
    Some(())
}

pub(crate) fn node_status(fields: &mut Fields<'_>) {
    required_spec(fields, |fields| {
        fields.required("node", name);
        fields.required_list("classes", |item| {
            distinct(&item);
            item.list(|item| item.word(&[("Agent", ()), ("BGP", ()), ("Routes", ())]))
        });
        fields.required("updatePeriodSeconds", |item| item.integer(0..=86_400));
    });
    fields.read("status", |item| item.object(status));
}

/// What a node answers. Its words are not checked: nobody writes it by hand.
fn status(fields: &mut Fields<'_>) {
    fields.nonempty("lastUpdated", text);
    fields.read("agent", |item| {
        item.object(|fields| {
            for daemon in ["birdV4", "birdV6"] {
                fields.read(daemon, |item| item.object(|fields| texts(fields, &DAEMON)));
            }
        })
    });
    fields.read("bgp", |item| {
        item.object(|fields| {
            for count in [
                "numberEstablishedV4",
                "numberNotEstablishedV4",
                "numberEstablishedV6",
                "numberNotEstablishedV6",
            ] {
                fields.read(count, |item| item.integer(0..=i64::MAX));
            }
            for peers in ["peersV4", "peersV6"] {
                fields.list(peers, |item| item.object(|fields| texts(fields, &PEER)));
            }
        })
    });
    fields.read("routes", |item| {
        item.object(|fields| {
            for routes in ["routesV4", "routesV6"] {
                fields.list(routes, |item| item.object(route));
            }
        })
    });
}

const DAEMON: [&str; 5] = [
    "state",
    "version",
    "routerID",
    "lastBootTime",
    "lastReconfigurationTime",
];
const PEER: [&str; 4] = ["peerIP", "type", "state", "since"];

fn route(fields: &mut Fields<'_>) {
    texts(fields, &["type", "destination", "gateway", "interface"]);
    fields.read("learnedFrom", |item| {
        item.object(|fields| texts(fields, &["sourceType", "peerIP"]))
    });
}

fn texts(fields: &mut Fields<'_>, names: &[&'static str]) {
    for name in names {
        fields.text(name);
    }
}

pub(crate) fn live_migration(fields: &mut Fields<'_>) {
    const WORKLOAD: [&str; 3] = ["hostname", "orchestratorID", "workloadID"];
    const ENDPOINT: [&str; 4] = ["hostname", "orchestratorID", "workloadID", "endpointID"];
    let endpoint = |item: Item<'_>| item.object(|fields| texts(fields, &ENDPOINT));
    spec(fields, |fields| {
        fields.read("source", |item| {
            item.object(|fields| {
                check_one_of(fields, "workload", "workloadEndpoint");
                fields.read("workload", |item| {
                    item.object(|fields| texts(fields, &WORKLOAD))
                });
                fields.read("workloadEndpoint", endpoint);
            })
        });
        fields.read("target", |item| {
            item.object(|fields| {
                check_one_of(fields, "selector", "workloadEndpoint");
                fields.read("selector", local_selector);
                fields.read("workloadEndpoint", endpoint);
            })
        });
    });
}

fn check_one_of(fields: &Fields<'_>, one: &'static str, other: &'static str) {
    let given = [one, other].map(|field| fields.has(field));
    if given[0] == given[1] {
        fields.wrong("", format!("must have either {one} or {other}"));
    }
}
