//! A real Kubernetes API server and the etcd below it, built once from their Go modules: what the tests of the Kubernetes
//! store run against.
//!
//! Nothing of Kubernetes is copied: a module of a few lines names theirs, and the Go tool fetches and builds it. What comes
//! out is kept in the user's cache directory, named by version, and used again.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::go;
use crate::process::{self, Program};

/// A release of Kubernetes that can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// What the tests run against.
    Current,
    /// Two minor releases older: what the long tests run against besides.
    Older,
}

impl Release {
    /// Its module is `v1.<this>`, those it is made of are `v0.<this>`.
    const fn number(self) -> &'static str {
        match self {
            Release::Current => "36.3",
            Release::Older => "34.4",
        }
    }
}

/// The release of etcd that this Kubernetes itself asks for. Streaming lists need 3.5.13 or newer.
const ETCD: &str = "v3.6.8";

/// The modules that Kubernetes is made of. Its own go.mod replaces them by directories of its tree, which a module that
/// depends on it cannot see: they are named one by one.
const STAGING: [&str; 33] = [
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "cri-streaming",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
    "streaming",
];

/// A program of ours around a command of theirs.
struct Build {
    name: &'static str,
    source: &'static str,
    /// How long it takes on two cores, for the message.
    takes: &'static str,
}

const API_SERVER: Build = Build {
    name: "kube-apiserver",
    source: r#"package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
"#,
    takes: "about 6 minutes",
};

const ETCD_SERVER: Build = Build {
    name: "etcd",
    source: r#"package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"#,
    takes: "about a minute",
};

const KUBECTL: Build = Build {
    name: "kubectl",
    source: r#"package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }
"#,
    takes: "about a minute",
};

/// All that the module has to know of, whether or not it is built.
const ALL: [&Build; 3] = [&API_SERVER, &ETCD_SERVER, &KUBECTL];

/// Makes sure that the servers are there. A machine that cannot build them says so and goes on: the tests say so too.
pub(crate) fn run(release: Release) -> Option<PathBuf> {
    match ensure(release) {
        Ok(directory) => Some(directory),
        Err(error) => {
            println!(
                "set-up: no Kubernetes 1.{} API server ({error:#}); tests that need one will be skipped",
                release.number()
            );
            None
        }
    }
}

/// Where the servers are, if they were built before.
pub(crate) fn found() -> Option<PathBuf> {
    let number = Release::Current.number();
    let directory = cache().ok()?.join(format!("kubernetes-1.{number}"));
    let wanted = [&ETCD_SERVER, &API_SERVER];
    missing(&directory, &wanted).is_empty().then_some(directory)
}

fn ensure(release: Release) -> Result<PathBuf> {
    let cache = cache()?;
    let number = release.number();
    let directory = cache.join(format!("kubernetes-1.{number}"));
    let mut wanted = vec![&ETCD_SERVER, &API_SERVER];
    if !process::exists("kubectl") {
        wanted.push(&KUBECTL);
    }
    if missing(&directory, &wanted).is_empty() {
        println!(
            "set-up: Kubernetes 1.{number} is there, in {}",
            directory.display()
        );
        return Ok(directory);
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    // Two set-ups at once would build the same thing twice: the second waits, and then finds it there.
    let lock = directory.join(".lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock()
        .context("cannot wait for another set-up that builds Kubernetes")?;
    let missing = missing(&directory, &wanted);
    if !missing.is_empty() {
        let go = go::find(&cache)?;
        build(&go, &directory, release, &missing)?;
    }
    Ok(directory)
}

/// `${XDG_CACHE_HOME:-~/.cache}/calico-rs`.
fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where to keep what is built")?;
    Ok(cache.join("calico-rs"))
}

fn missing<'b>(directory: &Path, wanted: &[&'b Build]) -> Vec<&'b Build> {
    let absent = |build: &&&Build| !directory.join(build.name).is_file();
    wanted.iter().filter(absent).copied().collect()
}

/// Builds in a directory of its own and moves each program into place when it is whole.
fn build(go: &Path, directory: &Path, release: Release, missing: &[&Build]) -> Result<()> {
    let number = release.number();
    let source = directory.join("source");
    fs::create_dir_all(&source).with_context(|| format!("cannot make {}", source.display()))?;
    write(&source.join("go.mod"), &go_mod(release))?;
    for build in ALL {
        let package = source.join(build.name);
        fs::create_dir_all(&package)
            .with_context(|| format!("cannot make {}", package.display()))?;
        write(&package.join("main.go"), build.source)?;
    }
    let tool = |words: &[&str]| {
        Program::new(go)
            .args(words)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOTOOLCHAIN", "local")
            .directory(&source)
    };
    println!("set-up: asking the Go module proxy for Kubernetes 1.{number} and what it needs");
    tool(&["mod", "tidy"])
        .output()
        .context("its Go modules could not be fetched: is the module proxy within reach?")?;
    for build in missing {
        let version = match build.name {
            "etcd" => ETCD.trim_start_matches('v').to_owned(),
            _ => format!("1.{number}"),
        };
        let Build { name, takes, .. } = build;
        println!("set-up: building {name} {version} from its Go module: {takes}, once");
        let started = Instant::now();
        let part = format!(".{name}.part");
        let package = format!("./{name}");
        tool(&["build", "-trimpath", "-ldflags", &link_flags(release), "-o"])
            .args([directory.join(&part)])
            .args([&package])
            .run()?;
        fs::rename(directory.join(&part), directory.join(name))
            .with_context(|| format!("cannot move {name} into place"))?;
        println!(
            "set-up: built {name} in {:.0} s",
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Our module, which is nothing but a list of theirs.
fn go_mod(release: Release) -> String {
    let number = release.number();
    let mut text = format!(
        "module calico-rs/kubernetes\n\ngo 1.26.0\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 {ETCD}\n\tk8s.io/kubernetes v1.{number}\n)\n\nreplace (\n"
    );
    for name in STAGING {
        let _ = writeln!(text, "\tk8s.io/{name} => k8s.io/{name} v0.{number}");
    }
    text.push_str(")\n");
    text
}

/// Without these the programs call themselves v0.0.0, which clients take for too old.
fn link_flags(release: Release) -> String {
    let number = release.number();
    let package = "k8s.io/component-base/version";
    let minor = number.split('.').next().unwrap_or(number);
    format!(
        "-s -w -X {package}.gitVersion=v1.{number} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_pins_every_part_to_one_release() {
        let text = go_mod(Release::Current);
        assert!(text.contains("\tk8s.io/kubernetes v1.36.3\n"), "{text}");
        assert_eq!(text.matches(" v0.36.3\n").count(), STAGING.len());
        assert!(text.contains("\tk8s.io/client-go => k8s.io/client-go v0.36.3\n"));
        assert!(link_flags(Release::Current).contains("gitMinor=36"));
    }

    #[test]
    fn only_what_is_not_there_is_built() {
        let directory = std::env::temp_dir().join(format!("calico-xtask-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("etcd"), "").expect("a file");
        let names: Vec<_> = missing(&directory, &[&ETCD_SERVER, &API_SERVER])
            .iter()
            .map(|build| build.name)
            .collect();
        fs::remove_dir_all(&directory).expect("it was ours");
        assert_eq!(names, ["kube-apiserver"]);
    }
}
