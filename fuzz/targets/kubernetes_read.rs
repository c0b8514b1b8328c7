#![no_main]

use api::kubernetes::{Change, Group, collections, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (kind, native, bytes) = input;
    let group = if native { Group::V3 } else { Group::V1 };
    let kinds: Vec<api::Kind> = api::Kind::all().collect();
    for collection in collections(kinds[usize::from(kind) % kinds.len()], group) {
        // Whatever it is, it is an entry that decodes or not, and that can be written back or not.
        let Ok(reading) = read(collection, bytes) else {
            continue;
        };
        if let (Some(key), Some(value)) = (reading.key, reading.value) {
            let _ = api::decode(&key, &value);
            let _ = write(&key, Change::Update(&value, reading.revision), group);
        }
    }
});
