//! How to reach a network store: one table of settings, each under its name in `calicoctl.cfg` and in the environment.
//!
//! Names and meanings are upstream's (libcalico-go, `apiconfig`). What belongs together, such as the parts of a certificate,
//! is taken from one place: a configuration file before the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{ChooseError, Environment, FileSetting, FileSettings};

/// How to reach each kind of network store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreSettings {
    /// etcd.
    pub etcd: EtcdSettings,
    /// The Kubernetes API.
    pub kubernetes: KubernetesSettings,
}

/// How to reach etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdSettings {
    /// URLs of members; empty if they are to be discovered.
    pub endpoints: Vec<String>,
    /// The domain whose `_etcd-client-ssl._tcp` and `_etcd-client._tcp` records name the members.
    pub discovery_srv: Option<String>,
    /// Who we are; of meaning only with a password.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Our private key.
    pub key: Option<Material>,
    /// Our certificate.
    pub cert: Option<Material>,
    /// Who signs the servers' certificates.
    pub ca_cert: Option<Material>,
}

/// How to reach the Kubernetes API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KubernetesSettings {
    /// Files of contexts, separated by colons.
    pub kubeconfig: Option<String>,
    /// The user's own such file, `~/.kube/config`: the last one that is looked at.
    pub home_kubeconfig: Option<PathBuf>,
    /// What such a file would hold; it goes before the file.
    pub kubeconfig_inline: Option<Secret>,
    /// The context to use instead of the file's current one.
    pub current_context: Option<String>,
    /// The server's URL; it goes before that of the file.
    pub api_endpoint: Option<String>,
    /// Our private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Our certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// Who signs the server's certificate, PEM.
    pub ca_file: Option<PathBuf>,
    /// A bearer token.
    pub api_token: Option<Secret>,
    /// Whether the server's certificate is looked at.
    pub verify: Verify,
    /// Requests per second, at most, on average.
    pub client_qps: Option<f32>,
    /// Requests at once, at most.
    pub client_burst: Option<u32>,
    /// The group of our objects: `crd.projectcalico.org` or `projectcalico.org/v3`; unset: found out.
    pub api_group: Option<String>,
    /// Where blocks of addresses come from.
    pub pod_cidrs: PodCidrs,
}

/// A key or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// In a PEM file.
    File(PathBuf),
    /// The PEM text itself.
    Inline(Secret),
}

/// Whether a server's certificate is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// It is, and must be right.
    #[default]
    Yes,
    /// Any will do.
    No,
}

/// Where blocks of addresses come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodCidrs {
    /// From IPAM.
    #[default]
    Unused,
    /// From each node's `spec.podCIDR`, as with `host-local` IPAM.
    Used,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Names in a configuration file, and in the environment (there also after `CALICO_`); no name where it cannot stand.
const ETCD_PLACE: Group = &[
    ("etcdEndpoints", "ETCD_ENDPOINTS"),
    ("etcdDiscoverySrv", "ETCD_DISCOVERY_SRV"),
];
const ETCD_USER: Group = &[
    ("etcdUsername", "ETCD_USERNAME"),
    ("etcdPassword", "ETCD_PASSWORD"),
];
const ETCD_TLS: Group = &[
    ("etcdKeyFile", "ETCD_KEY_FILE"),
    ("etcdCertFile", "ETCD_CERT_FILE"),
    ("etcdCACertFile", "ETCD_CA_CERT_FILE"),
    ("etcdKey", ""),
    ("etcdCert", ""),
    ("etcdCACert", ""),
];
const K8S_PLACE: Group = &[
    ("kubeconfig", "KUBECONFIG"),
    ("kubeconfigInline", ""),
    ("k8sCurrentContext", "K8S_CURRENT_CONTEXT"),
    ("k8sAPIEndpoint", "K8S_API_ENDPOINT"),
    ("k8sKeyFile", "K8S_KEY_FILE"),
    ("k8sCertFile", "K8S_CERT_FILE"),
    ("k8sCAFile", "K8S_CA_FILE"),
    ("k8sAPIToken", "K8S_API_TOKEN"),
    ("k8sInsecureSkipTLSVerify", "K8S_INSECURE_SKIP_TLS_VERIFY"),
];
const K8S_QPS: Group = &[("k8sClientQPS", "K8S_CLIENT_QPS")];
const K8S_BURST: Group = &[("k8sClientBurst", "K8S_CLIENT_BURST")];
const API_GROUP: Group = &[("calicoAPIGroup", "CALICO_API_GROUP")];
const POD_CIDRS: Group = &[("usePodCIDR", "USE_POD_CIDR")];

