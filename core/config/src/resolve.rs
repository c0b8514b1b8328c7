//! Which of the places where a parameter may be set wins, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use model::{Cidr, PortRange};

use crate::table::{Param, Reach, Zero};
use crate::value::{Failsafe, TableRange, Value};

/// Where a value comes from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The table.
    Default,
    /// The FelixConfiguration `default`.
    Global,
    /// The FelixConfiguration whose selector chose this node.
    Selector,
    /// The FelixConfiguration `node.<name>`.
    Node,
    /// The configuration file.
    File,
    /// The environment.
    Environment,
}

impl Source {
    /// All that can set a value, weakest first.
    pub const SET: [Source; 5] = [
        Source::Global,
        Source::Selector,
        Source::Node,
        Source::File,
        Source::Environment,
    ];

    fn is_local(self) -> bool {
        matches!(self, Source::File | Source::Environment)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Default => "default",
            Source::Global => "FelixConfiguration default",
            Source::Selector => "FelixConfiguration by node selector",
            Source::Node => "FelixConfiguration of the node",
            Source::File => "configuration file",
            Source::Environment => "environment",
        })
    }
}

/// Something in a layer that cannot be used. The agent goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which layer.
    pub source: Source,
    /// The name as it was written.
    pub name: Box<str>,
    /// The value as it was written.
    pub value: Box<str>,
    /// What is wrong with it, and what happens instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}={:?}: {}",
            self.source, self.name, self.value, self.message
        )
    }
}

/// The raw values of each place. Names may be spelt in any case, as in files or as in FelixConfigurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    raw: BTreeMap<Source, BTreeMap<Box<str>, Box<str>>>,
}

impl Layers {
    /// No values anywhere.
    pub fn new() -> Layers {
        Layers::default()
    }

    /// Replaces all values of one place. Empty values count as not set, as upstream has it.
    pub fn set<K: Into<Box<str>>, V: Into<Box<str>>>(
        &mut self,
        source: Source,
        values: impl IntoIterator<Item = (K, V)>,
    ) {
        let values = values
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        let values = values.filter(|(_, value): &(Box<str>, Box<str>)| !value.is_empty());
        self.raw.insert(source, values.collect());
    }

    /// Takes the `FELIX_` variables of an environment.
    pub fn set_environment<'a>(&mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
        const PREFIX: &str = "felix_";
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let start = name.get(..PREFIX.len())?;
            start
                .eq_ignore_ascii_case(PREFIX)
                .then(|| (&name[PREFIX.len()..], value))
        });
        self.set(Source::Environment, ours);
    }

    /// Decides every parameter.
    pub fn resolve(&self) -> (Config, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut settings: BTreeMap<Param, Vec<Setting>> = BTreeMap::new();
        for source in Source::SET {
            for (name, raw) in self.raw.get(&source).into_iter().flatten() {
                let (param, outcome) = read(source, name, raw);
                if let Err(message) = &outcome {
                    warnings.push(Warning {
                        source,
                        name: name.clone(),
                        value: raw.clone(),
                        message: message.clone(),
                    });
                }
                if let Some(param) = param {
                    let setting = Setting {
                        source,
                        raw: raw.clone(),
                        outcome,
                    };
                    settings.entry(param).or_default().push(setting);
                }
            }
        }
        (Config { settings }, warnings)
    }
}

fn read(source: Source, name: &str, raw: &str) -> (Option<Param>, Result<Value, String>) {
    let Some(param) = Param::lookup(name) else {
        return (None, Err("is no parameter; it is ignored".to_owned()));
    };
    let row = param.row();
    if row.reach == Reach::Local && !source.is_local() {
        let message = "can only be set on the node itself; it is ignored here";
        return (None, Err(message.to_owned()));
    }
    let outcome = if raw.eq_ignore_ascii_case("none") {
        match row.zero {
            Zero::Allowed => Ok(row.kind.zero()),
            Zero::Refused => Err("must have a value; the default is used".to_owned()),
        }
    } else {
        row.kind
            .parse(raw)
            .map_err(|wanted| format!("{wanted}; the default is used"))
    };
    (Some(param), outcome)
}

/// What one place says of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The place.
    pub source: Source,
    /// The text there.
    pub raw: Box<str>,
    /// What it means, or what is wrong with it.
    pub outcome: Result<Value, String>,
}

