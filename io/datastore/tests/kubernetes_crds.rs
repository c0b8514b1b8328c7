//! Our CRDs in a real API server: what they accept, what they refuse and which field they blame; and admission the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use api::kubernetes::{Change, Group, write};
use api::schema::schemas;
use api::{AdmitOptions, Kind, Scope, admit};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use testkit::objects::{Refused, same_field, valid, wrong};
use testkit::servers::{RealKubernetes, User};

/// What the server answered to a request.
struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Fields that the answer blames. Unknown ones are named in the message alone.
    fn blamed(&self) -> Vec<String> {
        let causes = self.body["details"]["causes"].as_array();
        let fields = causes.into_iter().flatten().map(|cause| &cause["field"]);
        let mut fields: Vec<String> = fields
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let message = self.body["message"].as_str().unwrap_or("");
        // Nor is that of a number that is too large.
        let large = message.split("with format int32 in ").skip(1);
        fields.extend(large.filter_map(|rest| {
            let end = rest.find([',', ')', '"', ' ']).unwrap_or(rest.len());
            Some(rest.get(..end)?.to_owned())
        }));
        let unknown = message.split("unknown field \"").skip(1);
        fields.extend(unknown.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        fields
    }
}

/// Speaks to the API server as kubectl does: unknown fields are mistakes.
struct Server {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn new(kubernetes: &RealKubernetes) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let file =
                Kubeconfig::read_from(kubernetes.kubeconfig(User::Admin)).expect("a kubeconfig");
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            Client::try_from(config.expect("a configuration")).expect("a client")
        });
        Self { client, runtime }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(kube::client::Body::from(bytes.unwrap_or_default()))
            .expect("a request");
        self.runtime.block_on(async {
            let response = self.client.send(request).await.expect("the server answers");
            let status = response.status().as_u16();
            let body = response.into_body().collect_bytes().await.expect("a body");
            let body = serde_json::from_slice(&body).unwrap_or_default();
            Answer { status, body }
        })
    }

    fn create(&self, object: &Value, dry: Dry) -> Answer {
        let dry = match dry {
            Dry::Run => "&dryRun=All",
            Dry::Stored => "",
        };
        let path = format!("{}?fieldValidation=Strict{dry}", collection(object));
        self.request("POST", &path, Some(object))
    }
}

/// Whether what is accepted is kept.
#[derive(Clone, Copy)]
enum Dry {
    Run,
    Stored,
}

/// The URL's path of the collection that an object belongs to.
fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().expect("an apiVersion");
    let kind = Kind::of(version, object["kind"].as_str().expect("a kind"));
    let structure = schemas().find(|structure| Some(structure.kind) == kind);
    let structure = structure.expect("a kind that is a CRD");
    match structure.kind.scope() {
        Scope::Cluster => format!("/apis/{version}/{}", structure.plural),
        Scope::Namespaced => {
            let namespace = object["metadata"]["namespace"]
                .as_str()
                .unwrap_or("default");
            format!(
                "/apis/{version}/namespaces/{namespace}/{}",
                structure.plural
            )
        }
    }
}

/// The files of one directory of `deploy/crds`, by name.
fn files(directory: &str) -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/crds")
        .join(directory);
    let entries = std::fs::read_dir(directory).expect("the CRDs are in the tree");
    entries
        .flatten()
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}

/// All fields of one value are in the other, with the same values: the server may have added defaults.
fn holds(larger: &Value, smaller: &Value) -> bool {
    match (larger, smaller) {
        (Value::Object(larger), Value::Object(smaller)) => smaller
            .iter()
            // What is null the server leaves out.
            .all(|(name, value)| {
                value.is_null() || larger.get(name).is_some_and(|found| holds(found, value))
            }),
        (Value::Array(larger), Value::Array(smaller)) => {
            larger.len() == smaller.len()
                && larger
                    .iter()
                    .zip(smaller)
                    .all(|(found, value)| holds(found, value))
        }
        (Value::Number(larger), Value::Number(smaller)) => larger.as_f64() == smaller.as_f64(),
        (larger, smaller) => larger == smaller,
    }
}

#[test]
fn a_real_server_takes_our_crds_and_judges_by_them_as_admission_does() {
    let Some(kubernetes) = RealKubernetes::start() else {
        return;
    };
    let mut newer = files("v3");
    let admission = newer.remove("admission.yaml").expect("it is there");
    let older = files("v1");
    let all: Vec<String> = newer.into_values().chain(older.into_values()).collect();
    kubernetes.install_crds(&all.join("---\n"));
    conditions_are_good(&kubernetes);
    let server = Server::new(&kubernetes);
    make_namespaces(&server);
    judged_alike(&server);
    kept_as_written(&server);
    kept_as_stores_write(&server);
    admission_policies_work(&kubernetes, &server, &admission);
}

/// Established, named as asked, of a structural schema, and approved where Kubernetes asks for it.
fn conditions_are_good(kubernetes: &RealKubernetes) {
    let list = kubernetes.object(&["customresourcedefinitions"]);
    let items = list["items"].as_array().expect("a list");
    assert_eq!(items.len(), 22 + 22 + 1);
    for item in items {
        for condition in item["status"]["conditions"].as_array().expect("conditions") {
            let kind = condition["type"].as_str().unwrap_or("");
            let good = [
                "Established",
                "NamesAccepted",
                "KubernetesAPIApprovalPolicyConformant",
            ];
            assert!(
                good.contains(&kind),
                "{} {condition}",
                item["metadata"]["name"]
            );
            assert_eq!(
                condition["status"], "True",
                "{} {condition}",
                item["metadata"]["name"]
            );
        }
    }
}

