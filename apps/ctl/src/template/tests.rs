//! Templates against what Go printed for them, over upstream's own types; and what Go would not do, or not survive.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Limits, Template};

fn config(name: &str) -> Result<String, String> {
    match name.to_lowercase().as_str() {
        "asnumber" => Ok("64512".to_owned()),
        _ => Err("unhandled config type".to_owned()),
    }
}

fn render_with(text: &str, documents: &[Value], limits: Limits) -> Result<String, String> {
    let template = Template::parse("get", text).map_err(|error| error.to_string())?;
    let rendered = template.render(documents, limits, &config);
    rendered.map_err(|error| error.to_string())
}

fn render(text: &str, documents: &[Value]) -> Result<String, String> {
    render_with(text, documents, Limits::default())
}

/// `templates.txt` was written by Go 1.26's text/template: the data's name, a template, and what came of it.
#[test]
fn as_go_prints_them() {
    let sets = include_str!("../../tests/golden/templates.json");
    let sets: BTreeMap<String, Vec<Value>> = serde_json::from_str(sets).unwrap();
    let cases = include_str!("../../tests/golden/templates.txt");
    let mut wrong = String::new();
    for case in cases.split("=== ").skip(1) {
        let (set, case) = case.split_once('\n').unwrap();
        let (template, outcome) = case.split_once("\n--- ").unwrap();
        let (word, expected) = outcome
            .strip_suffix('\n')
            .unwrap()
            .split_once('\n')
            .unwrap();
        let (found, text) = match render(template, &sets[set]) {
            Ok(text) => ("output", text),
            Err(text) => ("error", text),
        };
        if found != word || text != expected {
            wrong += &format!("{template}\n  Go's {word}: {expected:?}\nour {found}: {text:?}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn pool() -> Value {
    json!({
        "apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "main", "labels": {"a.b/c": "d"}},
        "spec": {"cidr": "10.0.0.0/16", "assignmentMode": "Manual", "newInThisVersion": {"deep": [1, "x", null]}},
    })
}

fn check(template: &str, documents: &[Value], expected: &str) {
    assert_eq!(
        render(template, documents).as_deref(),
        Ok(expected),
        "{template}"
    );
}

#[test]
fn names_of_files_are_understood() {
    for template in [
        "{{range .}}{{.metadata.name}} {{.spec.cidr}} {{.kind}} {{.spec.natOutgoing}}{{end}}",
        "{{range .}}{{.Name}} {{.Spec.CIDR}} {{.Kind}} {{.Spec.NATOutgoing}}{{end}}",
    ] {
        check(template, &[pool()], "main 10.0.0.0/16 IPPool false");
    }
    let labels = r#"{{range .}}{{index .metadata.labels "a.b/c"}} {{.metadata.labels}}{{end}}"#;
    check(labels, &[pool()], "d map[a.b/c:d]");
}

/// Fields that upstream of today does not know are there as JSON has them.
#[test]
fn fields_of_other_versions() {
    let template = "{{range .}}{{range .Spec.newInThisVersion.deep}}{{.}};{{end}}{{.Spec.newInThisVersion}}{{end}}";
    check(template, &[pool()], "1;x;<nil>;map[deep:[1 x <nil>]]");
}

/// Go prints addresses of pointers, and does not compare what they lead to.
#[test]
fn pointers_are_followed() {
    let template = r#"{{range .}}{{eq .Spec.AssignmentMode "Manual"}} {{print .Spec.AssignmentMode}} {{printf "%s" .Spec.AssignmentMode}}{{end}}"#;
    check(template, &[pool()], "true Manual Manual");
    let rule = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": "p"},
        "spec": {"ingress": [{"action": "Allow", "protocol": "TCP"}, {"action": "Deny"}]},
    });
    let template = r#"{{range .}}{{range .Spec.Ingress}}{{.Action}} {{eq .Protocol "TCP"}} {{if .Protocol}}{{.Protocol}}{{end}};{{end}}{{end}}"#;
    check(template, &[rule], "Allow true TCP;Deny false ;");
    let felix = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": "default"},
        "spec": {"reportingInterval": "90s"},
    });
    check(
        "{{range .}}{{.Spec.ReportingInterval}}{{end}}",
        &[felix],
        "1m30s",
    );
}

