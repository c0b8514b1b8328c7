//! What the API server does to objects of `projectcalico.org/v3` besides checking them: it fills in the directions of policies
//! and their tier with its label, and keeps the built-in tiers from being deleted.

use serde_json::{Value, json};

/// Kinds of policy that have a tier, by plural.
const TIERED: &[&str] = &[
    "globalnetworkpolicies",
    "networkpolicies",
    "stagedglobalnetworkpolicies",
    "stagednetworkpolicies",
];

/// The kind of policy whose directions are Kubernetes'.
const KUBERNETES: &str = "stagedkubernetesnetworkpolicies";

/// Fills in `types` as upstream does: egress rules without ingress rules mean Egress alone. Kubernetes counts ingress always.
const TYPES: &str = "\
object.kind == 'StagedKubernetesNetworkPolicy'
  ? (has(object.spec.egress) ? ['Ingress', 'Egress'] : ['Ingress'])
  : !has(object.spec.egress) ? ['Ingress']
  : has(object.spec.ingress) ? ['Ingress', 'Egress'] : ['Egress']";

const PATCH_TYPES: &str = "\
[JSONPatch{
  op: 'add',
  path: object.kind == 'StagedKubernetesNetworkPolicy' ? '/spec/policyTypes' : '/spec/types',
  value: variables.types
}]";

const PATCH_TIER: &str = "\
has(object.spec.tier) && object.spec.tier != ''
  ? []
  : [JSONPatch{op: 'add', path: '/spec/tier', value: variables.tier}]";

/// `~1` is a `/` within a part of a JSON pointer (RFC 6901).
const PATCH_LABEL: &str = "\
(has(object.metadata.labels) ? [] : [JSONPatch{op: 'add', path: '/metadata/labels', value: {}}])
  + [JSONPatch{op: 'add', path: '/metadata/labels/projectcalico.org~1tier', value: variables.tier}]";

/// The admission policies that go with `projectcalico.org/v3`, each before its binding.
pub fn admission() -> Vec<Value> {
    let mut with_types = TIERED.to_vec();
    with_types.push(KUBERNETES);
    let mut objects = Vec::new();
    objects.extend(mutating(
        [
            "policytypes.policy.projectcalico.org",
            "set-policytypes-binding",
        ],
        &with_types,
        &json!({
            "matchConditions": [{
                "name": "directions-left-out",
                "expression": "!has(object.spec.types) && !has(object.spec.policyTypes)",
            }],
            "variables": [{"name": "types", "expression": TYPES}],
            "mutations": [patch(PATCH_TYPES)],
        }),
    ));
    objects.extend(mutating(
        ["tierlabel.policy.projectcalico.org", "set-tier-label-binding"],
        TIERED,
        &json!({
            "variables": [{
                "name": "tier",
                "expression": "has(object.spec.tier) && object.spec.tier != '' ? object.spec.tier : 'default'",
            }],
            "mutations": [patch(PATCH_TIER), patch(PATCH_LABEL)],
        }),
    ));
    objects.extend(built_in_tiers());
    objects
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn rule(plurals: &[&str], operations: &[&str]) -> Value {
    json!([{
        "apiGroups": ["projectcalico.org"],
        "apiVersions": ["v3"],
        "operations": operations,
        "resources": plurals,
    }])
}

/// A mutating policy and its binding, by those names; `rest` is what it does.
fn mutating([policy, binding]: [&str; 2], plurals: &[&str], rest: &Value) -> [Value; 2] {
    let rules = rule(plurals, &["CREATE", "UPDATE"]);
    let mut spec = json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": rules},
    });
    if let (Some(spec), Some(rest)) = (spec.as_object_mut(), rest.as_object()) {
        spec.extend(rest.clone());
    }
    [
        json!({
            "apiVersion": VERSION,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": policy},
            "spec": spec,
        }),
        json!({
            "apiVersion": VERSION,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": binding},
            "spec": {"policyName": policy, "matchResources": {"resourceRules": rules}},
        }),
    ]
}

/// Served so from Kubernetes 1.36 on; 1.34 and 1.35 call it `v1beta1`, and serve it only when asked to.
const VERSION: &str = "admissionregistration.k8s.io/v1";

fn built_in_tiers() -> [Value; 2] {
    const NAME: &str = "protect-builtin-tiers.projectcalico.org";
    [
        json!({
            "apiVersion": VERSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rule(&["tiers"], &["DELETE"])},
                "validations": [{
                    "expression": "!(oldObject.metadata.name in ['kube-admin', 'default', 'kube-baseline'])",
                    "messageExpression": "'the tier ' + oldObject.metadata.name + ' is built in: it stays'",
                }],
            },
        }),
        json!({
            "apiVersion": VERSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": NAME},
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        }),
    ]
}