type Group = &'static [(&'static str, &'static str)];

/// Every setting that has a name in the environment.
const GROUPS: [Group; 8] = [
    ETCD_PLACE, ETCD_USER, ETCD_TLS, K8S_PLACE, K8S_QPS, K8S_BURST, API_GROUP, POD_CIDRS,
];

impl FileSettings {
    /// The variables that tell a program the same as this file; what has no variable is left out.
    #[must_use]
    pub fn as_environment(&self) -> BTreeMap<&'static str, &str> {
        let names = GROUPS.iter().copied().flatten();
        names
            .filter(|(_, variable)| !variable.is_empty())
            .filter_map(|(field, variable)| {
                Some((*variable, self.settings.get(*field)?.value.reveal()))
            })
            .collect()
    }
}

/// The values of one group, with the names they stand under.
struct Found(BTreeMap<&'static str, (String, String)>);

impl Found {
    /// From the file if it has any of the group, else from the environment.
    fn of(group: Group, file: Option<&FileSettings>, environment: &Environment<'_>) -> Self {
        let in_file = |field: &str| {
            let file = file?;
            let FileSetting { shown, value } = file.settings.get(field)?;
            let value = value.reveal().to_owned();
            Some((format!("{shown} in {}", file.name), value))
        };
        let from_file: BTreeMap<_, _> = group
            .iter()
            .filter_map(|(field, _)| Some((*field, in_file(field)?)))
            .collect();
        if !from_file.is_empty() {
            return Self(from_file);
        }
        let from_environment = group
            .iter()
            .filter(|(_, variable)| !variable.is_empty())
            .filter_map(|(field, variable)| {
                let (name, value) = environment.get(variable)?;
                Some((*field, (name, value.to_owned())))
            });
        Self(from_environment.collect())
    }

    fn take(&mut self, field: &str) -> Option<String> {
        self.0.remove(field).map(|(_, value)| value)
    }

    fn secret(&mut self, field: &str) -> Option<Secret> {
        self.take(field).map(Secret)
    }

    fn path(&mut self, field: &str) -> Option<PathBuf> {
        self.take(field).map(PathBuf::from)
    }

    fn material(&mut self, file: &str, inline: &str) -> Option<Material> {
        let inline = self.secret(inline).map(Material::Inline);
        inline.or_else(|| self.path(file).map(Material::File))
    }

    fn parsed<T>(
        &mut self,
        field: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ChooseError> {
        let Some((origin, value)) = self.0.remove(field) else {
            return Ok(None);
        };
        match parse(value.trim()) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ChooseError::BadSetting {
                origin,
                value,
                expected,
            }),
        }
    }
}

/// The first setting of a file, by the name it has there, that makes sense for etcd only.
pub(super) fn naming_etcd(given: &BTreeMap<String, FileSetting>) -> Option<&str> {
    first(given, &[ETCD_PLACE, ETCD_USER, ETCD_TLS])
}

/// The first setting of a file that names a Kubernetes API.
pub(super) fn naming_kubernetes(given: &BTreeMap<String, FileSetting>) -> Option<&str> {
    first(given, &[K8S_PLACE])
}

fn first<'a>(given: &'a BTreeMap<String, FileSetting>, groups: &[Group]) -> Option<&'a str> {
    let mut fields = groups.iter().copied().flatten();
    let setting = fields.find_map(|(field, _)| given.get(*field))?;
    Some(&setting.shown)
}

