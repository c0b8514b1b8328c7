//! Hosts on which the programs cannot work, each in its own way: one clear error, its exit code, and nothing half-done behind it.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use tempfile::TempDir;

const CALICO: &str = env!("CARGO_BIN_EXE_calico");
/// Set in a child: it becomes the program it names on a kernel that seems to have no netfilter.
const BECOME: &str = "CALICO_TEST_BECOME";

/// Not a test: what this program is when a test starts it to become another. Sockets to `NETLINK_NETFILTER` are refused as a
/// kernel without it refuses them.
#[test]
fn becomes_the_program() {
    let Ok(program) = std::env::var(BECOME) else {
        return;
    };
    let is = |arg: u8, value: i32| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .expect("a condition")
    };
    let netfilter = vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_NETFILTER)];
    let netfilter = SeccompRule::new(netfilter).expect("a rule");
    let filter = SeccompFilter::new(
        [(libc::SYS_socket, vec![netfilter])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPROTONOSUPPORT.unsigned_abs()),
        TargetArch::try_from(std::env::consts::ARCH).expect("a known machine"),
    );
    let filter: BpfProgram = filter
        .expect("a filter")
        .try_into()
        .expect("a filter's program");
    seccompiler::apply_filter(&filter).expect("the filter is taken");
    panic!("{}", Command::new(program).exec());
}

/// Where a program keeps its things in a test.
struct Place(TempDir);

impl Place {
    /// `None`, and said so, where this cannot be tested.
    fn new() -> Option<Place> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: namespaces, mounts and other users need root");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        // Anybody may look, and run the program from here.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("set");
        for name in ["calicoctl", "calico-node"] {
            std::fs::copy(CALICO, directory.path().join(name)).expect("a copy");
        }
        std::fs::create_dir(directory.path().join("store")).expect("made");
        Some(Place(directory))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A shell's work with mounts and a network of its own; `$0` is this directory.
    fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--propagation", "private", "sh", "-c"])
            .arg(script)
            .arg(self.0.path())
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("DATASTORE_TYPE", "embedded")
            .env("CALICO_DATASTORE_FILE", self.path("store/datastore.db"))
            .env("NODENAME", "n1")
            .env("IP", "10.9.9.1")
            .env("CALICO_NODENAME_FILE", self.path("store/nodename"))
            .env("CALICO_MTU_FILE", self.path("store/mtu"))
            .env("FELIX_ENDPOINTSTATUSPATHPREFIX", self.path("store"))
            .env("FELIX_HEALTHENABLED", "false");
        command.output().expect("unshare runs")
    }

    /// What a shell's work prints that has to end well.
    fn ok(&self, script: &str) -> String {
        let output = self.shell(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// That a shell's work ends with code 1 and one error, which has these words.
    fn fails(&self, script: &str, words: &[&str]) {
        let output = self.shell(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{script}: {errors}");
        let said: Vec<&str> = errors
            .lines()
            .filter(|line| !line.contains(" INFO ") && !line.is_empty())
            .collect();
        assert_eq!(said.len(), 1, "{errors}");
        for part in words {
            assert!(said[0].contains(part), "{part}: {errors}");
        }
    }

    fn store_is_empty(&self) -> bool {
        let entries = std::fs::read_dir(self.0.path().join("store"));
        entries.expect("a directory").next().is_none()
    }
}

/// A tier to apply.
const TIER: &str = r#"printf '{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t%s}, spec: {order: 1}}' "$n" | "#;

#[test]
fn the_agent_on_a_kernel_without_nf_tables() {
    let Some(place) = Place::new() else { return };
    let this = std::env::current_exe().expect("this program");
    let script = format!(
        "{BECOME}=\"$0/calico-node\" {} becomes_the_program --exact --nocapture --quiet",
        this.display()
    );
    place.fails(&script, &["nf_tables", "rotocol not supported"]);
    assert!(place.store_is_empty(), "nothing was begun");
}

#[test]
fn the_agent_as_nobody() {
    let Some(place) = Place::new() else { return };
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups \"$0/calico-node\"";
    place.fails(
        nobody,
        &["calico-node needs CAP_NET_ADMIN (run it as root)"],
    );
    assert!(place.store_is_empty(), "nothing was begun");
}

#[test]
fn the_agent_with_a_store_that_cannot_be_made() {
    let Some(place) = Place::new() else { return };
    let read_only = "mount --bind store store && mount -o bind,remount,ro store || exit 9; ";
    // What it left in the kernel is printed as an error too.
    let script = format!("{read_only} ./calico-node; code=$?; nft list ruleset >&2; exit $code");
    place.fails(&script, &["read-only"]);
    assert!(place.store_is_empty(), "nothing was begun");
}

#[test]
fn calicoctl_on_disks_that_are_full_or_read_only() {
    let Some(place) = Place::new() else { return };
    let full = [
        "mount -t tmpfs -o size=1m none store || exit 9",
        &format!("n=1; {TIER} ./calicoctl apply -f - >/dev/null || exit 8"),
        "dd if=/dev/zero of=store/filler 2>/dev/null",
        &format!("n=2; {TIER} ./calicoctl apply -f - >/dev/null; code=$?"),
        "rm store/filler; ./calicoctl get tiers -o name | grep -q t1 || exit 7",
        "! ./calicoctl get tiers -o name | grep -q t2 || exit 6",
        "exit $code",
    ];
    place.fails(&full.join("\n"), &["no space left on the disk"]);
    place.ok(&format!("n=1; {TIER} ./calicoctl apply -f -"));
    place.fails(
        &format!("mount --bind store store && mount -o bind,remount,ro store || exit 9; n=2; {TIER} ./calicoctl apply -f - >/dev/null"),
        &["read-only"],
    );
    let tiers = place.ok("./calicoctl get tiers -o name");
    assert!(tiers.contains("t1") && !tiers.contains("t2"), "{tiers}");
}

#[test]
fn calicoctl_as_nobody() {
    let Some(place) = Place::new() else { return };
    place.ok(&format!("n=1; {TIER} ./calicoctl apply -f -"));
    let before = std::fs::read(place.path("store/datastore.db")).expect("a store");
    place.fails(
        &format!("n=2; {TIER} setpriv --reuid=65534 --regid=65534 --clear-groups ./calicoctl apply -f - >/dev/null"),
        &["permi"],
    );
    assert_eq!(
        std::fs::read(place.path("store/datastore.db")).expect("a store"),
        before
    );
}

#[test]
fn calicoctl_on_a_store_that_another_keeps_locked() {
    let Some(place) = Place::new() else { return };
    place.ok(&format!("n=1; {TIER} ./calicoctl apply -f -"));
    let path = place.path("store/datastore.db");
    let other = rusqlite::Connection::open(Path::new(&path)).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    place.fails(
        &format!("n=2; {TIER} ./calicoctl apply -f - >/dev/null"),
        &["locked"],
    );
    other.execute_batch("ROLLBACK").expect("given up");
    let tiers = place.ok("./calicoctl get tiers -o name");
    assert!(tiers.contains("t1") && !tiers.contains("t2"), "{tiers}");
}
