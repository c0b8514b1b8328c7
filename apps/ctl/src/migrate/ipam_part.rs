//! The last part of the file: the IPAM entries as upstream keeps them, and beside them, under a name that upstream passes
//! over, what its file has no room for. It is written and read entry by entry: no list is held in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use api::Kind;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::seal::Written;
use crate::outcome::{Failure, Status};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Aim {
    /// A Kubernetes datastore: nodes have Kubernetes' names, and what Kubernetes has of its own is left out.
    Kubernetes,
    /// An etcd datastore: everything.
    Etcdv3,
    /// An embedded datastore: everything.
    Embedded,
}

impl Aim {
    pub(super) fn word(self) -> &'static str {
        match self {
            Aim::Kubernetes => "kubernetes",
            Aim::Etcdv3 => "etcdv3",
            Aim::Embedded => "embedded",
        }
    }
}

/// One entry, as upstream's struct has it.
#[derive(Debug, Deserialize)]
pub(super) struct Pair {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "Value")]
    pub(super) value: Value,
}

/// What is found in the last part.
#[derive(Debug)]
pub(super) enum Found {
    /// An IPAM entry.
    Entry(Kind, Pair),
    /// An object that upstream's file has no room for.
    Beside(Value),
    /// What the file is for.
    Aim(Aim),
    /// What was exported.
    Seals(BTreeMap<String, Written>),
}

/// The lists of upstream, by their names.
const LISTS: [(&str, Kind); 4] = [
    ("block_affinities", Kind::BlockAffinity),
    ("blocks", Kind::IpamBlock),
    ("handles", Kind::IpamHandle),
    ("config", Kind::IpamConfiguration),
];

/// The name of what is ours.
const OURS: &str = "calico_rs";

/// Writes the last part, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Whether something stands in the outer object, and in the list that is open.
    fields: usize,
    items: usize,
}

impl Writer {
    /// The IPAM kinds in upstream's order.
    pub(super) fn order() -> impl Iterator<Item = Kind> {
        LISTS.iter().map(|(_, kind)| *kind)
    }

    /// An entry; `value` is its JSON as stored.
    pub(super) fn entry(&mut self, kind: Kind, key: &str, value: &[u8]) -> String {
        let name = LISTS
            .iter()
            .find(|(_, of)| *of == kind)
            .map_or("", |(name, _)| name);
        let lone = kind == Kind::IpamConfiguration;
        let depth = if lone { 2 } else { 3 };
        let mut text = if lone {
            format!("{}{}: {{", self.next_field(), Value::from(name))
        } else if self.items == 0 {
            format!("{}{}: [\n    {{", self.next_field(), Value::from(name))
        } else {
            ",\n    {".to_owned()
        };
        let inner = "  ".repeat(depth);
        text += &format!(
            "\n{inner}\"Key\": {},\n{inner}\"Value\": ",
            Value::from(key)
        );
        indent(value, depth, &mut text);
        text += &format!(",\n{inner}\"TTL\": 0\n{}}}", "  ".repeat(depth - 1));
        self.items += usize::from(!lone);
        text
    }

    /// The end of a list of entries.
    pub(super) fn end_list(&mut self) -> &'static str {
        let open = self.items > 0;
        self.items = 0;
        if open { "\n  ]" } else { "" }
    }

    /// The beginning of what is ours.
    pub(super) fn begin_ours(&mut self, aim: Aim) -> String {
        format!(
            "{}\"{OURS}\": {{\n    \"for\": \"{}\",\n    \"objects\": [",
            self.next_field(),
            aim.word()
        )
    }

    /// An object that upstream's file has no room for.
    pub(super) fn beside(&mut self, object: &Value) -> String {
        let comma = if self.items > 0 { "," } else { "" };
        self.items += 1;
        format!("{comma}\n      {object}")
    }

    /// The end of the file.
    pub(super) fn end(&mut self, seals: &BTreeMap<String, Written>) -> String {
        let mut text = format!(
            "{}],\n    \"seals\": {{",
            if self.items > 0 { "\n    " } else { "" }
        );
        for (index, (plural, seal)) in seals.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            text += &format!(
                "{comma}\n      {}: {{\"count\": {}, \"digest\": \"{}\"}}",
                Value::from(plural.as_str()),
                seal.count,
                seal.digest
            );
        }
        text + "\n    }\n  }\n}\n"
    }

    fn next_field(&mut self) -> &'static str {
        self.fields += 1;
        if self.fields == 1 { "{\n  " } else { ",\n  " }
    }
}

/// JSON with its fields in the order they have, indented as Go does.
fn indent(json: &[u8], depth: usize, out: &mut String) {
    let text = String::from_utf8_lossy(json);
    let mut depth = depth;
    let (mut quoted, mut escaped) = (false, false);
    let mut chars = text.chars().peekable();
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                let close = if c == '{' { '}' } else { ']' };
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if_eq(&close) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(depth, out);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth, out);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(depth, out);
            }
            ':' => out.push_str(": "),
            '"' => {
                quoted = true;
                out.push(c);
            }
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
}

