//! What the table is made of: a schema says what one value may be, a field gives it a name, and builders keep the table short.

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Flag,
    /// A whole number or a string: ports and protocols.
    IntOrString,
    /// An object with these fields.
    Object(&'static [Field]),
    /// An object with any names, whose values are all of one form.
    Map(&'static Schema),
    /// A list of values of one form.
    List(&'static Schema),
    /// The parameters of the agent, as `config` lists them, and nodeSelector.
    Parameters,
}

/// Whether a field may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It may be left out.
    Optional,
}

/// How two lists, or two objects, are merged on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Nothing is said.
    Unsaid,
    /// The whole is replaced.
    Atomic,
    /// Members are unique by value.
    Set,
    /// Members are unique by this field.
    ByKey(&'static str),
}

/// What kind of mistake a broken rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A value that cannot be.
    Invalid,
    /// A value where none may be.
    Forbidden,
    /// No value where one must be.
    Required,
}

/// A rule in CEL, checked by the API server.
#[derive(Clone, Copy, Debug)]
pub struct Cel {
    /// The expression; false refuses the object.
    pub rule: &'static str,
    /// What the author is told.
    pub message: &'static str,
    /// The field to blame, below the one that has the rule; empty for that one itself.
    pub field: &'static str,
    /// What kind of mistake it is.
    pub reason: Reason,
}

/// What one value may be.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What it is.
    pub form: Form,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// The only strings it may be, unless empty.
    pub words: &'static [&'static str],
    /// The only numbers it may be, unless empty.
    pub numbers: &'static [i64],
    /// A regular expression that a string matches.
    pub pattern: &'static str,
    /// A format that the API server knows.
    pub format: &'static str,
    /// The least number.
    pub least: Option<i64>,
    /// The greatest number.
    pub greatest: Option<i64>,
    /// The fewest characters, items or fields.
    pub fewest: Option<u32>,
    /// The most characters, items or fields.
    pub most: Option<u32>,
    /// What the server fills in, as JSON; empty for nothing.
    pub default: &'static str,
    /// How it is merged.
    pub merge: Merge,
    /// Rules across fields.
    pub rules: &'static [Cel],
    /// Whether `null` is a value.
    pub nullable: bool,
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it may be.
    pub schema: Schema,
    /// Whether it must be there.
    pub need: Need,
}

pub(super) const fn req(name: &'static str, schema: Schema) -> Field {
    Field {
        name,
        schema,
        need: Need::Required,
    }
}

pub(super) const fn opt(name: &'static str, schema: Schema) -> Field {
    Field {
        name,
        schema,
        need: Need::Optional,
    }
}

pub(super) const fn cel(field: &'static str, message: &'static str, rule: &'static str) -> Cel {
    Cel {
        rule,
        message,
        field,
        reason: Reason::Invalid,
    }
}

pub(super) const fn forbid(field: &'static str, message: &'static str, rule: &'static str) -> Cel {
    Cel {
        rule,
        message,
        field,
        reason: Reason::Forbidden,
    }
}

pub(super) const fn demand(field: &'static str, message: &'static str, rule: &'static str) -> Cel {
    Cel {
        rule,
        message,
        field,
        reason: Reason::Required,
    }
}

const fn schema(form: Form, doc: &'static str) -> Schema {
    Schema {
        form,
        doc,
        words: &[],
        numbers: &[],
        pattern: "",
        format: "",
        least: None,
        greatest: None,
        fewest: None,
        most: None,
        default: "",
        merge: Merge::Unsaid,
        rules: &[],
        nullable: false,
    }
}

pub(super) const fn text(doc: &'static str) -> Schema {
    schema(Form::Text, doc)
}

pub(super) const fn word(words: &'static [&'static str], doc: &'static str) -> Schema {
    let mut schema = schema(Form::Text, doc);
    schema.words = words;
    schema
}

pub(super) const fn integer(doc: &'static str) -> Schema {
    schema(Form::Integer, doc)
}

pub(super) const fn number(doc: &'static str) -> Schema {
    schema(Form::Number, doc)
}

pub(super) const fn flag(doc: &'static str) -> Schema {
    schema(Form::Flag, doc)
}

pub(super) const fn int_or_string(doc: &'static str) -> Schema {
    schema(Form::IntOrString, doc)
}

pub(super) const fn parameters(doc: &'static str) -> Schema {
    schema(Form::Parameters, doc)
}

pub(super) const fn object(doc: &'static str, fields: &'static [Field]) -> Schema {
    schema(Form::Object(fields), doc)
}

pub(super) const fn map(doc: &'static str, value: &'static Schema) -> Schema {
    schema(Form::Map(value), doc)
}

pub(super) const fn list(doc: &'static str, item: &'static Schema) -> Schema {
    schema(Form::List(item), doc)
}

pub(super) const fn atomic(doc: &'static str, item: &'static Schema) -> Schema {
    list(doc, item).merged(Merge::Atomic)
}

pub(super) const fn set(doc: &'static str, item: &'static Schema) -> Schema {
    list(doc, item).merged(Merge::Set)
}

impl Schema {
    pub(super) const fn matching(mut self, pattern: &'static str) -> Schema {
        self.pattern = pattern;
        self
    }

    pub(super) const fn format(mut self, format: &'static str) -> Schema {
        self.format = format;
        self
    }

    pub(super) const fn numbers(mut self, numbers: &'static [i64]) -> Schema {
        self.numbers = numbers;
        self
    }

    pub(super) const fn at_least(mut self, least: i64) -> Schema {
        self.least = Some(least);
        self
    }

    pub(super) const fn between(mut self, least: i64, greatest: i64) -> Schema {
        self.least = Some(least);
        self.greatest = Some(greatest);
        self
    }

    /// At most so many characters, items or fields.
    pub(super) const fn up_to(mut self, most: u32) -> Schema {
        self.most = Some(most);
        self
    }

    /// So many characters, items or fields.
    pub(super) const fn sized(mut self, fewest: u32, most: u32) -> Schema {
        self.fewest = Some(fewest);
        self.most = Some(most);
        self
    }

    /// The server fills this in, given as JSON.
    pub(super) const fn or(mut self, default: &'static str) -> Schema {
        self.default = default;
        self
    }

    pub(super) const fn merged(mut self, merge: Merge) -> Schema {
        self.merge = merge;
        self
    }

    pub(super) const fn rules(mut self, rules: &'static [Cel]) -> Schema {
        self.rules = rules;
        self
    }

    pub(super) const fn nullable(mut self) -> Schema {
        self.nullable = true;
        self
    }

    /// The same with another text.
    pub(super) const fn doc(mut self, doc: &'static str) -> Schema {
        self.doc = doc;
        self
    }
}
