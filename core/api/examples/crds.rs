//! Writes the files of `deploy/crds` to standard output, as JSON: what `cargo xtask codegen` turns into YAML.

use api::kubernetes::Group;
use api::schema::{admission, crds};
use serde_json::{Value, json};

fn main() {
    let mut files = Vec::new();
    for (directory, group) in [("v1", Group::V1), ("v3", Group::V3)] {
        for definition in crds(group) {
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or("");
            files.push(file(&format!("{directory}/{plural}.yaml"), &[definition]));
        }
    }
    files.push(file("v3/admission.yaml", &admission()));
    let files = Value::Array(files);
    println!("{files}");
}

fn file(path: &str, documents: &[Value]) -> Value {
    json!({"path": path, "documents": documents})
}
