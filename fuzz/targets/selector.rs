#![no_main]

use libfuzzer_sys::fuzz_target;
use model::selector::Selector;

fuzz_target!(|text: &str| {
    let parse = |text: &str| Selector::parse(text).expect("a canonical form parses");
    if let Ok(selector) = Selector::parse(text) {
        // As upstream's: `!(!(has(a)))` is written `!!has(a)`, and that is read as `has(a)`. From there on nothing changes.
        let again = parse(selector.canonical());
        assert_eq!(parse(again.canonical()).canonical(), again.canonical());
        if !selector.canonical().contains("!!") {
            assert_eq!(again.canonical(), selector.canonical());
        }
    }
});
