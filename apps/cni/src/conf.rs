//! The network configuration on stdin: upstream's fields, read leniently where upstream does, refused where a guess would
//! do harm.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use datastore::Secret;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::environment::is_identifier;
use crate::error::{CniError, Code};
use crate::result::Version;

/// The largest configuration read.
pub(crate) const MAX_BYTES: u64 = 4 << 20;

/// A network configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NetConf {
    #[serde(rename = "cniVersion", deserialize_with = "nullable")]
    pub(crate) cni_version: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ipam: Ipam,
    #[serde(deserialize_with = "nullable")]
    pub(crate) mtu: u32,
    #[serde(deserialize_with = "nullable")]
    pub(crate) num_queues: u32,
    #[serde(deserialize_with = "nullable")]
    pub(crate) log_level: String,
    pub(crate) log_file_path: Option<PathBuf>,
    /// In megabytes; 0 is 100.
    #[serde(deserialize_with = "nullable")]
    pub(crate) log_file_max_size: u64,
    /// In days; 0 is 30.
    #[serde(deserialize_with = "nullable")]
    pub(crate) log_file_max_age: u64,
    /// Renamed files that are kept; 0 is 10.
    #[serde(deserialize_with = "nullable")]
    pub(crate) log_file_max_count: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) require_mtu_file: bool,
    /// `veth` or `netkit`; nothing is `veth`.
    #[serde(deserialize_with = "nullable")]
    pub(crate) device_type: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) include_default_routes: bool,
    #[serde(deserialize_with = "nullable")]
    pub(crate) readiness_gates: Vec<String>,
    pub(crate) ipam_lock_file: Option<PathBuf>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) feature_control: FeatureControl,
    #[serde(deserialize_with = "nullable")]
    pub(crate) dataplane_options: DataplaneOptions,
    #[serde(deserialize_with = "nullable")]
    pub(crate) nodename: String,
    /// The older name of `nodename`, of less weight than the agent's file.
    #[serde(deserialize_with = "nullable")]
    pub(crate) hostname: String,
    pub(crate) nodename_file: Option<PathBuf>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) nodename_file_optional: bool,
    pub(crate) datastore_type: Option<String>,
    pub(crate) datastore_file: Option<PathBuf>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) etcd_endpoints: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) etcd_discovery_srv: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) etcd_key_file: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) etcd_cert_file: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) etcd_ca_cert_file: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) qps: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) burst: i64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) calico_api_group: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) kubernetes: Kubernetes,
    #[serde(deserialize_with = "nullable")]
    pub(crate) container_settings: ContainerSettings,
    #[serde(deserialize_with = "nullable")]
    pub(crate) policy: Policy,
    pub(crate) endpoint_status_dir: Option<PathBuf>,
    pub(crate) policy_setup_timeout_seconds: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) args: Args,
    #[serde(rename = "runtimeConfig", deserialize_with = "nullable")]
    pub(crate) runtime_config: RuntimeConfig,
    #[serde(rename = "prevResult")]
    pub(crate) prev_result: Option<Value>,
    #[serde(rename = "cni.dev/valid-attachments")]
    pub(crate) valid_attachments: Option<Vec<ValidAttachment>>,
}

/// `ipam`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ipam {
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub(crate) kind: String,
    #[serde(deserialize_with = "switch")]
    pub(crate) assign_ipv4: Option<bool>,
    #[serde(deserialize_with = "switch")]
    pub(crate) assign_ipv6: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ipv4_pools: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ipv6_pools: Vec<String>,
    /// Routes of `host-local`, each with its `dst`.
    #[serde(deserialize_with = "nullable")]
    pub(crate) routes: Vec<Value>,
}

/// `feature_control`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FeatureControl {
    /// Whether a pod may name addresses that no IPAM gave.
    #[serde(deserialize_with = "nullable")]
    pub(crate) ip_addrs_no_ipam: bool,
    /// Whether a pod may name floating addresses.
    #[serde(deserialize_with = "nullable")]
    pub(crate) floating_ips: bool,
}

/// `dataplane_options`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DataplaneOptions {
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub(crate) kind: String,
}

/// `kubernetes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Kubernetes {
    #[serde(deserialize_with = "nullable")]
    pub(crate) kubeconfig: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) k8s_api_root: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) node_name: String,
}

/// `container_settings`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerSettings {
    #[serde(deserialize_with = "nullable")]
    pub(crate) allow_ip_forwarding: bool,
}

/// `policy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub(crate) kind: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) k8s_api_root: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) k8s_auth_token: Option<Secret>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) k8s_client_certificate: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) k8s_client_key: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) k8s_certificate_authority: String,
}

/// `args`, by the conventions of the specification.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Args {
    #[serde(deserialize_with = "nullable")]
    pub(crate) cni: CniArgs,
    #[serde(rename = "org.apache.mesos", deserialize_with = "nullable")]
    pub(crate) mesos: Mesos,
}

/// `args.cni`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CniArgs {
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: Vec<Label>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ips: Vec<String>,
}

