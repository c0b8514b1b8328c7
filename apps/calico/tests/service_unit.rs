//! The systemd unit is one that systemd takes.

use std::process::Command;

const UNIT: &str = include_str!("../../../deploy/systemd/calico-node.service");

#[test]
fn systemd_finds_nothing_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("calico-node.service");
    // The program has to be where the unit says.
    let program = env!("CARGO_BIN_EXE_calico");
    let unit = UNIT.replace("/usr/local/bin/calico-node", program);
    assert_ne!(unit, UNIT, "the unit starts calico-node");
    std::fs::write(&path, unit).expect("a file");
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output();
    let Ok(verified) = verified else {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    // Units of the machine that ours refers to may have faults of their own.
    let ours: Vec<&str> = said.lines().filter(|l| l.contains("calico")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}