impl StoreSettings {
    /// Reads the settings of both kinds. Nothing is looked up or opened.
    pub(super) fn of(
        file: Option<&FileSettings>,
        environment: &Environment<'_>,
    ) -> Result<Self, ChooseError> {
        Ok(Self {
            etcd: etcd(file, environment)?,
            kubernetes: kubernetes(file, environment)?,
        })
    }
}

fn etcd(
    file: Option<&FileSettings>,
    environment: &Environment<'_>,
) -> Result<EtcdSettings, ChooseError> {
    let mut place = Found::of(ETCD_PLACE, file, environment);
    let mut user = Found::of(ETCD_USER, file, environment);
    let mut tls = Found::of(ETCD_TLS, file, environment);
    let is_inline = |field: &&str| field.ends_with("Key") || field.ends_with("Cert");
    let inline = tls.0.keys().filter(|field| is_inline(field)).count();
    if inline > 0 && inline < tls.0.len() {
        return Err(ChooseError::Mixed {
            which: "a key or certificate in the file itself and the names of files with keys or certificates",
        });
    }
    let endpoints: Vec<_> = place
        .take("etcdEndpoints")
        .iter()
        .flat_map(|list| list.split(','))
        .map(|endpoint| endpoint.trim().to_owned())
        .filter(|endpoint| !endpoint.is_empty())
        .collect();
    let discovery_srv = place.take("etcdDiscoverySrv");
    if !endpoints.is_empty() && discovery_srv.is_some() {
        return Err(ChooseError::Mixed {
            which: "etcdEndpoints and etcdDiscoverySrv",
        });
    }
    Ok(EtcdSettings {
        endpoints,
        discovery_srv,
        username: user.take("etcdUsername"),
        password: user.secret("etcdPassword"),
        key: tls.material("etcdKeyFile", "etcdKey"),
        cert: tls.material("etcdCertFile", "etcdCert"),
        ca_cert: tls.material("etcdCACertFile", "etcdCACert"),
    })
}

fn kubernetes(
    file: Option<&FileSettings>,
    environment: &Environment<'_>,
) -> Result<KubernetesSettings, ChooseError> {
    let mut place = Found::of(K8S_PLACE, file, environment);
    let of = |group| Found::of(group, file, environment);
    let verify = place.parsed("k8sInsecureSkipTLSVerify", "true or false", truth)?;
    let qps = |text: &str| {
        text.parse()
            .ok()
            .filter(|qps: &f32| qps.is_finite() && *qps >= 0.0)
    };
    let pods = of(POD_CIDRS).parsed("usePodCIDR", "true or false", truth)?;
    Ok(KubernetesSettings {
        kubeconfig: place.take("kubeconfig"),
        home_kubeconfig: environment.home_kubeconfig(),
        kubeconfig_inline: place.secret("kubeconfigInline"),
        current_context: place.take("k8sCurrentContext"),
        api_endpoint: place.take("k8sAPIEndpoint"),
        key_file: place.path("k8sKeyFile"),
        cert_file: place.path("k8sCertFile"),
        ca_file: place.path("k8sCAFile"),
        api_token: place.secret("k8sAPIToken"),
        verify: match verify {
            Some(true) => Verify::No,
            Some(false) | None => Verify::Yes,
        },
        client_qps: of(K8S_QPS).parsed("k8sClientQPS", "a number such as 20", qps)?,
        client_burst: of(K8S_BURST).parsed(
            "k8sClientBurst",
            "a whole number such as 40",
            |text| text.parse().ok(),
        )?,
        api_group: of(API_GROUP).take("calicoAPIGroup"),
        pod_cidrs: match pods {
            Some(true) => PodCidrs::Used,
            Some(false) | None => PodCidrs::Unused,
        },
    })
}

