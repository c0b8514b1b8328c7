//! Applies patches to JSON: merge patches (RFC 7396), Kubernetes' strategic ones, and JSON patches (RFC 6902).
//!
//! No list of our kinds is merged by key but two in the metadata (`finalizers`, a set, and `ownerReferences`, by `uid`), so
//! a strategic patch is a merge patch that knows those and the directive `$patch`.

use serde_json::{Map, Value};

use crate::outcome::{Failure, Status};

/// The kinds of patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Strategic,
    Merge,
    Json,
}

impl PatchKind {
    pub(crate) fn parse(word: &str) -> Result<PatchKind, Failure> {
        match word {
            "strategic" => Ok(PatchKind::Strategic),
            "merge" => Ok(PatchKind::Merge),
            "json" => Ok(PatchKind::Json),
            _ => Err(Failure::usage(format!(
                "unknown patch type '{word}': use strategic, merge or json"
            ))),
        }
    }
}

fn wrong(text: String) -> Failure {
    Failure::new(Status::Validation, text)
}

/// The target as the patch would have it.
pub(crate) fn patch(target: Value, patch: &Value, kind: PatchKind) -> Result<Value, Failure> {
    match (kind, patch) {
        (PatchKind::Json, Value::Array(steps)) => {
            let mut target = target;
            for (index, step) in steps.iter().enumerate() {
                operation(&mut target, step)
                    .map_err(|text| wrong(format!("operation {index} of the patch: {text}")))?;
            }
            Ok(target)
        }
        (PatchKind::Json, _) => Err(wrong(
            "a patch of type json must be a list of operations".to_owned(),
        )),
        (PatchKind::Merge | PatchKind::Strategic, Value::Object(fields)) => {
            let mut target = target;
            let before = target.get("metadata").cloned().unwrap_or_default();
            merge(&mut target, fields, kind)?;
            if kind == PatchKind::Strategic {
                merge_lists(&before, &mut target);
            }
            Ok(target)
        }
        (PatchKind::Merge | PatchKind::Strategic, _) => Err(wrong(
            "the patch must be an object with the fields to change".to_owned(),
        )),
    }
}

/// Puts back what lists that are merged had before, in front of what the patch gives them.
fn merge_lists(before: &Value, target: &mut Value) {
    for (field, identity) in [("finalizers", None), ("ownerReferences", Some("uid"))] {
        let old = before.get(field).and_then(Value::as_array);
        let new = target
            .get_mut("metadata")
            .and_then(|metadata| metadata.get_mut(field))
            .and_then(Value::as_array_mut);
        if let (Some(old), Some(new)) = (old, new) {
            let of = |item: &Value| match identity {
                Some(key) => item.get(key).cloned(),
                None => Some(item.clone()),
            };
            let given: Vec<Option<Value>> = new.iter().map(of).collect();
            let kept = old.iter().filter(|item| !given.contains(&of(item)));
            let merged = kept.cloned().chain(std::mem::take(new)).collect();
            *new = merged;
        }
    }
}

