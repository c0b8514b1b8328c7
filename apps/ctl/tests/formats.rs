//! `get -o` with templates, columns and names, on a store of its own.

mod support;

use support::Lab;

const OBJECTS: &str = "\
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: main, labels: {team: a}}
spec: {cidr: 10.244.0.0/16, natOutgoing: true, ipipMode: CrossSubnet}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: small}
spec: {cidr: 10.250.0.0/24, disabled: true}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
spec: {bgp: {ipv4Address: 192.0.2.1/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n2}
spec: {bgp: {ipv4Address: 192.0.2.2/24, asNumber: 65002}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, destination: {ports: [80, \"8080:8090\"]}}
";

const REPORT: &str = r#"
{{- define "pool" -}}
{{printf "%-8s %s" .ObjectMeta.Name .Spec.CIDR}}{{if .Spec.Disabled}} (disabled){{end}}
{{end -}}
{{range .}}{{range .Items}}{{template "pool" .}}{{end}}{{end -}}
"#;

#[test]
fn go_templates() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], OBJECTS);
    lab.file("report.tmpl", REPORT);
    let names = "go-template={{range .}}{{range .Items}}{{.ObjectMeta.Name}} {{.Spec.CIDR}} {{.Spec.NATOutgoing}}\n{{end}}{{end}}";
    lab.run(&["get", "ippool", "-o", names]);
    lab.run(&["get", "ippool", "-o", "go-template-file=DIR/report.tmpl"]);
    let one = "go-template={{range .}}{{.Kind}} {{.metadata.name}} {{.ObjectMeta.Labels.team}} {{.Spec.IPIPMode}}\n{{end}}";
    lab.run(&["get", "ippool", "main", "small", "-o", one]);
    let rules = "go-template={{range .}}{{range .Items}}{{range .Spec.Ingress}}{{.Action}} {{.Protocol}} {{join .Destination.Ports \",\"}}\n{{end}}{{end}}{{end}}";
    lab.run(&["get", "np", "-A", "-o", rules]);
    let number = "go-template={{range .}}{{range .Items}}{{.Name}} {{with .Spec.BGP.ASNumber}}{{.}}{{else}}{{config \"asnumber\"}}{{end}}\n{{end}}{{end}}";
    lab.run(&["get", "node", "-o", number]);
    let configuration = "{apiVersion: projectcalico.org/v3, kind: BGPConfiguration, metadata: {name: default}, spec: {asNumber: 64600}}";
    lab.pipe(&["apply", "-f", "-"], configuration);
    lab.run(&["get", "node", "-o", number]);
    lab.run(&["get", "node", "-o", "wide"]);
    for wrong in [
        "go-template",
        "go-template=",
        "go-template-file=",
        "go-template-file=DIR/nope",
        "go-template={{range .}}",
        "go-template={{range .}}{{nope}}{{end}}",
        "go-template={{range .}}{{range .Items}}{{.Spec.Cidr}}{{end}}{{end}}",
        "go-template={{config \"other\"}}",
    ] {
        lab.run(&["get", "ippool", "-o", wrong]);
    }
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn columns_and_names() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], OBJECTS);
    lab.file(
        "columns.txt",
        "NAME            NET          TEAM\n.metadata.name  .spec.cidr   .metadata.labels.team\n",
    );
    for format in [
        "custom-columns=NAME,CIDR",
        "custom-columns=CIDR,NAME,NAME",
        "custom-columns=NAME,ASSIGNMENTMODE,VXLANMODE",
        "custom-columns=name",
        "custom-columns=NAME,NOPE",
        "custom-columns=",
        "custom-columns=NAME,",
        "custom-columns=NAME:.metadata.name,NET:.spec.cidr",
        "custom-columns-file=DIR/columns.txt",
        "name",
        "yml",
        "nope",
        "json=1",
    ] {
        lab.run(&["get", "ippool", "-o", format]);
    }
    lab.run(&["get", "np", "-A", "-o", "custom-columns=NAME,TIER"]);
    lab.run(&["get", "tier", "-o", "custom-columns=NAME,CIDR"]);
    lab.run(&[
        "get",
        "np",
        "web",
        "-n",
        "shop",
        "-o",
        "custom-columns=NAMESPACE,NAME",
    ]);
    lab.run(&["get", "np", "-A", "-o", "name"]);
    insta::assert_snapshot!(lab.transcript());
}
