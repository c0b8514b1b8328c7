//! A container runtime's side of CNI 1.0: a configuration list, its plugins in order on ADD and in reverse on DEL, each
//! given the result before it (specification, section 3 "Execution of network configurations").

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::cluster::Host;

/// A configuration list and where its plugins are.
pub struct Runtime {
    /// The parsed `.conflist`.
    pub list: Value,
    /// Directory with the plugins.
    pub plugins: PathBuf,
    /// Where what plugins say on standard error goes.
    pub log: PathBuf,
}

/// One container's attachment, as the runtime remembers it between ADD and DEL.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The container.
    pub container: String,
    /// The file of its network namespace.
    pub netns: String,
    /// `CNI_ARGS`.
    pub args: String,
    /// `args.cni.labels`.
    pub labels: Vec<(String, String)>,
}

impl Runtime {
    /// Attaches; returns the last plugin's result.
    pub fn add(&self, host: &Host, to: &Attachment) -> Result<Value> {
        let mut previous = None;
        for plugin in self.entries()? {
            let config = plugin_config(&self.list, plugin, previous.as_ref(), &to.labels);
            previous = Some(self.execute(host, "ADD", to, &config)?);
        }
        previous.context("the configuration list names no plugin")
    }

    /// Checks that what ADD made still stands.
    pub fn check(&self, host: &Host, to: &Attachment, result: &Value) -> Result<()> {
        for plugin in self.entries()? {
            let config = plugin_config(&self.list, plugin, Some(result), &to.labels);
            self.execute(host, "CHECK", to, &config)?;
        }
        Ok(())
    }

    /// Detaches, given the cached result of ADD.
    pub fn delete(&self, host: &Host, to: &Attachment, result: Option<&Value>) -> Result<()> {
        for plugin in self.entries()?.iter().rev() {
            let config = plugin_config(&self.list, plugin, result, &to.labels);
            self.execute(host, "DEL", to, &config)?;
        }
        Ok(())
    }

    fn entries(&self) -> Result<&Vec<Value>> {
        self.list["plugins"]
            .as_array()
            .context("the configuration list has no array `plugins`")
    }

    fn execute(&self, host: &Host, verb: &str, to: &Attachment, config: &Value) -> Result<Value> {
        let kind = config["type"]
            .as_str()
            .context("a plugin of the list has no `type`")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(self.plugins.join(kind));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", &to.container)
            .env("CNI_NETNS", &to.netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", &to.args)
            .env("CNI_PATH", &self.plugins)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = host.spawn(&mut command)?;
        if let Some(mut input) = child.stdin.take() {
            // A plugin that ends without reading says why on its output, which is the better error.
            let _ = input.write_all(config.to_string().as_bytes());
        }
        let output = child
            .wait_with_output()
            .with_context(|| format!("cannot wait for plugin {kind}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        if !output.status.success() {
            bail!(
                "plugin {kind} failed {verb} for {}: {}",
                to.container,
                error_text(answer.as_ref(), &text, &self.log)
            );
        }
        Ok(answer.unwrap_or(Value::Null))
    }
}

/// Code, message and details of the specification's error object, or whatever was printed.
fn error_text(answer: Option<&Value>, printed: &str, log: &Path) -> String {
    let field = |name: &str| {
        answer
            .and_then(|value| value[name].as_str())
            .unwrap_or_default()
    };
    match answer.and_then(|value| value["code"].as_i64()) {
        Some(code) => format!("code {code}: {} {}", field("msg"), field("details")),
        None => format!("{printed} (see {})", log.display()),
    }
}

/// What one plugin gets on standard input: its entry, with the list's name and version, the result before it, and `args`.
fn plugin_config(
    list: &Value,
    plugin: &Value,
    previous: Option<&Value>,
    labels: &[(String, String)],
) -> Value {
    let mut config = plugin.as_object().cloned().unwrap_or_else(Map::new);
    for name in ["name", "cniVersion"] {
        config.insert(name.to_owned(), list[name].clone());
    }
    if let Some(previous) = previous {
        config.insert("prevResult".to_owned(), previous.clone());
    }
    if !labels.is_empty() {
        let labels: Vec<Value> = labels
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        config.insert("args".to_owned(), json!({"cni": {"labels": labels}}));
    }
    Value::Object(config)
}

/// The addresses in a result.
pub fn addresses(result: &Value) -> Result<Vec<IpAddr>> {
    let ips = result["ips"]
        .as_array()
        .context("the result has no array `ips`")?;
    ips.iter()
        .map(|ip| {
            let text = ip["address"]
                .as_str()
                .context("an entry of `ips` has no `address`")?;
            let addr = text.split('/').next().unwrap_or(text);
            addr.parse()
                .with_context(|| format!("{text:?} is no address"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_gets_its_entry_and_the_lists_words() {
        let list = json!({"name": "net", "cniVersion": "1.0.0", "plugins": [{"type": "calico", "mtu": 1400}]});
        let labels = [("app".to_owned(), "web".to_owned())];
        let config = plugin_config(&list, &list["plugins"][0], None, &labels);
        assert_eq!(
            config,
            json!({"type": "calico", "mtu": 1400, "name": "net", "cniVersion": "1.0.0",
                   "args": {"cni": {"labels": [{"key": "app", "value": "web"}]}}})
        );
        let later = plugin_config(&list, &list["plugins"][0], Some(&json!({"ips": []})), &[]);
        assert_eq!(later["prevResult"], json!({"ips": []}));
        assert!(later.get("args").is_none());
    }

    #[test]
    fn addresses_come_from_the_result() {
        let result = json!({"ips": [{"address": "10.65.0.1/32"}, {"address": "fd65::1/128"}]});
        let parsed = addresses(&result).expect("two addresses");
        assert_eq!(
            parsed,
            ["10.65.0.1", "fd65::1"].map(|text| text.parse::<IpAddr>().expect("an address"))
        );
        assert!(addresses(&json!({})).is_err());
        assert!(addresses(&json!({"ips": [{"address": "x"}]})).is_err());
    }

    #[test]
    fn errors_are_told_with_their_code() {
        let error = json!({"code": 11, "msg": "try again later", "details": "no agent"});
        let text = error_text(Some(&error), "", Path::new("log"));
        assert_eq!(text, "code 11: try again later no agent");
        assert!(error_text(None, "boom", Path::new("log")).contains("boom"));
    }
}
