#![no_main]

use cni::NetConf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // A configuration or an error object.
    let _ = NetConf::parse(bytes);
});