fn merge(target: &mut Value, patch: &Map<String, Value>, kind: PatchKind) -> Result<(), Failure> {
    let directive = patch.get("$patch").filter(|_| kind == PatchKind::Strategic);
    match directive.map(Value::as_str) {
        Some(Some("replace" | "delete")) => *target = Value::Object(Map::new()),
        Some(Some("merge")) | None => {}
        Some(other) => {
            let other = other.unwrap_or("a value that is no text");
            return Err(wrong(format!(
                "$patch must be replace, delete or merge, not {other}"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else {
        return Ok(());
    };
    for (key, value) in patch {
        match value {
            _ if directive.is_some() && key == "$patch" => {}
            _ if kind == PatchKind::Strategic && key.starts_with('$') => {
                return Err(wrong(format!(
                    "{key} is not supported: the one directive of strategic patches here is $patch"
                )));
            }
            Value::Null => {
                map.remove(key);
            }
            Value::Object(fields) => {
                merge(map.entry(key.as_str()).or_insert(Value::Null), fields, kind)?
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

/// One operation of a JSON patch.
fn operation(target: &mut Value, step: &Value) -> Result<(), String> {
    let text = |field: &str| {
        step.get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{field} must be there, as text"))
    };
    let value = || {
        step.get("value")
            .cloned()
            .ok_or_else(|| "value must be there".to_owned())
    };
    let path = text("path")?;
    let absent = |path: &str| format!("there is nothing at {path}");
    match text("op")? {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path).map(|_| ()),
        "replace" => {
            let value = value()?;
            *target.pointer_mut(path).ok_or_else(|| absent(path))? = value;
            Ok(())
        }
        "move" => {
            let from = text("from")?;
            if path.starts_with(&format!("{from}/")) {
                return Err(format!("{from} cannot be moved into itself"));
            }
            let value = remove(target, from)?;
            add(target, path, value)
        }
        "copy" => {
            let from = text("from")?;
            let value = target.pointer(from).cloned().ok_or_else(|| absent(from))?;
            add(target, path, value)
        }
        "test" => {
            let (wanted, found) = (value()?, target.pointer(path).ok_or_else(|| absent(path))?);
            if *found == wanted {
                Ok(())
            } else {
                Err(format!("{path} is {found}, not {wanted}"))
            }
        }
        other => Err(format!(
            "unknown operation {other:?}: use add, remove, replace, move, copy or test"
        )),
    }
}

/// The parent of a pointer's target, and the last step to it.
fn parent<'a>(target: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (above, last) = path
        .rsplit_once('/')
        .ok_or_else(|| format!("{path:?} is no path: it must begin with /"))?;
    let parent = target
        .pointer_mut(above)
        .ok_or_else(|| format!("there is nothing at {above:?}"))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, last) = parent(target, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let index = index(&last).filter(|index| *index <= items.len());
            let index =
                index.ok_or_else(|| format!("{path} is not within the list of {}", items.len()))?;
            items.insert(index, value);
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(format!(
            "{path} lies below something that is no object and no list"
        )),
    }
}

/// An index as RFC 6901 writes it: digits without a sign, and without zeros in front.
fn index(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn remove(target: &mut Value, path: &str) -> Result<Value, String> {
    let absent = || format!("there is nothing at {path}");
    let (parent, last) = parent(target, path)?;
    match parent {
        Value::Object(map) => map.remove(&last).ok_or_else(absent),
        Value::Array(items) => {
            let index = index(&last)
                .filter(|index| *index < items.len())
                .ok_or_else(absent)?;
            Ok(items.remove(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(absent()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges() {
        let target = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let given = json!({"a": {"b": null, "d": 3}, "l": [9], "n": {"x": null}});
        let merged = patch(target.clone(), &given, PatchKind::Merge).unwrap();
        assert_eq!(merged, json!({"a": {"c": 2, "d": 3}, "l": [9], "n": {}}));
        let given = json!({"a": {"$patch": "replace", "z": 1}});
        let merged = patch(target.clone(), &given, PatchKind::Strategic).unwrap();
        assert_eq!(merged, json!({"a": {"z": 1}, "l": [1, 2]}));
        assert!(patch(target, &json!([1]), PatchKind::Strategic).is_err());
    }

    #[test]
    fn strategic_patches_merge_two_lists() {
        let target = json!({"metadata": {"finalizers": ["a", "b"], "ownerReferences": [{"uid": "1", "name": "x"}]}});
        let given =
            json!({"metadata": {"finalizers": ["b", "c"], "ownerReferences": [{"uid": "2"}]}});
        let merged = patch(target.clone(), &given, PatchKind::Strategic).unwrap();
        let expected = json!({"metadata": {"finalizers": ["a", "b", "c"],
            "ownerReferences": [{"uid": "1", "name": "x"}, {"uid": "2"}]}});
        assert_eq!(merged, expected);
        assert_eq!(
            patch(target.clone(), &given, PatchKind::Merge).unwrap(),
            given
        );
        let directive = json!({"spec": {"$retainKeys": ["a"]}});
        assert!(patch(target, &directive, PatchKind::Strategic).is_err());
    }

    #[test]
    fn json_patches() {
        let target = json!({"a": [1, 2], "b": {"x/y": 1}});
        let given = json!([
            {"op": "test", "path": "/a/0", "value": 1},
            {"op": "add", "path": "/a/1", "value": 9},
            {"op": "add", "path": "/a/-", "value": 8},
            {"op": "remove", "path": "/b/x~1y"},
            {"op": "copy", "from": "/a/0", "path": "/c"},
            {"op": "move", "from": "/c", "path": "/d"},
            {"op": "replace", "path": "/a/0", "value": 0},
        ]);
        let patched = patch(target.clone(), &given, PatchKind::Json).unwrap();
        assert_eq!(patched, json!({"a": [0, 9, 2, 8], "b": {}, "d": 1}));
        for bad in [
            json!([{"op": "remove", "path": "/nope"}]),
            json!([{"op": "add", "path": "/a/9", "value": 1}]),
            json!([{"op": "test", "path": "/a/0", "value": 7}]),
            json!([{"op": "move", "from": "/b", "path": "/b/c"}]),
            json!([{"path": "/a"}]),
            json!([{"op": "add", "path": "/a/+1", "value": 1}]),
            json!([{"op": "remove", "path": "/a/01"}]),
            json!([{"op": "add", "path": "a", "value": 1}]),
        ] {
            assert!(
                patch(target.clone(), &bad, PatchKind::Json).is_err(),
                "{bad}"
            );
        }
    }
}
