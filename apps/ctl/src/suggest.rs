//! Arguments with values that a shell can complete. Any other value is taken as well: what it is worth, its verb knows.

use api::Kind;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

/// Takes any text, and has some to offer.
#[derive(Clone)]
pub(crate) struct Offer(fn() -> Vec<&'static str>);

/// All words for kinds.
pub(crate) fn kind_words() -> Vec<&'static str> {
    let words = |kind: Kind| {
        let own = [kind.singular(), kind.plural()];
        own.into_iter().chain(kind.aliases().iter().copied())
    };
    Kind::all().flat_map(words).collect()
}

/// The kinds, by any of their words.
pub(crate) fn kinds() -> Offer {
    Offer(kind_words)
}

/// What the argument for a kind is, with every kind by its usual word.
pub(crate) fn kind_help() -> String {
    let mut words: Vec<&str> = Kind::all().map(Kind::singular).collect();
    words.sort_unstable();
    words.dedup();
    format!(
        "The kind of what is meant; plurals and upstream's short forms (np, ipp, wep, ...) are the same:\n{}",
        words.join(", ")
    )
}

/// The formats of `get`.
pub(crate) fn formats() -> Offer {
    Offer(|| crate::output::FORMATS.to_vec())
}

/// The stores.
pub(crate) fn stores() -> Offer {
    Offer(|| vec!["embedded", "etcdv3", "kubernetes"])
}

/// The levels of logs.
pub(crate) fn levels() -> Offer {
    Offer(|| vec!["panic", "fatal", "error", "warn", "info", "debug"])
}

/// What a patch can be.
pub(crate) fn patches() -> Offer {
    Offer(|| vec!["strategic", "merge", "json"])
}

/// The formats of `explain`.
pub(crate) fn documents() -> Offer {
    Offer(|| vec!["json", "yaml"])
}

impl TypedValueParser for Offer {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}