/// Reads the last part and hands over what is found, in the order of the file.
///
/// # Errors
/// What `each` fails with, or that this is no such JSON.
pub(super) fn read(
    reader: impl Read,
    each: &mut dyn FnMut(Found) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failure = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let mut sink = Sink {
        each,
        failure: &mut failure,
    };
    let outcome = deserializer
        .deserialize_map(Whole(&mut sink))
        .and_then(|()| deserializer.end());
    match (failure, outcome) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::new(
            Status::Validation,
            format!("failed to read IPAM resources: {error}"),
        )),
        (None, Ok(())) => Ok(()),
    }
}

struct Sink<'a> {
    each: &'a mut dyn FnMut(Found) -> Result<(), Failure>,
    failure: &'a mut Option<Failure>,
}

impl Sink<'_> {
    fn take<E: serde::de::Error>(&mut self, found: Found) -> Result<(), E> {
        (self.each)(found).map_err(|failure| {
            *self.failure = Some(failure);
            E::custom("")
        })
    }
}

struct Whole<'a, 'b>(&'a mut Sink<'b>);

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with blocks, block_affinities, handles and config")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match LISTS.iter().find(|(list, _)| *list == name) {
                Some((_, Kind::IpamConfiguration)) => {
                    if let Some(pair) = map.next_value::<Option<Pair>>()? {
                        self.0.take(Found::Entry(Kind::IpamConfiguration, pair))?;
                    }
                }
                Some((_, kind)) => map.next_value_seed(List {
                    sink: &mut *self.0,
                    found: |kind, pair: Pair| Found::Entry(kind, pair),
                    kind: *kind,
                })?,
                None if name == OURS => map.next_value_seed(Ours(&mut *self.0))?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// A list whose members are handed over one by one.
struct List<'a, 'b, T> {
    sink: &'a mut Sink<'b>,
    found: fn(Kind, T) -> Found,
    kind: Kind,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Go writes null for a list that is not there.
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(member) = seq.next_element::<T>()? {
            self.sink.take((self.found)(self.kind, member))?;
        }
        Ok(())
    }
}

struct Ours<'a, 'b>(&'a mut Sink<'b>);

impl<'de> DeserializeSeed<'de> for Ours<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Ours<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with for, objects and seals")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "for" => {
                    let aim = map.next_value()?;
                    self.0.take(Found::Aim(aim))?;
                }
                "objects" => map.next_value_seed(List {
                    sink: &mut *self.0,
                    found: |_, value| Found::Beside(value),
                    kind: Kind::Profile,
                })?,
                "seals" => {
                    let seals = map.next_value()?;
                    self.0.take(Found::Seals(seals))?;
                }
                // What is left out unread would be lost.
                other => {
                    return Err(A::Error::custom(format!(
                        "{OURS}.{other} is unknown: the file was written by a newer release"
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(text: &str) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        read(text.as_bytes(), &mut |found| {
            all.push(format!("{found:?}"));
            Ok(())
        })
        .map_err(|failure| failure.text)?;
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        let mut text = String::new();
        let block = br#"{"cidr":"10.0.0.0/26","a":[null,{}],"s":"\"{,:\\"}"#;
        text += &writer.entry(
            Kind::BlockAffinity,
            "/a",
            br#"{"state":"confirmed","deleted":false}"#,
        );
        text += &writer.entry(Kind::BlockAffinity, "/b", b"{}");
        text += writer.end_list();
        text += &writer.entry(Kind::IpamBlock, "/c", block);
        text += writer.end_list();
        text += writer.end_list();
        text += &writer.entry(Kind::IpamConfiguration, "/d", b"{\"x\":1}");
        text += &writer.begin_ours(Aim::Etcdv3);
        text += &writer.beside(&json!({"kind": "Profile"}));
        text += &writer.beside(&json!({"kind": "Namespace"}));
        let seal = Written {
            count: 2,
            digest: "ab".to_owned(),
        };
        text += &writer.end(&[("profiles".to_owned(), seal)].into());
        insta::assert_snapshot!(text);
        insta::assert_snapshot!(found(&text).unwrap().join("\n"));
    }

    #[test]
    fn nothing_is_an_object_too() {
        let mut writer = Writer::default();
        let text = writer.begin_ours(Aim::Kubernetes) + &writer.end(&BTreeMap::new());
        assert_eq!(found(&text).unwrap(), ["Aim(Kubernetes)", "Seals({})"]);
        assert_eq!(found("{}").unwrap(), Vec::<String>::new());
        assert_eq!(
            found(r#"{"blocks": null, "config": null, "x": [1]}"#).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in [
            "",
            "[]",
            "{} {}",
            r#"{"blocks": 1}"#,
            r#"{"blocks": [{}]}"#,
            r#"{"calico_rs": {"x": 1}}"#,
        ] {
            let failure = found(text).unwrap_err();
            assert!(
                failure.starts_with("failed to read IPAM resources: "),
                "{text}: {failure}"
            );
        }
        let mut stop = |_| Err(Failure::general("enough"));
        let failure =
            read(&br#"{"config": {"Key": "a", "Value": {}}}"#[..], &mut stop).unwrap_err();
        assert_eq!(failure.text, "enough");
    }
}
