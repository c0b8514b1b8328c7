#![no_main]

use api::AdmitOptions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    let options = AdmitOptions::default();
    if let Ok(object) = api::admit(value, &options) {
        let again = api::admit(object.clone().into_value(), &options);
        assert_eq!(again.expect("admitted once, admitted again"), object);
    }
});
