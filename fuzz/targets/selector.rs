#![no_main]

use libfuzzer_sys::fuzz_target;
use model::selector::Selector;

fuzz_target!(|text: &str| {
    if let Ok(selector) = Selector::parse(text) {
        let again = Selector::parse(selector.canonical()).expect("a canonical form parses");
        assert_eq!(again.canonical(), selector.canonical());
    }
});