/// Those that examples are in.
fn make_namespaces(server: &Server) {
    let examples = valid();
    let namespaces = examples
        .iter()
        .map(|object| &object["metadata"]["namespace"]);
    let names: std::collections::BTreeSet<&str> = namespaces.filter_map(Value::as_str).collect();
    for name in names.into_iter().filter(|name| *name != "default") {
        let namespace = serde_json::json!({"metadata": {"name": name}});
        let answer = server.request("POST", "/api/v1/namespaces", Some(&namespace));
        assert!(answer.is_success(), "{name}: {}", answer.body);
    }
}

fn judged_alike(server: &Server) {
    let mut report = String::new();
    let (mut both, mut client) = (0, 0);
    for case in wrong() {
        let answer = server.create(&case.object, Dry::Run);
        let blamed = answer.blamed();
        let is_blamed = blamed.iter().any(|field| same_field(&case.field, field));
        let by_server = !answer.is_success() && is_blamed;
        let problems = admit(case.object, &AdmitOptions::default())
            .err()
            .unwrap_or_default();
        let by_client = problems
            .iter()
            .any(|problem| same_field(&problem.field, &case.field));
        let ok = match case.refused {
            Refused::ByBoth => by_server && by_client,
            Refused::ByServer => by_server && problems.is_empty(),
            Refused::ByClient => answer.is_success() && by_client,
        };
        both += usize::from(by_server && by_client);
        client += usize::from(answer.is_success() && by_client);
        if !ok {
            report += &format!(
                "{} {}: {} {blamed:?}, {problems:?}\n",
                case.place, case.field, answer.status
            );
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(both >= 1000, "{both}");
    eprintln!("refused by both with the same field: {both}; by admission alone: {client}");
}

/// An object without its status, which is not its author's to write.
fn without_status(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

fn kept_as_written(server: &Server) {
    for object in valid() {
        let answer = server.create(&object, Dry::Stored);
        assert!(answer.is_success(), "{object}\n{}", answer.body);
        let name = object["metadata"]["name"].as_str().expect("a name");
        let path = format!("{}/{name}", collection(&object));
        let read = server.request("GET", &path, None);
        assert!(read.is_success(), "{path}: {}", read.body);
        let written = without_status(object);
        assert!(holds(&read.body, &written), "{written}\n{}", read.body);
        let gone = server.request("DELETE", &path, None);
        assert!(gone.is_success(), "{path}: {}", gone.body);
    }
}

/// In the older group objects stand in a form of their own, which is what a store makes of them.
fn kept_as_stores_write(server: &Server) {
    for object in valid() {
        let admitted = admit(object, &AdmitOptions::default()).expect("it is valid");
        let (key, bytes) = (admitted.store_key(), admitted.to_store_bytes());
        let request = match write(&key, Change::Create(&bytes), Group::V1) {
            Ok(request) => request,
            // ClusterNetworkPolicies are not Calico's to write.
            Err(refused) => {
                assert_eq!(
                    admitted.kind(),
                    Kind::KubernetesClusterNetworkPolicy,
                    "{refused}"
                );
                continue;
            }
        };
        let body: Value = serde_json::from_slice(&request.body).expect("an object");
        let path = request.path.split('?').next().unwrap_or(&request.path);
        let answer = server.request(
            "POST",
            &format!("{path}?fieldValidation=Strict"),
            Some(&body),
        );
        assert!(answer.is_success(), "{body}\n{}", answer.body);
        let body = without_status(body);
        assert!(holds(&answer.body, &body), "{body}\n{}", answer.body);
        let gone = server.request("DELETE", &request.place.path(), None);
        assert!(gone.is_success(), "{key}: {}", gone.body);
    }
}

/// With the admission policies: directions, tier and label are filled in, and built-in tiers stay.
fn admission_policies_work(kubernetes: &RealKubernetes, server: &Server, policies: &str) {
    kubernetes.apply(policies);
    let policy: Value = serde_json::json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "outwards"},
        "spec": {"egress": [{"action": "Allow"}]},
    });
    // The server reads new policies in its own time.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let filled = loop {
        let answer = server.create(&policy, Dry::Run);
        assert!(answer.is_success(), "{}", answer.body);
        let done =
            !answer.body["spec"]["types"].is_null() && !answer.body["metadata"]["labels"].is_null();
        if done || std::time::Instant::now() > deadline {
            break answer.body;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(filled["spec"]["types"], serde_json::json!(["Egress"]));
    assert_eq!(filled["spec"]["tier"], "default");
    assert_eq!(
        filled["metadata"]["labels"]["projectcalico.org/tier"],
        "default"
    );
    let admitted = admit(policy, &AdmitOptions::default())
        .expect("it is valid")
        .into_value();
    assert_eq!(filled["spec"], admitted["spec"]);
    assert_eq!(filled["metadata"]["labels"], admitted["metadata"]["labels"]);
    let built_in = api::built_in_objects()
        .into_iter()
        .find(|object| object.kind() == Kind::Tier && object.name() == "default");
    let built_in = built_in.expect("there is such a tier").into_value();
    assert!(server.create(&built_in, Dry::Stored).is_success());
    let tier = "/apis/projectcalico.org/v3/tiers/default";
    let deleted = loop {
        let answer = server.request("DELETE", &format!("{tier}?dryRun=All"), None);
        if !answer.is_success() || std::time::Instant::now() > deadline {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(!deleted.is_success());
    assert!(
        deleted.body["message"]
            .as_str()
            .is_some_and(|text| text.contains("built in"))
    );
}