/// Every level of one parameter, and the one that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The parameter.
    pub param: Param,
    /// The places that set it, weakest first; the last one counts.
    pub settings: Vec<Setting>,
    /// The value in force. A value that cannot be read counts as the default: it does not fall back to weaker places.
    pub value: Value,
}

impl Explanation {
    /// Where the value in force comes from.
    pub fn winner(&self) -> Source {
        match self.settings.last() {
            Some(setting) if setting.outcome.is_ok() => setting.source,
            Some(_) | None => Source::Default,
        }
    }
}

/// The parameters in force.
///
/// The getters give the zero of their type for a parameter of another kind; the table says which kind one has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    settings: BTreeMap<Param, Vec<Setting>>,
}

impl Config {
    /// The value in force.
    pub fn value(&self, param: Param) -> Value {
        let last = self
            .settings
            .get(&param)
            .and_then(|settings| settings.last());
        match last.map(|setting| &setting.outcome) {
            Some(Ok(value)) => value.clone(),
            Some(Err(_)) | None => param.default_value(),
        }
    }

    /// Every level of a parameter.
    pub fn explain(&self, param: Param) -> Explanation {
        Explanation {
            param,
            settings: self.settings.get(&param).cloned().unwrap_or_default(),
            value: self.value(param),
        }
    }

    /// The parameters whose value in force differs.
    pub fn changed(&self, other: &Config) -> Vec<Param> {
        Param::all()
            .filter(|param| self.value(*param) != other.value(*param))
            .collect()
    }

    /// A flag; not said counts as false.
    pub fn flag(&self, param: Param) -> bool {
        self.optional_flag(param).unwrap_or(false)
    }

    /// A flag that may be left unsaid.
    pub fn optional_flag(&self, param: Param) -> Option<bool> {
        let Value::Flag(flag) = self.value(param) else {
            return None;
        };
        flag
    }

    /// A number.
    pub fn int(&self, param: Param) -> i64 {
        let Value::Int(number) = self.value(param) else {
            return 0;
        };
        number
    }

    /// A time span.
    pub fn duration(&self, param: Param) -> Duration {
        let Value::Duration(duration) = self.value(param) else {
            return Duration::ZERO;
        };
        duration
    }

    /// A text, a word, a path, a pattern.
    pub fn text(&self, param: Param) -> Box<str> {
        let Value::Text(text) = self.value(param) else {
            return "".into();
        };
        text
    }

    /// A list of texts.
    pub fn list(&self, param: Param) -> Vec<Box<str>> {
        let Value::List(list) = self.value(param) else {
            return Vec::new();
        };
        list
    }

    /// An address.
    pub fn address(&self, param: Param) -> Option<IpAddr> {
        let Value::Address(addr) = self.value(param) else {
            return None;
        };
        addr
    }

    /// Ports that stay open.
    pub fn failsafes(&self, param: Param) -> Vec<Failsafe> {
        let Value::Failsafes(ports) = self.value(param) else {
            return Vec::new();
        };
        ports
    }

    /// Ports and ranges.
    pub fn ports(&self, param: Param) -> Vec<PortRange> {
        let Value::Ports(ports) = self.value(param) else {
            return Vec::new();
        };
        ports
    }

    /// Bits of a packet mark.
    pub fn mark(&self, param: Param) -> u32 {
        let Value::Mark(mark) = self.value(param) else {
            return 0;
        };
        mark
    }

    /// Networks.
    pub fn cidrs(&self, param: Param) -> Vec<Cidr> {
        let Value::Cidrs(cidrs) = self.value(param) else {
            return Vec::new();
        };
        cidrs
    }

    /// Keys and values.
    pub fn pairs(&self, param: Param) -> BTreeMap<Box<str>, Box<str>> {
        let Value::Pairs(pairs) = self.value(param) else {
            return BTreeMap::new();
        };
        pairs
    }

    /// Keys and time spans.
    pub fn durations(&self, param: Param) -> BTreeMap<Box<str>, Duration> {
        let Value::Durations(durations) = self.value(param) else {
            return BTreeMap::new();
        };
        durations
    }

    /// Ranges of routing tables.
    pub fn tables(&self, param: Param) -> Vec<TableRange> {
        let Value::Tables(tables) = self.value(param) else {
            return Vec::new();
        };
        tables
    }
}
