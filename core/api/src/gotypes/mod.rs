//! What upstream takes objects for: the Go types whose fields templates name, and whose encoding is in its store.
//!
//! One table, `types.txt`, has them all; a type is known by its text in Go, such as `*v3.IPPoolList` or `map[string]string`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A type of values of which nothing is known.
pub const ANY: &str = "any";

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// A number.
    Float,
    /// A string.
    Text,
    /// With the type it points to.
    Pointer(&'static str),
    /// With the type of its items.
    Slice(&'static str),
    /// With the type of its values; keys are strings.
    Map(&'static str),
    /// With its fields.
    Struct(&'static [Field]),
    /// A date with a time.
    Time,
    /// A span of time.
    Duration,
    /// A number or a string.
    Mixed,
    /// Whatever JSON has there.
    Any,
}

/// A field of a struct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The name in Go.
    pub name: &'static str,
    /// The type in Go.
    pub ty: &'static str,
    /// The name in JSON; `None` if the fields inside are the outer struct's in JSON too.
    pub json: Option<&'static str>,
    /// Whether it is reached by its name only.
    pub place: Place,
    /// When it is written to JSON.
    pub written: Written,
}

/// When a field is written to JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// If there is something in it; structs, times and the like are written even so.
    IfFilled,
    /// If it has any value but its type's zero.
    IfNonzero,
    /// In any case.
    Always,
}

/// How a field is part of its struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By its name only.
    Named,
    /// Its own fields are the struct's.
    Embedded,
}

struct Entry {
    form: &'static str,
    fields: Vec<Field>,
}

static TABLE: LazyLock<BTreeMap<&'static str, Entry>> =
    LazyLock::new(|| read(include_str!("types.txt")));

fn read(text: &'static str) -> BTreeMap<&'static str, Entry> {
    let mut table: BTreeMap<&'static str, Entry> = BTreeMap::new();
    let mut last = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, form] => {
                last = name;
                let fields = Vec::new();
                table.insert(name, Entry { form, fields });
            }
            [name, ty, json, rest @ ..] => {
                let embedded = name.strip_prefix('+');
                let field = Field {
                    name: embedded.unwrap_or(name),
                    ty,
                    json: Some(*json).filter(|json| *json != "."),
                    place: embedded.map_or(Place::Named, |_| Place::Embedded),
                    written: match rest {
                        ["always"] => Written::Always,
                        ["nonzero"] => Written::IfNonzero,
                        _ => Written::IfFilled,
                    },
                };
                if let Some(entry) = table.get_mut(last) {
                    entry.fields.push(field);
                }
            }
            _ => {}
        }
    }
    table
}

/// What a type is.
pub fn shape(ty: &'static str) -> Shape {
    if let Some(inner) = ty.strip_prefix('*') {
        return Shape::Pointer(inner);
    }
    if let Some(inner) = ty.strip_prefix("[]") {
        return Shape::Slice(inner);
    }
    if let Some((_, inner)) = ty.strip_prefix("map[").and_then(|ty| ty.split_once(']')) {
        return Shape::Map(inner);
    }
    let entry = TABLE.get(ty);
    match entry.map_or(ty, |entry| entry.form) {
        "bool" => Shape::Bool,
        "string" => Shape::Text,
        "float32" | "float64" => Shape::Float,
        "int" | "int8" | "int16" | "int32" | "int64" => Shape::Int,
        "uint" | "uint8" | "uint16" | "uint32" | "uint64" => Shape::Uint,
        "struct" => Shape::Struct(entry.map_or(&[], |entry| &entry.fields)),
        "time" => Shape::Time,
        "duration" => Shape::Duration,
        "mixed" => Shape::Mixed,
        _ => Shape::Any,
    }
}

/// The type that a pointer points to; any other type is itself.
pub fn pointee(ty: &'static str) -> &'static str {
    ty.strip_prefix('*').unwrap_or(ty)
}

/// The type of the items of a slice, or of a pointer to one; [`ANY`] for any other type.
pub fn item_of(ty: &'static str) -> &'static str {
    pointee(ty).strip_prefix("[]").unwrap_or(ANY)
}

/// The fields of a struct; none of any other type.
pub fn fields(ty: &'static str) -> &'static [Field] {
    if let Shape::Struct(fields) = shape(ty) {
        fields
    } else {
        &[]
    }
}

/// The pointer type of an object of a kind of Calico's, or of any other kind.
pub fn of_kind(kind: &str) -> &'static str {
    static POINTERS: LazyLock<BTreeMap<&'static str, String>> = LazyLock::new(|| {
        let named =
            |name: &&'static str| name.starts_with("v3.") || name.starts_with("internalapi.");
        // What both packages have is the first one's: later names are taken first.
        let names = TABLE.keys().filter(|name| named(name));
        let pairs = names.filter_map(|name| Some((name.split_once('.')?.1, format!("*{name}"))));
        pairs.collect()
    });
    let kind = POINTERS.get_key_value(kind).filter(|(kind, _)| {
        // Only whole objects are kinds.
        POINTERS.contains_key(format!("{kind}List").as_str()) || kind.ends_with("List")
    });
    kind.map_or("*unstructured.Object", |(_, pointer)| pointer.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_closed() {
        for (name, entry) in TABLE.iter() {
            for field in &entry.fields {
                let mut ty = field.ty;
                loop {
                    ty = match shape(ty) {
                        Shape::Pointer(inner) | Shape::Slice(inner) | Shape::Map(inner) => inner,
                        Shape::Any => {
                            assert!(
                                ty == ANY || TABLE.contains_key(ty),
                                "{name}.{}: {ty}",
                                field.name
                            );
                            break;
                        }
                        Shape::Bool | Shape::Int | Shape::Uint | Shape::Float | Shape::Text => {
                            break;
                        }
                        Shape::Struct(_) | Shape::Time | Shape::Duration | Shape::Mixed => break,
                    }
                }
            }
        }
    }

    #[test]
    fn kinds_have_types() {
        assert_eq!(of_kind("IPPool"), "*v3.IPPool");
        assert_eq!(of_kind("IPPoolList"), "*v3.IPPoolList");
        assert_eq!(of_kind("Node"), "*internalapi.Node");
        assert_eq!(of_kind("BlockAffinity"), "*v3.BlockAffinity");
        assert_eq!(of_kind("Namespace"), "*unstructured.Object");
        assert_eq!(of_kind("EntityRule"), "*unstructured.Object");
    }
}
