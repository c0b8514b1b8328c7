//! The network's configuration: a template, upstream's or the operator's, with its variables filled in.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::options::Options;
use crate::settings::Settings;

/// The configuration to write, checked to be one.
pub(super) fn render(settings: &Settings, options: &Options) -> anyhow::Result<String> {
    let get = |name: &str| settings.env.get(name).filter(|text| !text.is_empty());
    let (template, origin) = if let Some(path) = get("CNI_NETWORK_CONFIG_FILE") {
        let text = fs::read_to_string(path)
            .with_context(|| format!("failed to read CNI_NETWORK_CONFIG_FILE={path}"))?;
        (text, "CNI_NETWORK_CONFIG_FILE")
    } else if let Some(text) = get("CNI_NETWORK_CONFIG") {
        (text.clone(), "CNI_NETWORK_CONFIG")
    } else {
        return own(settings, options);
    };
    let text = substitute(&template, settings, options);
    // Its text stays out of the error: there may be secrets in it.
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{origin} is not JSON"))?;
    if value["plugins"].as_array().is_none_or(Vec::is_empty) && !value["type"].is_string() {
        bail!("{origin} is no network configuration: it has neither `plugins` nor `type`");
    }
    Ok(text)
}

/// What a host gets that says nothing: the plugin finds node name and MTU in the files that the agent writes.
fn own(settings: &Settings, options: &Options) -> anyhow::Result<String> {
    let env = |name: &str| settings.env.get(name).filter(|text| !text.is_empty());
    let store = env("DATASTORE_TYPE").map_or("embedded", |text| text.as_str());
    if store != "embedded" {
        bail!(
            "the configuration for DATASTORE_TYPE={store} has to be given: set CNI_NETWORK_CONFIG or CNI_NETWORK_CONFIG_FILE"
        );
    }
    let logs =
        |name: &str, default: &str| env(name).map_or(default, |text| text.as_str()).to_owned();
    let mut calico = json!({
        "type": "calico",
        "log_level": logs("LOG_LEVEL", "info"),
        "log_file_path": logs("LOG_FILE_PATH", "/var/log/calico/cni/cni.log"),
        "datastore_type": store,
        "nodename_file": settings.paths.nodename,
        "endpoint_status_dir": settings.paths.run.join("endpoint-status"),
        "ipam": {"type": "calico-ipam"},
        "policy": {"type": "k8s"},
    });
    if let Some(file) = env("CALICO_DATASTORE_FILE") {
        calico["datastore_file"] = json!(file);
    }
    if let Some(text) = env("CNI_MTU") {
        let mtu: u32 = text
            .parse()
            .with_context(|| format!("CNI_MTU={text} is no number"))?;
        calico["mtu"] = json!(mtu);
    }
    let mut plugins = vec![calico];
    // Both are other people's programs: a network that names one which is not there fails every pod.
    if has(&options.bin_dir, "portmap") {
        plugins
            .push(json!({"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}));
    }
    if has(&options.bin_dir, "bandwidth") {
        plugins.push(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}));
    }
    let list = json!({"name": "k8s-pod-network", "cniVersion": "1.0.0", "plugins": plugins});
    let text = serde_json::to_string_pretty(&list).context("failed to write JSON")?;
    Ok(format!("{text}\n"))
}

fn has(directory: &Path, program: &str) -> bool {
    directory.join(program).is_file()
}

/// Fills in upstream's variables; a name that is none of them stays as it is.
fn substitute(template: &str, settings: &Settings, options: &Options) -> String {
    let host = &options.conf_dir_on_host;
    let or = |name: &str, default: &str| {
        let text = settings.env.get(name).map_or(default, |text| text.as_str());
        text.to_owned()
    };
    let kubeconfig = host.join("calico-kubeconfig").display().to_string();
    let token = fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/token");
    let tls = |name: &str| {
        if has(&options.conf_dir.join("calico-tls"), name) {
            host.join("calico-tls").join(name).display().to_string()
        } else {
            String::new()
        }
    };
    [
        ("__LOG_LEVEL__", or("LOG_LEVEL", "info")),
        (
            "__LOG_FILE_PATH__",
            or("LOG_FILE_PATH", "/var/log/calico/cni/cni.log"),
        ),
        ("__LOG_FILE_MAX_SIZE__", or("LOG_FILE_MAX_SIZE", "100")),
        ("__LOG_FILE_MAX_AGE__", or("LOG_FILE_MAX_AGE", "30")),
        ("__LOG_FILE_MAX_COUNT__", or("LOG_FILE_MAX_COUNT", "10")),
        // Upstream's is kubernetes; ours is the store that is used when nothing names one.
        ("__DATASTORE_TYPE__", or("DATASTORE_TYPE", "embedded")),
        (
            "__KUBERNETES_NODE_NAME__",
            or("KUBERNETES_NODE_NAME", &settings.node),
        ),
        ("__KUBECONFIG_FILEPATH__", kubeconfig),
        ("__CNI_MTU__", or("CNI_MTU", "1500")),
        (
            "__KUBERNETES_SERVICE_HOST__",
            or("KUBERNETES_SERVICE_HOST", ""),
        ),
        (
            "__KUBERNETES_SERVICE_PORT__",
            or("KUBERNETES_SERVICE_PORT", ""),
        ),
        ("__SERVICEACCOUNT_TOKEN__", token.unwrap_or_default()),
        (
            "__CALICO_API_GROUP__",
            or("CALICO_API_GROUP", "crd.projectcalico.org/v1"),
        ),
        ("__ETCD_CERT_FILE__", tls("etcd-cert")),
        ("__ETCD_CA_CERT_FILE__", tls("etcd-ca")),
        ("__ETCD_KEY_FILE__", tls("etcd-key")),
        ("__ETCD_ENDPOINTS__", or("ETCD_ENDPOINTS", "")),
        ("__ETCD_DISCOVERY_SRV__", or("ETCD_DISCOVERY_SRV", "")),
        ("__REQUIRE_MTU_FILE__", or("REQUIRE_MTU_FILE", "false")),
    ]
    .iter()
    .fold(template.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::options::Command;
    use super::*;

    fn rendered(env: &[(&str, &str)], args: &[&str]) -> anyhow::Result<Value> {
        let env: crate::settings::Env = env
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let args: Vec<String> = ["install"]
            .iter()
            .chain(args)
            .map(|&a| a.to_owned())
            .collect();
        let Ok(Command::Install(options)) = Command::parse(&args, &env) else {
            panic!("good arguments");
        };
        let text = render(&Settings::new(env, "Host-1"), &options)?;
        Ok(serde_json::from_str(&text)?)
    }

    #[test]
    fn only_programs_that_are_there_are_chained() {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().to_str().unwrap();
        let types = |list: &Value| {
            let plugins = list["plugins"].as_array().unwrap();
            plugins
                .iter()
                .map(|p| p["type"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let list = rendered(&[], &["--bin-dir", bin]).unwrap();
        assert_eq!(types(&list), ["calico"]);
        assert_eq!(list["plugins"][0]["datastore_type"], "embedded");
        assert_eq!(
            list["plugins"][0]["nodename_file"],
            "/var/lib/calico/nodename"
        );
        fs::write(directory.path().join("portmap"), "").unwrap();
        fs::write(directory.path().join("bandwidth"), "").unwrap();
        let list = rendered(&[("CNI_MTU", "1400")], &["--bin-dir", bin]).unwrap();
        assert_eq!(types(&list), ["calico", "portmap", "bandwidth"]);
        assert_eq!(list["plugins"][0]["mtu"], 1400);
        assert!(rendered(&[("CNI_MTU", "big")], &[]).is_err());
        assert!(rendered(&[("DATASTORE_TYPE", "etcdv3")], &[]).is_err());
    }

    #[test]
    fn templates_of_upstream_are_filled_in() {
        let template = r#"{"name": "n", "plugins": [{"type": "calico", "nodename": "__KUBERNETES_NODE_NAME__", "mtu": __CNI_MTU__,
            "kubernetes": {"kubeconfig": "__KUBECONFIG_FILEPATH__"}, "etcd_key_file": "__ETCD_KEY_FILE__", "x": "__OTHER__"}]}"#;
        let list = rendered(
            &[("CNI_NETWORK_CONFIG", template), ("CNI_NET_DIR", "/c")],
            &[],
        )
        .unwrap();
        let plugin = &list["plugins"][0];
        assert_eq!(plugin["nodename"], "host-1");
        assert_eq!(plugin["mtu"], 1500);
        assert_eq!(plugin["kubernetes"]["kubeconfig"], "/c/calico-kubeconfig");
        assert_eq!(
            (plugin["etcd_key_file"].as_str(), plugin["x"].as_str()),
            (Some(""), Some("__OTHER__"))
        );
        for bad in ["{", "[]", r#"{"plugins": []}"#] {
            assert!(
                rendered(&[("CNI_NETWORK_CONFIG", bad)], &[]).is_err(),
                "{bad}"
            );
        }
    }
}
