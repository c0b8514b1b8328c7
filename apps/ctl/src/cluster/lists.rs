//! Lists of objects: Calico's own, and those of Kubernetes that matter to a network.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::collect::{Collect, Collector};
use super::{items, text};
use crate::outcome::Failure;
use crate::session::Session;

const CALICO_GROUP: &str = "projectcalico.org";

/// Objects in namespaces.
const NAMESPACED: [&str; 22] = [
    "configmaps",
    "daemonsets",
    "deployments",
    "endpoints",
    "endpointslices",
    "pods",
    "pvc",
    "services",
    "statefulsets",
    "jobs",
    "cronjobs",
    "networkpolicies.networking.k8s.io",
    "backendlbpolicies",
    "backendtlspolicies",
    "gateways",
    "grpcroutes",
    "httproutes",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
    "udproutes",
    "network-attachment-definitions.k8s.cni.cncf.io",
];
/// Objects of the cluster.
const CLUSTER: [&str; 11] = [
    "nodes",
    "namespaces",
    "pv",
    "sc",
    "gatewayclasses",
    "adminnetworkpolicies.policy.networking.k8s.io",
    "baselineadminnetworkpolicies.policy.networking.k8s.io",
    "clusternetworkpolicies.policy.networking.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "apiservices.apiregistration.k8s.io",
];

pub(super) fn collect(
    collector: &Collector<'_>,
    directory: &Path,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    session.line("Collecting kubernetes version...")?;
    let mut commands = vec![Collect::new(
        "Collect kubernetes Client and Server version",
        "version -o yaml",
        directory.join("version.yaml"),
    )];
    commands.extend(calico(collector, &directory.join("crd"), session)?);
    for namespace in ["tigera-operator", "calico-system"] {
        commands.extend(Collect::both(
            &format!("all in {namespace}"),
            &format!("all -n {namespace}"),
            &directory.join(namespace).join(namespace),
        ));
    }
    let kubernetes = directory.join("kubernetes");
    let short = |resource: &str| resource.split('.').next().unwrap_or(resource).to_owned();
    for resource in NAMESPACED {
        let base = kubernetes.join(short(resource));
        let get = format!("{resource} --all-namespaces");
        commands.extend(Collect::both(resource, &get, &base));
    }
    for resource in CLUSTER {
        let base = kubernetes.join(short(resource));
        commands.extend(Collect::both(resource, resource, &base));
    }
    session.line("Collecting core kubernetes resources...")?;
    collector.run(&commands, session)
}

/// Calico's kinds, whether they are custom resources or served by an API server of Calico's.
fn calico(
    collector: &Collector<'_>,
    directory: &Path,
    session: &mut Session<'_>,
) -> Result<Vec<Collect>, Failure> {
    let mut resources = BTreeSet::new();
    match collector.kubectl.get(&["customresourcedefinitions"]) {
        Ok(list) => resources.extend(items(list).iter().filter_map(of_definition)),
        Err(why) => session.line(format!("Couldn't list CRDs: {why}"))?,
    }
    let served = format!("/apis/{CALICO_GROUP}/v3");
    // Without such an API server there is nothing to find.
    if let Ok(list) = collector.kubectl.raw(&served) {
        let served = list.get("resources").and_then(Value::as_array);
        for resource in served.into_iter().flatten() {
            let name = text(resource, "/name");
            if !name.is_empty() && !name.contains('/') {
                resources.insert((
                    format!("{name}.{CALICO_GROUP}"),
                    format!("{name}.v3.{CALICO_GROUP}"),
                ));
            }
        }
    }
    let commands = resources.iter().flat_map(|(name, resource)| {
        let what = format!("Calico {resource}");
        Collect::both(&what, &format!("{resource} -A"), &directory.join(name))
    });
    Ok(commands.collect())
}

/// The name of a definition of Calico's, and `<plural>.<version>.<group>`, which no other group's kind answers to.
fn of_definition(definition: &Value) -> Option<(String, String)> {
    let name = text(definition, "/metadata/name");
    if !name.contains("projectcalico") && !name.contains("tigera") {
        return None;
    }
    let (plural, group) = name.split_once('.')?;
    let versions = definition.pointer("/spec/versions")?.as_array()?;
    let stored = versions
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))?;
    let version = text(stored, "/name");
    Some((name.to_owned(), format!("{plural}.{version}.{group}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn definitions_of_calico() {
        let definition = |name: &str| {
            json!({"metadata": {"name": name}, "spec": {"versions": [
                {"name": "v0"}, {"name": "v1", "storage": true}]}})
        };
        assert_eq!(
            of_definition(&definition("ippools.crd.projectcalico.org")),
            Some((
                "ippools.crd.projectcalico.org".to_owned(),
                "ippools.v1.crd.projectcalico.org".to_owned()
            ))
        );
        assert_eq!(
            of_definition(&definition("certificates.cert-manager.io")),
            None
        );
    }
}
