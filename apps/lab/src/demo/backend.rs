//! The store of a demo: a file, or servers of its own that run in the node's namespace, as they do on a small cluster's only node.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::servers::{Guard, KubernetesOptions, Place, RealEtcd, RealKubernetes, User};

use super::stages::PodSpec;
use crate::cluster::Host;

/// Which store a demo runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// One file.
    Embedded,
    /// etcd, which asks for certificates.
    Etcd,
    /// The Kubernetes API, with Namespaces, Pods and a Node as real objects; nothing runs the Pods but the demo.
    Kubernetes,
}

/// Who opens the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opener {
    Agent,
    Calicoctl,
}

/// A store that stands.
pub(crate) enum Backend {
    Embedded,
    Etcd(RealEtcd),
    Kubernetes(RealKubernetes),
}

impl Backend {
    /// Starts what the store needs.
    pub(crate) fn start(store: Store, host: &Host, node: &str) -> Result<Backend> {
        const MISSING: &str = "cargo xtask setup installs what the demo's servers need";
        match store {
            Store::Embedded => Ok(Backend::Embedded),
            Store::Etcd => {
                let server = host.inside(|| Ok(RealEtcd::start(Guard::Tls)))?;
                let server = server.context(MISSING)?;
                println!("etcd serves at {}", server.url());
                Ok(Backend::Etcd(server))
            }
            Store::Kubernetes => {
                let place = Place {
                    namespace: Some(host.path().into()),
                    ..Place::default()
                };
                let options = KubernetesOptions {
                    place,
                    ..KubernetesOptions::default()
                };
                let server = RealKubernetes::start_with(options).context(MISSING)?;
                println!("the Kubernetes API serves at {}", server.url());
                server.install_definitions("v1");
                let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
                server.apply(&node.to_string());
                Ok(Backend::Kubernetes(server))
            }
        }
    }

    /// What names the store to a program.
    pub(crate) fn environment(
        &self,
        opener: Opener,
        directory: &Path,
    ) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match self {
            Backend::Embedded => vec![
                ("DATASTORE_TYPE", "embedded".to_owned()),
                (
                    "CALICO_DATASTORE_FILE",
                    text(&directory.join("datastore.db")),
                ),
            ],
            Backend::Etcd(server) => {
                let [authority, certificate, key] = server.certificates();
                vec![
                    ("DATASTORE_TYPE", "etcdv3".to_owned()),
                    ("ETCD_ENDPOINTS", server.url()),
                    ("ETCD_CA_CERT_FILE", text(&authority)),
                    ("ETCD_CERT_FILE", text(&certificate)),
                    ("ETCD_KEY_FILE", text(&key)),
                ]
            }
            Backend::Kubernetes(server) => {
                let user = match opener {
                    Opener::Agent => User::Node,
                    Opener::Calicoctl => User::Calicoctl,
                };
                vec![
                    ("DATASTORE_TYPE", "kubernetes".to_owned()),
                    ("KUBECONFIG", text(&server.kubeconfig(user))),
                ]
            }
        }
    }

    /// What names the store to the CNI plugin.
    pub(crate) fn plugin_fields(&self, directory: &Path) -> Value {
        match self {
            Backend::Embedded => json!({
                "datastore_type": "embedded",
                "datastore_file": directory.join("datastore.db"),
            }),
            Backend::Etcd(server) => {
                let [authority, certificate, key] = server.certificates();
                json!({
                    "datastore_type": "etcdv3",
                    "etcd_endpoints": server.url(),
                    "etcd_ca_cert_file": authority,
                    "etcd_cert_file": certificate,
                    "etcd_key_file": key,
                })
            }
            Backend::Kubernetes(server) => json!({
                "datastore_type": "kubernetes",
                "kubernetes": {"kubeconfig": server.kubeconfig(User::CniPlugin)},
            }),
        }
    }

    /// Makes Namespaces where they are not calicoctl's to make; whether it did.
    pub(crate) fn make_namespaces(&self, file: &Path) -> Result<bool> {
        match self {
            Backend::Embedded | Backend::Etcd(_) => Ok(false),
            Backend::Kubernetes(server) => {
                println!("   kubectl apply -f {}", file.display());
                server.apply(&read(file)?);
                Ok(true)
            }
        }
    }

    /// Makes a Pod, bound to the node as a scheduler would.
    pub(crate) fn make_pod(&self, pod: &PodSpec, node: &str) {
        match self {
            Backend::Embedded | Backend::Etcd(_) => {}
            Backend::Kubernetes(server) => {
                let object = json!({
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"namespace": pod.namespace, "name": pod.name, "labels": {"app": pod.name}},
                    "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]},
                });
                server.apply(&object.to_string());
            }
        }
    }

    /// Removes a Pod whose network is gone, as a kubelet would.
    pub(crate) fn remove_pod(&self, pod: &PodSpec) {
        match self {
            Backend::Embedded | Backend::Etcd(_) => {}
            Backend::Kubernetes(server) => {
                let (namespace, name) = (pod.namespace, pod.name);
                server.kubectl(&[
                    "delete",
                    "pod",
                    "--namespace",
                    namespace,
                    name,
                    "--force",
                    "--grace-period=0",
                ]);
            }
        }
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
