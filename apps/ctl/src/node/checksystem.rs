//! `node checksystem`: whether this host has what our dataplane needs: a kernel with nf_tables and connection tracking.

use std::path::{Path, PathBuf};

use crate::cli::NodeChecksystemArgs;
use crate::outcome::{Failure, Status};
use crate::programs;
use crate::session::Session;

/// Sets whose keys are several fields, with ranges, came with 5.6.
const OLDEST_KERNEL: (u32, u32) = (5, 6);

/// Something of the kernel.
struct Feature {
    /// The module that has it.
    module: &'static str,
    /// The kernel's options of which any builds it.
    options: &'static [&'static str],
    need: Need,
}

/// What is lost without a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// The agent does not start.
    Always,
    /// Only policies or settings that ask for it.
    Sometimes,
}

const fn feature(module: &'static str, options: &'static [&'static str], need: Need) -> Feature {
    Feature {
        module,
        options,
        need,
    }
}

const FEATURES: [Feature; 10] = [
    feature("veth", &["CONFIG_VETH"], Need::Always),
    feature("nf_tables", &["CONFIG_NF_TABLES"], Need::Always),
    feature("nf_conntrack", &["CONFIG_NF_CONNTRACK"], Need::Always),
    feature(
        "nf_conntrack_netlink",
        &["CONFIG_NF_CT_NETLINK"],
        Need::Always,
    ),
    feature("nft_ct", &["CONFIG_NFT_CT"], Need::Always),
    feature("nft_chain_nat", &["CONFIG_NFT_NAT"], Need::Always),
    feature("nft_masq", &["CONFIG_NFT_MASQ"], Need::Always),
    feature("nft_limit", &["CONFIG_NFT_LIMIT"], Need::Sometimes),
    feature("nft_log", &["CONFIG_NFT_LOG"], Need::Sometimes),
    feature("nft_reject", &["CONFIG_NFT_REJECT"], Need::Sometimes),
];

/// What is known of the kernel that runs.
struct Kernel {
    release: String,
    /// Names of modules, loaded or to be loaded, with underscores.
    modules: Vec<String>,
    /// Options that are set.
    options: Vec<String>,
}

pub(crate) fn run(
    args: &NodeChecksystemArgs,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let kernel = Kernel::running(args.kernel_config.as_deref());
    check(&kernel, session)
}

fn check(kernel: &Kernel, session: &mut Session<'_>) -> Result<Status, Failure> {
    session.line("Checking kernel version...")?;
    let mut is_fit = version(&kernel.release) >= Some(OLDEST_KERNEL);
    session.line(result(&kernel.release, if is_fit { "OK" } else { "FAIL" }))?;
    if !is_fit {
        let (major, minor) = OLDEST_KERNEL;
        session.line(format!(
            "Minimum kernel version to run Calico is {major}.{minor}. Detected kernel version: {}",
            kernel.release
        ))?;
    }
    session.line("Checking kernel modules...")?;
    for feature in &FEATURES {
        let word = match (kernel.has(feature), feature.need) {
            (true, _) => "OK",
            (false, Need::Sometimes) => {
                session.line(format!(
                    "WARNING: Unable to detect optional module/feature {}; continuing",
                    feature.module
                ))?;
                "SKIP"
            }
            (false, Need::Always) => {
                session.line(format!(
                    "WARNING: Unable to detect the {} module as Loaded/Builtin module or lsmod",
                    feature.module
                ))?;
                is_fit = false;
                "FAIL"
            }
        };
        session.line(result(feature.module, word))?;
    }
    if !is_fit {
        return Err(Failure::new(
            Status::CheckFailed,
            "system doesn't meet one or more minimum systems requirements to run Calico",
        ));
    }
    session.line("System meets minimum system requirements to run Calico!")?;
    Ok(Status::Done)
}

fn result(what: &str, word: &str) -> String {
    format!("\t\t{what:<20}\t\t\t\t\t{word}")
}

/// `6.18.44-generic` is 6.18.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Kernel {
    fn running(config: Option<&Path>) -> Kernel {
        let names = rustix::system::uname();
        let release = names.release().to_string_lossy().into_owned();
        let mut modules = Vec::new();
        for list in ["modules.dep", "modules.builtin"] {
            modules.extend(listed(&format!("/lib/modules/{release}/{list}")));
        }
        let loaded = std::fs::read_dir("/sys/module").into_iter().flatten();
        modules.extend(
            loaded
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok()),
        );
        let text = match config {
            Some(path) => std::fs::read_to_string(path).unwrap_or_default(),
            None => config_text(&release),
        };
        Kernel {
            release,
            modules,
            options: options(&text),
        }
    }

    fn has(&self, feature: &Feature) -> bool {
        let is_set = |option: &&str| self.options.iter().any(|set| set == *option);
        self.modules.iter().any(|module| module == feature.module)
            || feature.options.iter().any(is_set)
    }
}

