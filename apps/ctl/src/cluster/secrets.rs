//! Certificates of Calico's components: of their secrets, only what is public is kept.

use std::path::Path;

use serde_json::Value;

use super::collect::Collector;
use crate::outcome::Failure;
use crate::session::Session;
use crate::yaml::to_yaml;

const NAMES: [&str; 6] = [
    "calico-kube-controllers-metrics-tls",
    "calico-node-prometheus-server-tls",
    "node-certs",
    "typha-certs",
    "calico-apiserver-certs",
    "goldmane-key-pair",
];
const NAMESPACES: [&str; 3] = ["calico-system", "calico-apiserver", "tigera-operator"];
/// What is public of a secret.
const CERTIFICATES: [&str; 4] = ["tls.crt", "cert", "cert.crt", "apiserver.crt"];

pub(super) fn collect(
    collector: &Collector<'_>,
    directory: &Path,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    session.line("Collecting (censored) TLS secrets")?;
    for name in NAMES {
        for namespace in NAMESPACES {
            session.line(format!(
                "Collecting secret {namespace}/{name} (censoring sensitive data)"
            ))?;
            let asked = collector.kubectl.get(&["secret", "-n", namespace, name]);
            let Ok(mut secret) = asked else {
                session.line(format!(
                    "unable to get secret {namespace}/{name}, skipping..."
                ))?;
                continue;
            };
            censor(&mut secret);
            let file = directory.join(format!("{namespace}_{name}.yaml"));
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| std::fs::write(&file, to_yaml(&secret)));
            if let Err(error) = written {
                session.line(format!("Error writing {}: {error}", file.display()))?;
            }
        }
    }
    Ok(())
}

/// Takes away all that is not known to be public, also from copies of the secret in its annotations.
fn censor(secret: &mut Value) {
    const CENSORED: &str = "<censored>";
    for part in ["data", "stringData"] {
        let fields = secret.get_mut(part).and_then(Value::as_object_mut);
        for (field, value) in fields.into_iter().flatten() {
            if !CERTIFICATES.contains(&field.as_str()) {
                *value = CENSORED.into();
            }
        }
    }
    if let Some(metadata) = secret.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        let annotations = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut);
        for (_, value) in annotations.into_iter().flatten() {
            *value = CENSORED.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_certificates_are_kept() {
        let mut secret = json!({
            "metadata": {"name": "x", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\": \"K3Y\"}"}},
            "data": {"tls.crt": "C3RT", "tls.key": "K3Y", "password": "K3Y"},
        });
        censor(&mut secret);
        let text = secret.to_string();
        assert!(text.contains("C3RT") && !text.contains("K3Y"), "{text}");
    }
}
