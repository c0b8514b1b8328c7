#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (id, message) = input;
    let _ = datastore::srv_records(message, id);
});
