//! Certificates and keys: read when a connection is prepared, so that renewed files are taken up by the next one.

use std::path::{Path, PathBuf};

use etcd_client::{Certificate, Identity, TlsOptions};

use crate::choose::Material;
use crate::remote::RemoteError;
use crate::{EtcdSettings, Secret};

/// Where distributions keep the certificates that everybody trusts; the first that exists is taken.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a connection to `host` is secured with.
pub(super) fn tls(settings: &EtcdSettings, host: &str) -> Result<TlsOptions, RemoteError> {
    let ca = match &settings.ca_cert {
        Some(material) => pem("CA certificate", material)?,
        None => trusted()?,
    };
    let options = TlsOptions::new()
        .domain_name(host.trim_matches(['[', ']']))
        .ca_certificate(Certificate::from_pem(ca.reveal()));
    match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => {
            let cert = pem("client certificate", cert)?;
            let key = pem("client key", key)?;
            let identity = Identity::from_pem(cert.reveal(), key.reveal());
            Ok(options.identity(identity))
        }
        (None, None) => Ok(options),
        (Some(_), None) => Err(unusable(
            "there is a client certificate and no key for it: give etcdKeyFile (ETCD_KEY_FILE)",
        )),
        (None, Some(_)) => Err(unusable(
            "there is a client key and no certificate for it: give etcdCertFile (ETCD_CERT_FILE)",
        )),
    }
}

/// Refuses early what could never secure a connection.
pub(super) fn check(settings: &EtcdSettings) -> Result<(), RemoteError> {
    tls(settings, "localhost").map(|_| ())
}

fn pem(what: &str, material: &Material) -> Result<Secret, RemoteError> {
    let (text, place) = match material {
        Material::Inline(text) => (text.reveal().to_owned(), "as given".to_owned()),
        Material::File(path) => (read(what, path)?, path.display().to_string()),
    };
    if !text.contains("-----BEGIN ") {
        return Err(unusable(&format!(
            "the {what} {place} is not PEM: it has no -----BEGIN line"
        )));
    }
    Ok(Secret::new(text))
}

fn read(what: &str, path: &Path) -> Result<String, RemoteError> {
    std::fs::read_to_string(path).map_err(|error| {
        unusable(&format!(
            "the {what} {} cannot be read: {error}",
            path.display()
        ))
    })
}

fn trusted() -> Result<Secret, RemoteError> {
    let there = TRUSTED
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    match there {
        Some(path) => read("list of trusted certificates", &path).map(Secret::new),
        None => Err(unusable(
            "no CA certificate is given and this host has no list of trusted ones: give etcdCACertFile (ETCD_CA_CERT_FILE)",
        )),
    }
}

fn unusable(detail: &str) -> RemoteError {
    RemoteError::Settings {
        store: "etcd".into(),
        detail: detail.into(),
    }
}
