//! FelixConfiguration: parameters by name. What they mean is in the table of `config`.

use model::{ConfigScope, FelixConfig, Resource};
use serde_json::Value;

use super::{Identity, Metadata, spec};
use crate::fields::local_selector;
use crate::reader::Fields;

/// Whom an object of this name is for.
pub(crate) fn scope(name: &str) -> ConfigScope {
    match name.strip_prefix("node.") {
        _ if name == "default" => ConfigScope::Global,
        Some(node) => ConfigScope::Node(node.into()),
        None => ConfigScope::Selector(name.into()),
    }
}

pub(crate) fn read(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    let config = spec(fields, |fields| {
        let node_selector = fields.read("nodeSelector", local_selector);
        if node_selector.is_some() && !matches!(scope(id.name), ConfigScope::Selector(_)) {
            fields.wrong(
                "nodeSelector",
                "is not for the objects named default and node.<name>",
            );
        }
        let mut config = FelixConfig {
            node_selector,
            created: meta.created.clone(),
            ..FelixConfig::default()
        };
        for (name, value) in fields.entries() {
            if let (true, Some(text)) = (name != "nodeSelector", text_of(value)) {
                config.parameters.insert(name.as_str().into(), text.into());
            }
        }
        fields.accept_all();
        config
    });
    Some(Resource::FelixConfig(config))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