/// Kinds for which upstream's calicoctl has no type.
#[test]
fn objects_of_kubernetes() {
    let namespace = json!({
        "apiVersion": "v1", "kind": "NamespaceList", "metadata": {},
        "items": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes"]}}],
    });
    let template = "{{range .}}{{range .Items}}{{.ObjectMeta.Name}} {{.Spec.Finalizers}} {{.spec.finalizers}} {{.Spec.Nope}}{{end}}{{end}}";
    check(
        template,
        &[namespace],
        "shop [kubernetes] [kubernetes] <no value>",
    );
}

/// What is not as its type says is shown as it is.
#[test]
fn data_that_is_no_such_thing() {
    let odd = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": "none",
        "spec": {"cidr": 5, "natOutgoing": "yes", "blockSize": [1], "allowedUses": {"a": 1}, "nodeSelector": null},
    });
    let template = "{{range .}}{{.Spec.CIDR}} {{.Spec.NATOutgoing}} {{.Spec.BlockSize}} {{.Spec.AllowedUses}} {{.Spec.NodeSelector}}|{{.Name}}|{{end}}";
    check(template, &[odd], "5 yes [1] map[a:1] ||");
    check(
        "{{range .}}{{.}}{{end}}",
        &[json!(7), json!([]), json!(null)],
        "7[]<nil>",
    );
}

#[test]
fn no_template_goes_on_for_ever() {
    let small = Limits {
        steps: 1000,
        output: 100,
    };
    let check = |template: &str, expected: &str| {
        let error = render_with(template, &[], small).unwrap_err();
        assert!(error.ends_with(expected), "{template}: {error}");
    };
    check(
        "{{range 100000000000}}{{end}}",
        "the template takes more than 1000 steps",
    );
    check(
        "{{range 1000}}0123456789{{end}}",
        "the output is longer than 100 bytes",
    );
    check(
        r#"{{$x := "0123456789"}}{{range 10}}{{$x = print $x $x}}{{end}}"#,
        "a text longer than 100 bytes",
    );
    check(
        r#"{{printf "%1000000d" 1}}"#,
        "a text longer than 100 bytes",
    );
    check(
        r#"{{define "t"}}{{template "t"}}{{end}}{{template "t"}}"#,
        "exceeded maximum template depth (400)",
    );
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    for (open, close) in [
        ("{{if true}}", "{{end}}"),
        ("{{if true}}{{else}}", "{{end}}"),
        ("{{range .}}", "{{end}}"),
    ] {
        check(&nested(open, close), "nested deeper than 100 levels");
    }
    check(
        &format!("{{{{{}}}}}", nested("(", ")")),
        "nested deeper than 100 levels",
    );
    check(
        &"{{if 1}}{{else if 1}}".replace("{{else if 1}}", &"{{else if 1}}".repeat(10_000)),
        "nested deeper than 100 levels",
    );
}

/// The deepest that is let through, on a small stack: everything that nests, in everything else.
#[test]
fn the_deepest_template_fits_the_stack() {
    let inner = format!(
        "{}{{{{template \"t\"}}}}{}",
        "{{with 1}}{{if (and (or (print 1)))}}".repeat(20),
        "{{end}}{{end}}".repeat(20)
    );
    let template = format!("{{{{define \"t\"}}}}{inner}{{{{end}}}}{{{{template \"t\"}}}}");
    let error = render(&template, &[]).unwrap_err();
    assert!(
        error.ends_with("exceeded maximum template depth (400)"),
        "{error}"
    );
}

/// Whatever is typed, there is an answer: pieces of templates put together at random.
#[test]
fn any_text_has_an_answer() {
    const PIECES: [&str; 48] = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        " ",
        "\n",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "nil",
        "true",
        ".",
        ".Spec",
        ".Items",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "|",
        "(",
        ")",
        "\"t\"",
        "`r`",
        "'c'",
        "1",
        "-2.5e3",
        "0x",
        "index",
        "slice",
        "len",
        "printf",
        "print",
        "and",
        "eq",
        "join",
        "%d",
        "/*",
        "*/",
        "é",
        "\"%[2]*.3v\"",
    ];
    let documents = [pool()];
    let limits = Limits {
        steps: 1000,
        output: 10_000,
    };
    let mut state: u64 = 20_261_128;
    for _ in 0..20_000 {
        let mut text = String::from("{{");
        for _ in 0..12 {
            // A linear congruence is random enough here, and the same everywhere.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let index = usize::try_from(state >> 40).unwrap() % PIECES.len();
            text += PIECES[index];
            text += if state >> 60 & 1 == 0 { " " } else { "" };
        }
        // An answer is all that is wanted.
        let _ = render_with(&text, &documents, limits);
    }
}
