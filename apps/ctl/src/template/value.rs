//! Values in a template: constants, and places in the data seen as the Go types that upstream has there.

use std::rc::Rc;

use serde_json::{Map, Value as Json};

use api::gotypes::{self as types, ANY, Field, Place, Shape};

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'d> {
    /// No value: a key that a map has not, or nil.
    Nothing,
    Bool(bool),
    Int(i64),
    Byte(u8),
    Float(f64),
    Text(Rc<str>),
    /// A list that is not in the data as it is, and its type.
    List(&'static str, Rc<[Val<'d>]>),
    /// A place in the data. What is not there has its type's zero value.
    Data {
        ty: &'static str,
        json: Option<&'d Json>,
    },
}

/// What a value is, once pointers are followed.
pub(super) enum View<'v, 'd> {
    Nothing,
    /// A pointer to nothing.
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'v str),
    Items(Vec<Val<'d>>),
    /// Keys in order, with the type of the values.
    Map(&'static str, Option<&'d Map<String, Json>>),
    Struct(&'static [Field], Option<&'d Map<String, Json>>),
    /// What has a text of its own.
    Named(Named, String),
}

/// Go types that print as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Time,
    Duration,
    Mixed,
}

impl<'d> Val<'d> {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Val<'d> {
        Val::Text(text.into())
    }

    /// The type as Go writes it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Val::Nothing => "nil",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Byte(_) => "uint8",
            Val::Float(_) => "float64",
            Val::Text(_) => "string",
            Val::List(ty, _) => ty,
            Val::Data { ty, json } if *ty == ANY => match json {
                None | Some(Json::Null) => "interface {}",
                Some(Json::Bool(_)) => "bool",
                Some(Json::Number(number)) if number.is_f64() => "float64",
                Some(Json::Number(_)) => "int64",
                Some(Json::String(_)) => "string",
                Some(Json::Array(_)) => "[]interface {}",
                Some(Json::Object(_)) => "map[string]interface {}",
            },
            Val::Data { ty, .. } => ty,
        }
    }

    /// The type without its pointers.
    pub(super) fn pointee_name(&self) -> &'static str {
        self.type_name().trim_start_matches('*')
    }

    /// Whether it is nil: nothing, or a pointer, list or map that is not there.
    pub(super) fn is_nil(&self) -> bool {
        match self {
            Val::Nothing => true,
            Val::Bool(_)
            | Val::Int(_)
            | Val::Byte(_)
            | Val::Float(_)
            | Val::Text(_)
            | Val::List(..) => false,
            Val::Data { ty, json } => {
                let absent = json.is_none_or(Json::is_null);
                match types::shape(ty) {
                    Shape::Pointer(_) | Shape::Slice(_) | Shape::Map(_) | Shape::Any => absent,
                    Shape::Bool | Shape::Int | Shape::Uint | Shape::Float | Shape::Text => false,
                    Shape::Struct(_) | Shape::Time | Shape::Duration | Shape::Mixed => false,
                }
            }
        }
    }

    pub(super) fn view(&self) -> View<'_, 'd> {
        match self {
            Val::Nothing => View::Nothing,
            Val::Bool(value) => View::Bool(*value),
            Val::Int(value) => View::Int(*value),
            Val::Byte(value) => View::Uint(u64::from(*value)),
            Val::Float(value) => View::Float(*value),
            Val::Text(text) => View::Text(text),
            Val::List(_, items) => View::Items(items.to_vec()),
            Val::Data { ty, json } => data(ty, json.filter(|json| !json.is_null())),
        }
    }

    /// Whether Go takes it for true: anything that is not its type's zero value, and every struct.
    pub(super) fn truth(&self) -> bool {
        if let Val::Data { ty, json } = self
            && ty.starts_with('*')
        {
            return json.is_some_and(|json| !json.is_null());
        }
        match self.view() {
            View::Nothing | View::Nil => false,
            View::Bool(value) => value,
            View::Int(value) => value != 0,
            View::Uint(value) => value != 0,
            View::Float(value) => value != 0.0,
            View::Text(text) => !text.is_empty(),
            View::Items(items) => !items.is_empty(),
            View::Map(_, map) => map.is_some_and(|map| !map.is_empty()),
            View::Struct(..) | View::Named(Named::Time | Named::Mixed, _) => true,
            View::Named(Named::Duration, _) => true,
        }
    }

    /// The field of this name: as Go has it, or as JSON has it.
    pub(super) fn field(&self, name: &str) -> Result<Val<'d>, String> {
        let ty = self.type_name();
        let unknown = || format!("can't evaluate field {name} in type {ty}");
        match self.view() {
            View::Nothing => Ok(Val::Nothing),
            View::Nil => {
                let fields = types::fields(self.pointee_name());
                if !fields.is_empty() && find(fields, None, name).is_none() {
                    return Err(unknown());
                }
                Err(format!("nil pointer evaluating {ty}.{name}"))
            }
            View::Struct(fields, json) => {
                let found = find(fields, json, name);
                let rest = || {
                    Some(Val::Data {
                        ty: ANY,
                        json: Some(json?.get(name)?),
                    })
                };
                found.or_else(rest).ok_or_else(unknown)
            }
            View::Map(inner, map) => {
                let key = map.and_then(|map| key(map, inner, name));
                Ok(key.map_or(Val::Nothing, |json| Val::Data {
                    ty: inner,
                    json: Some(json),
                }))
            }
            View::Named(named, text) => named.field(name, &text, self).ok_or_else(unknown),
            View::Uint(number) if name == "String" && ty.ends_with("ASNumber") => {
                Ok(Val::text(number.to_string()))
            }
            View::Bool(_)
            | View::Int(_)
            | View::Uint(_)
            | View::Float(_)
            | View::Text(_)
            | View::Items(_) => Err(unknown()),
        }
    }
}

