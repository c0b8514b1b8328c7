//! Files that are wrong, each in its own way: a clear error, an exit code, and a store that is as it was.

mod support;

use support::Lab;

/// Name and text of each file.
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
fn corpus() -> Vec<(String, String)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 15);
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn each_gives_one_clear_error_and_changes_nothing() {
    let mut lab = Lab::new();
    for (name, text) in corpus() {
        lab.file(&name, &text);
        let file = format!("DIR/{name}");
        let code = lab.run(&["apply", "--exit-codes=extended", "-f", &file]);
        assert_eq!(code, 6, "{name}");
        assert_eq!(lab.quiet(&["validate", "-f", &file], "").code, 1, "{name}");
        assert!(
            !lab.store().exists(),
            "{name}: a store was made for nothing"
        );
    }
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn a_wrong_document_leaves_the_store_as_it_was() {
    let lab = Lab::new();
    let good =
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}, spec: {order: 1}}\n";
    assert_eq!(lab.quiet(&["apply", "-f", "-"], good).code, 0);
    let before = lab.quiet(&["get", "tiers", "-o", "yaml"], "").out;
    for (name, text) in corpus() {
        // The first document is good, and would change the store.
        let mixed = format!("{}---\n{text}", good.replace("order: 1", "order: 2"));
        let ended = lab.quiet(&["validate", "-f", "-"], &mixed);
        assert_eq!(ended.code, 1, "{name}");
        let unreadable = ended.err.starts_with("failed to execute command");
        if unreadable {
            assert_eq!(lab.quiet(&["apply", "-f", "-"], &mixed).code, 1, "{name}");
            assert_eq!(
                lab.quiet(&["get", "tiers", "-o", "yaml"], "").out,
                before,
                "{name}"
            );
        }
    }
}

#[test]
fn partial_success_is_told_object_by_object() {
    let mut lab = Lab::new();
    lab.file(
        "mixed.yaml",
        "\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: good}
spec: {selector: all()}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: bad}
spec:
  selector: all(
  ingress:
  - action: Alow
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: fine}
spec: {}
",
    );
    lab.run(&["validate", "-f", "DIR/mixed.yaml"]);
    lab.run(&["apply", "-f", "DIR/mixed.yaml"]);
    lab.run(&["get", "gnp"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn files_that_are_not_there_or_hold_nothing() {
    let mut lab = Lab::new();
    lab.file("comment.yaml", "# nothing\n");
    std::fs::create_dir(lab.path("empty")).unwrap();
    std::fs::write(lab.path("latin1.yaml"), b"a: \xe9\n").unwrap();
    for args in [
        &["apply", "-f", "DIR/missing.yaml", "--exit-codes=extended"][..],
        &["apply", "-f", "DIR/comment.yaml"],
        &["apply", "-f", "DIR/comment.yaml", "--skip-empty"],
        &["apply", "-f", "DIR/empty"],
        &["apply", "-f", "DIR/empty", "--skip-empty"],
        &["apply", "-f", "DIR/latin1.yaml"],
        &["validate", "-f", "-"],
    ] {
        lab.run(args);
    }
    assert!(!lab.store().exists());
    insta::assert_snapshot!(lab.transcript());
}
