//! Hosts on which nothing can work, each in its own way: one clear error with its code, and nothing half-done behind it.

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use lab::{Conf, Lab, can_run};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

const PLUGIN: &str = env!("CARGO_BIN_EXE_calico-cni");
/// Set in a child: it becomes the plugin on a kernel that seems to have no netfilter.
const BECOME: &str = "CALICO_TEST_BECOME";
/// Set in a child that has mounts of its own: a directory of it.
const INSIDE: &str = "CALICO_TEST_MOUNTS";

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Not a test: what this program is when a test starts it to become the plugin. Sockets to `NETLINK_NETFILTER` are refused as a
/// kernel without it refuses them.
#[test]
fn becomes_the_plugin() {
    let Ok(plugin) = std::env::var(BECOME) else {
        return;
    };
    let number = |arg: u8, value: i32| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .expect("a condition")
    };
    let netfilter = SeccompRule::new(vec![
        number(0, libc::AF_NETLINK),
        number(2, libc::NETLINK_NETFILTER),
    ]);
    let filter = SeccompFilter::new(
        [(libc::SYS_socket, vec![netfilter.expect("a rule")])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPROTONOSUPPORT.unsigned_abs()),
        TargetArch::try_from(std::env::consts::ARCH).expect("a known machine"),
    );
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the filter is taken");
    let error = Command::new(plugin).exec();
    panic!("{error}");
}

fn attach(lab: &Lab, program: &[&str], command: &str, netns: &Path) -> lab::Answer {
    attach_with(lab, program, command, netns, &[])
}

fn attach_with(
    lab: &Lab,
    program: &[&str],
    command: &str,
    netns: &Path,
    more: &[(&str, &str)],
) -> lab::Answer {
    let call = [
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", text(netns)),
        ("CNI_IFNAME", "eth0"),
    ];
    lab.run_as(
        program,
        command,
        &[&call[..], more].concat(),
        &lab.conf(&Conf::new()),
    )
}

#[test]
fn a_kernel_without_nf_tables() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let this = std::env::current_exe().expect("this program");
    let program = [
        text(&this),
        "becomes_the_plugin",
        "--exact",
        "--nocapture",
        "--quiet",
    ];
    let answer = attach_with(&lab, &program, "ADD", &netns, &[(BECOME, PLUGIN)]);
    assert!(!answer.ok);
    // The test harness says its own line before it becomes the plugin.
    let said = answer.stdout.as_str().expect("text").to_owned();
    let object = &said[said.find('{').expect("an error object")..];
    let object: serde_json::Value = serde_json::from_str(object).expect("one error object");
    assert_eq!(object["code"], 50, "{object}");
    let message = object["msg"].as_str().expect("a message");
    assert!(
        message.contains("this kernel has no nf_tables"),
        "{message}"
    );
    lab.assert_clean();
}

#[test]
fn a_namespace_that_vanished() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    attach(&lab, &[PLUGIN], "ADD", &netns).result();
    lab.delete_container("a");
    // Its links went with it; address and endpoint are given back all the same, and again.
    attach(&lab, &[PLUGIN], "DEL", &netns).result();
    attach(&lab, &[PLUGIN], "DEL", &netns).result();
    lab.assert_clean();
    let (code, message) = attach(&lab, &[PLUGIN], "ADD", &netns).error();
    assert!(code == 3 && message.contains(text(&netns)), "{message}");
    lab.assert_clean();
}

#[test]
fn without_privileges() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("SKIPPED: setpriv is needed to run as somebody else");
        return;
    }
    // Where anybody may run it.
    let place = tempfile::tempdir().expect("a directory");
    let plugin = place.path().join("calico");
    std::fs::copy(PLUGIN, &plugin).expect("copied");
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), anybody).expect("set");
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        text(&plugin),
    ];
    let answer = attach(&lab, &nobody, "ADD", &netns);
    let (code, message) = answer.error();
    assert!(message.contains("ermi"), "{code} {message}");
    lab.assert_clean();
    // And with root's identity, but without its rights.
    let bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", PLUGIN];
    let (code, message) = attach(&lab, &bare, "ADD", &netns).error();
    assert!(message.contains("ermi"), "{code} {message}");
    lab.assert_clean();
}

/// Runs `work` in a process with mounts of its own, in whose small temporary directory the store is.
fn with_own_mounts(test: &str, work: fn(&Path)) {
    if let Some(directory) = std::env::var_os(INSIDE) {
        return work(Path::new(&directory));
    }
    if !can_run() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs -o size=2m none \"$0\" && exec \"$@\"",
        ])
        .arg(directory.path())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, directory.path())
        .env("TMPDIR", directory.path())
        .output()
        .expect("unshare runs");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn fails(lab: &Lab, netns: &Path, words: &str) {
    let (code, message) = attach(lab, &[PLUGIN], "ADD", netns).error();
    assert_eq!(code, 11, "{message}");
    assert!(message.contains(words), "{message}");
    assert_eq!(lab.links(), []);
}

#[test]
fn a_store_on_a_full_disk() {
    with_own_mounts("a_store_on_a_full_disk", |directory| {
        let lab = Lab::new();
        let netns = lab.container("a");
        let filler = directory.join("filler");
        let mut file = std::fs::File::create(&filler).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        drop(file);
        fails(&lab, &netns, "no space left on the disk");
        std::fs::remove_file(&filler).expect("removed");
        lab.assert_clean();
        attach(&lab, &[PLUGIN], "ADD", &netns).result();
        attach(&lab, &[PLUGIN], "DEL", &netns).result();
        lab.assert_clean();
    });
}

#[test]
fn a_store_on_a_read_only_disk() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let script = "mount --bind \"$0\" \"$0\" && mount -o bind,remount,ro \"$0\" && exec \"$1\"";
    let directory = lab.dir.path().to_owned();
    let program = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        text(&directory),
        PLUGIN,
    ];
    let (code, message) = attach(&lab, &program, "ADD", &netns).error();
    assert_eq!(code, 11, "{message}");
    assert!(message.contains("read-only"), "{message}");
    lab.assert_clean();
}

#[test]
fn a_store_that_another_keeps_locked() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let other = rusqlite::Connection::open(lab.dir.path().join("store.db")).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    fails(&lab, &netns, "locked");
    other
        .execute_batch("ROLLBACK")
        .expect("the lock is given up");
    lab.assert_clean();
    attach(&lab, &[PLUGIN], "ADD", &netns).result();
    attach(&lab, &[PLUGIN], "DEL", &netns).result();
    lab.assert_clean();
}