/// The modules of a list of files: `kernel/net/netfilter/nf_tables.ko.xz: ...`.
fn listed(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let name = |line: &str| {
        let file = line.split(':').next()?.rsplit('/').next()?;
        let name = file.split(".ko").next()?;
        Some(name.replace('-', "_"))
    };
    text.lines().filter_map(name).collect()
}

/// The options that a kernel's configuration sets, built in or as a module.
fn options(text: &str) -> Vec<String> {
    let set = |line: &str| {
        let (name, value) = line.split_once('=')?;
        matches!(value.trim(), "y" | "m").then(|| name.to_owned())
    };
    text.lines().filter_map(set).collect()
}

/// The kernel's configuration, wherever a distribution keeps it; empty if nowhere.
fn config_text(release: &str) -> String {
    let places = [
        "/usr/src/linux/.config".to_owned(),
        format!("/boot/config-{release}"),
        format!("/usr/src/linux-{release}/.config"),
        format!("/usr/src/linux-headers-{release}/.config"),
        format!("/lib/modules/{release}/build/.config"),
        format!("/lib/modules/{release}/config"),
    ];
    let found = places
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    if let Some(path) = found {
        return std::fs::read_to_string(path).unwrap_or_default();
    }
    let unpacked = programs::run(&["zcat", "/proc/config.gz"]).unwrap_or_default();
    String::from_utf8_lossy(&unpacked).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kernel: &Kernel) -> (String, bool) {
        let mut out = Vec::new();
        let mut session = Session {
            out: &mut out,
            err: &mut Vec::new(),
            stdin: &mut std::io::empty(),
            environment: Default::default(),
            output: crate::session::Output::Other,
            errors: crate::session::Output::Other,
        };
        let is_fit = check(kernel, &mut session).is_ok();
        (String::from_utf8(out).unwrap(), is_fit)
    }

    #[test]
    fn what_is_missing_is_named() {
        let all = "CONFIG_VETH=y\nCONFIG_NF_TABLES=m\nCONFIG_NF_CONNTRACK=y\n\
            CONFIG_NF_CT_NETLINK=m\nCONFIG_NFT_CT=m\nCONFIG_NFT_NAT=m\nCONFIG_NFT_MASQ=m\n# CONFIG_NFT_LOG is not set\n";
        let mut kernel = Kernel {
            release: "6.1.0-9-amd64".to_owned(),
            modules: vec!["nft_limit".to_owned()],
            options: options(all),
        };
        let (text, is_fit) = said(&kernel);
        assert!(is_fit, "{text}");
        assert!(text.contains("optional module/feature nft_log"), "{text}");
        assert!(!text.contains("nft_limit;"), "{text}");
        kernel.options.retain(|option| option != "CONFIG_NFT_CT");
        kernel.release = "5.4.0".to_owned();
        let (text, is_fit) = said(&kernel);
        assert!(!is_fit);
        assert!(
            text.contains("detect the nft_ct module") && text.contains("is 5.6."),
            "{text}"
        );
    }

    #[test]
    fn versions_and_lists() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("nonsense"), None);
    }
}