impl Named {
    /// Fields, and the methods that give a text.
    fn field<'d>(self, name: &str, text: &str, whole: &Val<'d>) -> Option<Val<'d>> {
        match (self, name) {
            (Named::Time | Named::Duration | Named::Mixed, "String") => Some(Val::text(text)),
            (Named::Time, "Time") | (Named::Duration, "Duration") => Some(whole.clone()),
            (Named::Mixed, _) => mixed_field(name, text, whole.pointee_name()),
            (Named::Time | Named::Duration, _) => None,
        }
    }
}

/// What the parts of a number or string are, for which JSON has one word.
fn mixed_field<'d>(name: &str, text: &str, ty: &str) -> Option<Val<'d>> {
    let number = text.parse::<i64>();
    if ty != "numorstring.Port" {
        return match name {
            "StrVal" => Some(Val::text(if number.is_ok() { "" } else { text })),
            "NumVal" | "IntVal" => Some(Val::Int(number.unwrap_or_default())),
            _ => None,
        };
    }
    let range = text.split_once(':').unwrap_or((text, text));
    let (least, most) = (range.0.parse(), range.1.parse());
    let is_name = least.is_err() || most.is_err();
    match name {
        "MinPort" => Some(Val::Int(least.unwrap_or_default())),
        "MaxPort" => Some(Val::Int(most.unwrap_or_default())),
        "PortName" => Some(Val::text(if is_name { text } else { "" })),
        _ => None,
    }
}

/// A field by its name in Go, then by that in JSON, then by the method that gives it.
fn find<'d>(
    fields: &'static [Field],
    json: Option<&'d Map<String, Json>>,
    name: &str,
) -> Option<Val<'d>> {
    in_go(fields, json, name)
        .or_else(|| in_json(fields, json, name))
        .or_else(|| in_go(fields, json, name.strip_prefix("Get")?))
}

fn in_go<'d>(
    fields: &'static [Field],
    json: Option<&'d Map<String, Json>>,
    name: &str,
) -> Option<Val<'d>> {
    let own = fields.iter().find(|field| field.name == name);
    own.map(|field| field.value(json)).or_else(|| {
        let mut embedded = fields.iter().filter(|f| f.place == Place::Embedded);
        embedded.find_map(|field| in_go(types::fields(field.ty), field.object(json), name))
    })
}

fn in_json<'d>(
    fields: &'static [Field],
    json: Option<&'d Map<String, Json>>,
    name: &str,
) -> Option<Val<'d>> {
    let own = fields.iter().find(|field| field.json == Some(name));
    own.map(|field| field.value(json)).or_else(|| {
        let mut inline = fields.iter().filter(|f| f.json.is_none());
        inline.find_map(|field| in_json(types::fields(field.ty), json, name))
    })
}