/// What Go's `strconv.ParseBool` takes, as upstream reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        file: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<StoreSettings, ChooseError> {
        let environment = environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut from_file = FileSettings {
            name: "calicoctl.cfg".into(),
            ..FileSettings::default()
        };
        for (field, value) in file {
            from_file.set(field, field, value);
        }
        StoreSettings::of(Some(&from_file), &Environment(&environment))
    }

    #[test]
    fn each_setting_has_its_names_and_the_prefixed_one_goes_first() {
        let environment = [
            ("ETCD_ENDPOINTS", "http://b"),
            ("CALICO_ETCD_ENDPOINTS", "https://a:1, https://b:2,"),
            ("ETCD_USERNAME", "u"),
            ("ETCD_PASSWORD", "hush"),
            ("ETCD_KEY_FILE", "/k"),
            ("CALICO_ETCD_CERT_FILE", "/c"),
            ("ETCD_CA_CERT_FILE", "/ca"),
            ("KUBECONFIG", "/kc"),
            ("K8S_API_TOKEN", "hush"),
            ("K8S_INSECURE_SKIP_TLS_VERIFY", "true"),
            ("K8S_CLIENT_QPS", "12.5"),
            ("K8S_CLIENT_BURST", "7"),
            ("CALICO_API_GROUP", "projectcalico.org/v3"),
        ];
        let StoreSettings { etcd, kubernetes } = settings(&[], &environment).unwrap();
        assert_eq!(etcd.endpoints, ["https://a:1", "https://b:2"]);
        assert_eq!(etcd.key, Some(Material::File("/k".into())));
        assert_eq!(etcd.cert, Some(Material::File("/c".into())));
        assert_eq!(etcd.ca_cert, Some(Material::File("/ca".into())));
        assert_eq!(etcd.password, Some(Secret::new("hush".into())));
        assert_eq!(kubernetes.kubeconfig.as_deref(), Some("/kc"));
        assert_eq!(kubernetes.verify, Verify::No);
        assert_eq!(
            (kubernetes.client_qps, kubernetes.client_burst),
            (Some(12.5), Some(7))
        );
        assert_eq!(
            kubernetes.api_group.as_deref(),
            Some("projectcalico.org/v3")
        );
        let shown = format!("{etcd:?} {kubernetes:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn what_belongs_together_is_taken_from_one_place() {
        let file = [
            ("etcdEndpoints", "https://file:1"),
            ("etcdKey", "PEM"),
            ("etcdCACert", "PEM"),
        ];
        let environment = [
            ("ETCD_DISCOVERY_SRV", "example.org"),
            ("ETCD_CERT_FILE", "/c"),
            ("ETCD_USERNAME", "u"),
        ];
        let etcd = settings(&file, &environment).unwrap().etcd;
        assert_eq!(etcd.discovery_srv, None);
        assert_eq!(etcd.key, Some(Material::Inline(Secret::new("PEM".into()))));
        assert_eq!(etcd.cert, None);
        assert_eq!(
            etcd.username.as_deref(),
            Some("u"),
            "nothing in the file says otherwise"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let text = |file: &[(&str, &str)], environment: &[(&str, &str)]| {
            settings(file, environment).unwrap_err().to_string()
        };
        assert_eq!(
            text(&[], &[("CALICO_K8S_CLIENT_BURST", "many")]),
            "CALICO_K8S_CLIENT_BURST is \"many\": expected a whole number such as 40"
        );
        assert_eq!(
            text(&[("usePodCIDR", "perhaps")], &[]),
            "usePodCIDR in calicoctl.cfg is \"perhaps\": expected true or false"
        );
        let both = [("etcdEndpoints", "http://a"), ("etcdDiscoverySrv", "b")];
        assert_eq!(
            text(&both, &[]),
            "etcdEndpoints and etcdDiscoverySrv cannot be given both: remove one"
        );
        let both = [("etcdKey", "PEM"), ("etcdCertFile", "/c")];
        assert!(text(&both, &[]).ends_with("cannot be given both: remove one"));
    }
}
