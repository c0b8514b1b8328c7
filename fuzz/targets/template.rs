#![no_main]

use ctl::template::{Limits, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, data) = input;
    let Ok(template) = Template::parse("fuzz", text) else { return };
    let documents = serde_json::from_str(data).map_or_else(|_| Vec::new(), |value| vec![value]);
    let limits = Limits { steps: 10_000, output: 100_000 };
    let _ = template.render(&documents, limits, &|name| Err(format!("no {name}")));
});