/// A field, in an object of its struct.
pub(super) trait InJson {
    /// The field's value.
    fn value<'d>(&self, object: Option<&'d Map<String, Json>>) -> Val<'d>;
    /// The JSON object that has the fields of an embedded struct.
    fn object<'d>(&self, object: Option<&'d Map<String, Json>>) -> Option<&'d Map<String, Json>>;
}

impl InJson for Field {
    fn value<'d>(&self, object: Option<&'d Map<String, Json>>) -> Val<'d> {
        match self.json {
            Some(name) => Val::Data {
                ty: self.ty,
                json: object.and_then(|object| object.get(name)),
            },
            None => Val::Nothing,
        }
    }

    fn object<'d>(&self, object: Option<&'d Map<String, Json>>) -> Option<&'d Map<String, Json>> {
        match self.json {
            Some(name) => object?.get(name)?.as_object(),
            None => object,
        }
    }
}

/// A key of a map. Where nothing is known of the type, names in Go's manner find the key in JSON's.
fn key<'d>(map: &'d Map<String, Json>, inner: &str, name: &str) -> Option<&'d Json> {
    let exact = map.get(name);
    if exact.is_some() || inner != ANY {
        return exact;
    }
    let mut same = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    same.next().map(|(_, json)| json)
}

/// A place in the data; what is there goes before what its type says.
fn data<'v, 'd>(ty: &'static str, json: Option<&'d Json>) -> View<'v, 'd>
where
    'd: 'v,
{
    let Some(json) = json else {
        return zero(ty);
    };
    let shape = types::shape(ty);
    match (shape, json) {
        (Shape::Pointer(inner), _) => data(inner, Some(json)),
        (Shape::Time, Json::String(text)) => View::Named(Named::Time, time(text)),
        (Shape::Duration, Json::String(text)) => {
            View::Named(Named::Duration, api::go_duration(text))
        }
        (Shape::Mixed, Json::String(text)) => View::Named(Named::Mixed, text.clone()),
        (Shape::Mixed, Json::Number(number)) => View::Named(Named::Mixed, number.to_string()),
        (Shape::Struct(fields), Json::Object(map)) => View::Struct(fields, Some(map)),
        (Shape::Map(inner), Json::Object(map)) => View::Map(inner, Some(map)),
        (_, Json::Object(map)) => View::Map(ANY, Some(map)),
        (_, Json::Array(items)) => {
            let ty = if let Shape::Slice(inner) = shape {
                inner
            } else {
                ANY
            };
            let item = |json| Val::Data {
                ty,
                json: Some(json),
            };
            View::Items(items.iter().map(item).collect())
        }
        (Shape::Float, Json::Number(number)) => View::Float(number.as_f64().unwrap_or_default()),
        (_, Json::Number(number)) => match (shape, number.as_i64(), number.as_u64()) {
            (Shape::Uint, _, Some(number)) => View::Uint(number),
            (_, Some(number), _) => View::Int(number),
            (_, None, Some(number)) => View::Uint(number),
            (_, None, None) => View::Float(number.as_f64().unwrap_or_default()),
        },
        (_, Json::String(text)) => View::Text(text),
        (_, Json::Bool(value)) => View::Bool(*value),
        (_, Json::Null) => View::Nil,
    }
}

fn zero<'v, 'd>(ty: &'static str) -> View<'v, 'd> {
    match types::shape(ty) {
        Shape::Bool => View::Bool(false),
        Shape::Int => View::Int(0),
        Shape::Uint => View::Uint(0),
        Shape::Float => View::Float(0.0),
        Shape::Text => View::Text(""),
        Shape::Pointer(_) | Shape::Any => View::Nil,
        Shape::Slice(_) => View::Items(Vec::new()),
        Shape::Map(inner) => View::Map(inner, None),
        Shape::Struct(fields) => View::Struct(fields, None),
        Shape::Time => View::Named(Named::Time, time("0001-01-01T00:00:00Z")),
        Shape::Duration => View::Named(Named::Duration, "0s".to_owned()),
        Shape::Mixed => View::Named(Named::Mixed, "0".to_owned()),
    }
}

/// A time in RFC 3339, as Go prints it in UTC; anything else as it is.
fn time(text: &str) -> String {
    let parts = text.strip_suffix('Z').and_then(|text| text.split_once('T'));
    match parts {
        Some((date, clock)) => format!("{date} {clock} +0000 UTC"),
        None => text.to_owned(),
    }
}
