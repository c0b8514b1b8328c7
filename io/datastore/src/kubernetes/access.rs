//! How to reach the API server: settings, kubeconfig files, or what a pod finds around it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::block_on_ready;
use crate::choose::{KubernetesSettings, Secret, Verify};
use crate::error::chain;
use crate::remote::{CONNECT_TIMEOUT, RemoteError};

/// The server and how to show who we are.
pub(super) struct Access {
    pub(super) config: Config,
    pub(super) token: Token,
    pub(super) group: Option<String>,
    pub(super) qps: Option<f32>,
    pub(super) burst: Option<u32>,
}

/// A bearer token that we show ourselves.
pub(super) enum Token {
    /// None, or one that is part of the configuration.
    None,
    /// This one.
    Fixed(Secret),
    /// What a file holds at the moment: whoever runs us replaces it while we run.
    File(TokenFile),
}

/// A file with a token, read again when it has been replaced.
pub(super) struct TokenFile {
    path: PathBuf,
    held: Mutex<Option<(Stamp, Secret)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// Reads what the settings name. Nothing is asked of the server.
pub(super) fn of(settings: &KubernetesSettings) -> Result<Access, RemoteError> {
    let unusable = |detail: String| RemoteError::Settings {
        store: "the Kubernetes API".into(),
        detail: detail.into(),
    };
    let mut config = base(settings).map_err(unusable)?;
    let KubernetesSettings {
        api_endpoint,
        key_file,
        cert_file,
        ca_file,
        api_token,
        verify,
        ..
    } = settings;
    if let Some(url) = api_endpoint {
        config.cluster_url = url
            .parse()
            .map_err(|error| unusable(format!("its URL {url:?} cannot be read: {error}")))?;
    }
    for (file, slot) in [
        (cert_file, &mut config.auth_info.client_certificate),
        (key_file, &mut config.auth_info.client_key),
    ] {
        if let Some(path) = file {
            *slot = Some(path.display().to_string());
        }
    }
    if let Some(path) = ca_file {
        config.root_cert_file = Some(path.clone());
    }
    if *verify == Verify::No {
        config.accept_invalid_certs = true;
    }
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Repeating a request is decided here, by what it does.
    config.default_retry = false;
    let token = match (api_token, config.auth_info.token_file.take()) {
        (Some(token), _) => Token::Fixed(token.clone()),
        (None, Some(path)) if config.auth_info.token.is_none() => {
            Token::File(TokenFile::new(path.into()))
        }
        (None, _) => Token::None,
    };
    if matches!(token, Token::Fixed(_)) {
        config.auth_info.token = None;
    }
    Ok(Access {
        config,
        token,
        group: settings.api_group.clone(),
        qps: settings.client_qps,
        burst: settings.client_burst,
    })
}

/// The configuration without the settings that go before it.
fn base(settings: &KubernetesSettings) -> Result<Config, String> {
    let KubernetesSettings {
        kubeconfig,
        home_kubeconfig,
        kubeconfig_inline,
        current_context,
        api_endpoint,
        ..
    } = settings;
    let in_file = match (kubeconfig_inline, kubeconfig) {
        (Some(text), _) => {
            let parsed = Kubeconfig::from_yaml(text.reveal());
            Some(parsed.map_err(|error| format!("the inline kubeconfig: {}", told(&error)))?)
        }
        (None, Some(files)) => Some(merged(files)?),
        (None, None) => None,
    };
    let options = KubeConfigOptions {
        context: current_context.clone(),
        ..KubeConfigOptions::default()
    };
    let load = |kubeconfig| {
        // It awaits nothing: files only.
        block_on_ready(Config::from_custom_kubeconfig(kubeconfig, &options))
            .map_err(|error| format!("its kubeconfig: {}", told(&error)))
    };
    if let Some(kubeconfig) = in_file {
        return load(kubeconfig);
    }
    if let Some(url) = api_endpoint {
        let url = url
            .parse()
            .map_err(|error| format!("its URL {url:?} cannot be read: {error}"))?;
        return Ok(Config::new(url));
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Config::incluster_env()
            .map_err(|error| format!("what a pod should have around it: {}", chain(&error)));
    }
    match home_kubeconfig.as_ref().and_then(|path| path.to_str()) {
        Some(path) => load(merged(path)?),
        None => Err("no kubeconfig, no URL, and this is no pod: set KUBECONFIG".to_owned()),
    }
}

/// What is wrong with a kubeconfig. A parser quotes what it does not understand, which may be a secret.
fn told(error: &KubeconfigError) -> String {
    match matches!(error, KubeconfigError::Parse(_)) {
        true => "it is not the YAML of a kubeconfig; see it with kubectl config view".to_owned(),
        false => chain(error),
    }
}

/// Several files, separated by colons: what stands in an earlier one goes before, and what is not there is passed over.
fn merged(files: &str) -> Result<Kubeconfig, String> {
    let paths: Vec<&Path> = files
        .split(':')
        .filter(|path| !path.is_empty())
        .map(Path::new)
        .collect();
    let mut merged: Option<Kubeconfig> = None;
    for path in &paths {
        if paths.len() > 1 && !path.exists() {
            continue;
        }
        let shown = path.display();
        std::fs::metadata(path).map_err(|error| format!("kubeconfig {shown}: {error}"))?;
        let read = Kubeconfig::read_from(path)
            .map_err(|error| format!("kubeconfig {shown}: {}", told(&error)))?;
        merged = Some(match merged {
            None => read,
            Some(before) => before
                .merge(read)
                .map_err(|error| format!("kubeconfig {shown}: {}", told(&error)))?,
        });
    }
    merged.ok_or_else(|| format!("none of the kubeconfig files {files} is there"))
}

impl TokenFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            held: Mutex::new(None),
        }
    }

    /// The token as it is in the file now. A file that cannot be read leaves the last one.
    fn token(&self) -> Result<Secret, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path).map(|meta| Stamp {
            modified: meta.modified().ok(),
            length: meta.len(),
        });
        if let (Some((seen, token)), Ok(now)) = (&*held, &stamp)
            && seen == now
        {
            return Ok(token.clone());
        }
        let read = std::fs::read_to_string(&self.path);
        match (read, stamp, &*held) {
            (Ok(text), Ok(stamp), _) if !text.trim().is_empty() => {
                let token = Secret::new(text.trim().to_owned());
                *held = Some((stamp, token.clone()));
                Ok(token)
            }
            (_, _, Some((_, token))) => Ok(token.clone()),
            (Err(error), _, None) => Err(format!("token file {}: {error}", self.path.display())),
            (Ok(_), _, None) => Err(format!("token file {} is empty", self.path.display())),
        }
    }

    fn forget(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Token {
    /// The token to show, if we show one.
    pub(super) fn get(&self) -> Result<Option<Secret>, String> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::File(file) => file.token().map(Some),
        }
    }

    /// The server did not accept it; says whether there may be another.
    pub(super) fn was_refused(&self, shown: Option<&Secret>) -> bool {
        match self {
            Self::None | Self::Fixed(_) => false,
            // Replaced within the resolution of its time stamp, it would not be seen.
            Self::File(file) => {
                file.forget();
                file.token().is_ok_and(|now| Some(&now) != shown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_token_is_used_at_once_and_a_lost_file_leaves_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let file = TokenFile::new(path.clone());
        assert!(file.token().unwrap_err().contains("token file"));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(file.token().unwrap().reveal(), "one");
        std::fs::write(&path, "second").unwrap();
        assert_eq!(file.token().unwrap().reveal(), "second");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.token().unwrap().reveal(), "second");
    }

    #[test]
    fn settings_that_name_nothing_usable_say_so() {
        let settings = |kubeconfig: &str| KubernetesSettings {
            kubeconfig: Some(kubeconfig.to_owned()),
            ..KubernetesSettings::default()
        };
        let text = |kubeconfig: &str| match of(&settings(kubeconfig)) {
            Ok(_) => panic!("{kubeconfig} names no server"),
            Err(error) => error.to_string(),
        };
        assert!(text("/nonexistent/a:/nonexistent/b").contains("none of the kubeconfig files"));
        assert!(text("/nonexistent/a").contains("kubeconfig /nonexistent/a"));
        let inline = KubernetesSettings {
            kubeconfig_inline: Some(Secret::new("users: hush".to_owned())),
            ..KubernetesSettings::default()
        };
        let shown = match of(&inline) {
            Ok(_) => panic!("it names no server"),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains("hush"), "{shown}");
    }
}