/// One label of `args`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// `args["org.apache.mesos"]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mesos {
    #[serde(deserialize_with = "nullable")]
    pub(crate) network_info: NetworkInfo,
}

/// `network_info` of Mesos.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkInfo {
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: MesosLabels,
}

/// `labels` of Mesos.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MesosLabels {
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: Vec<Label>,
}

/// `runtimeConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuntimeConfig {
    #[serde(deserialize_with = "nullable")]
    pub(crate) ips: Vec<String>,
}

/// One of `cni.dev/valid-attachments`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ValidAttachment {
    #[serde(rename = "containerID")]
    pub(crate) container: String,
    #[serde(rename = "ifname")]
    pub(crate) interface: String,
}

/// `null` is as good as nothing, as Go's decoder has it.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A text that is never shown.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let text: String = nullable(from)?;
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

/// Upstream's switches are the texts `"true"` and `"false"`; people write booleans.
fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(from)?;
    let text = value.as_str().map(str::to_ascii_lowercase);
    match (value.is_null(), value.as_bool(), text.as_deref()) {
        (true, _, _) => Ok(None),
        (_, Some(on), _) => Ok(Some(on)),
        (_, _, Some("true")) => Ok(Some(true)),
        (_, _, Some("false")) => Ok(Some(false)),
        (_, _, _) => Err(serde::de::Error::custom(format!(
            "{value} is neither \"true\" nor \"false\""
        ))),
    }
}

impl NetConf {
    /// Parses and checks a configuration.
    ///
    /// # Errors
    /// With the code that the specification has for it.
    pub fn parse(bytes: &[u8]) -> Result<NetConf, CniError> {
        let conf: NetConf = serde_json::from_slice(bytes).map_err(|error| {
            let field = wrong_field(bytes).map(|field| format!("field {field}: "));
            let field = field.unwrap_or_default();
            CniError::new(
                Code::Decode,
                format!("the network configuration on stdin cannot be read: {field}{error}"),
            )
        })?;
        Version::parse(&conf.cni_version)?;
        Ok(conf)
    }

    /// What an ADD needs besides: fields that name something we do not have are refused, not passed over.
    pub(crate) fn check_add(&self) -> Result<(), CniError> {
        let dataplane = &self.dataplane_options.kind;
        if !(dataplane.is_empty() || dataplane == "linux") {
            let text = format!(
                "dataplane_options.type {dataplane:?} is not supported: interfaces are made by this plugin"
            );
            return Err(CniError::new(Code::UnsupportedField, text).hint(
                "leave dataplane_options out, or use the plugin that the dataplane came with",
            ));
        }
        self.device().map(|_| ())
    }

    /// The kind of the container's interface.
    pub(crate) fn device(&self) -> Result<Device, CniError> {
        match self.device_type.as_str() {
            "" | "veth" => Ok(Device::Veth),
            "netkit" => Ok(Device::Netkit),
            other => Err(CniError::new(
                Code::Config,
                format!("device_type {other:?} is unknown: it is \"veth\" or \"netkit\""),
            )),
        }
    }

    /// What only commands on networks need.
    pub(crate) fn check_name(&self) -> Result<(), CniError> {
        if is_identifier(&self.name) {
            return Ok(());
        }
        let message = format!(
            "the network's name {:?} must begin with a letter or digit and hold only letters, digits, '.', '_' and '-'",
            self.name
        );
        Err(CniError::new(Code::Config, message))
    }

    /// The version in which to answer.
    pub(crate) fn version(&self) -> Version {
        Version::parse(&self.cni_version).unwrap_or(Version::LATEST)
    }

    /// Addresses that the runtime asks for by `runtimeConfig.ips` or `args.cni.ips`; a prefix length is of no meaning to us.
    pub(crate) fn wanted_addresses(&self) -> Result<Vec<IpAddr>, CniError> {
        let lists = self.runtime_config.ips.iter().chain(&self.args.cni.ips);
        lists.map(|text| address(text)).collect()
    }
}

/// Kinds of interfaces that a container can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A pair of virtual Ethernet interfaces.
    Veth,
    /// A netkit pair, where the kernel has it.
    Netkit,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Device::Veth => "veth",
            Device::Netkit => "netkit",
        })
    }
}

/// The field of a configuration that cannot be read on its own.
fn wrong_field(bytes: &[u8]) -> Option<String> {
    let all: serde_json::Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let wrong = all.into_iter().find(|(name, value)| {
        let alone = Value::Object([(name.clone(), value.clone())].into_iter().collect());
        serde_json::from_value::<NetConf>(alone).is_err()
    });
    wrong.map(|(name, _)| name)
}

/// An address with or without a prefix length.
pub(crate) fn address(text: &str) -> Result<IpAddr, CniError> {
    let (addr, len) = text.trim().split_once('/').unwrap_or((text.trim(), "0"));
    match (addr.parse(), len.parse::<u8>()) {
        (Ok(addr), Ok(_)) => Ok(addr),
        (_, _) => Err(CniError::new(
            Code::Config,
            format!("the wanted address {text:?} is not an IP address"),
        )),
    }
}
