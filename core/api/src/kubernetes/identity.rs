//! Identities as upstream derives them: UIDs of objects that stand for others, and labels made of host names.

use sha3::{Digest, Sha3_256};

/// The UID of an object that is another one's double: all bits of each byte reversed, but for the two bytes that say which
/// kind of UUID it is. Applied twice it gives the first one back. `None` if it is no UUID.
pub(super) fn mirrored(uid: &str) -> Option<String> {
    let digits: Vec<u8> = uid.bytes().filter(|byte| *byte != b'-').collect();
    let text = std::str::from_utf8(&digits).ok()?;
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = u128::from_str_radix(text, 16).ok()?.to_be_bytes();
    for (at, byte) in bytes.iter_mut().enumerate() {
        if at != 6 && at != 8 {
            *byte = byte.reverse_bits();
        }
    }
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Some(parts.join("-"))
}

/// A host's name as the value of a label, which may have fewer characters than a name: its SHA3-256 in base 32 (RFC 4648)
/// without padding.
pub(super) fn host_label(host: &str) -> String {
    base32(&Sha3_256::digest(host.as_bytes()))
}

fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(DIGITS[(held >> bits & 31) as usize].into());
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(DIGITS[(held << (5 - bits) & 31) as usize].into());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_uid_keeps_version_and_variant_and_is_its_own_inverse() {
        let uid = "30316465-6365-4463-ad63-3564622d3638";
        let other = mirrored(uid).unwrap();
        assert_eq!(other, "0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c");
        assert_eq!(mirrored(&other).as_deref(), Some(uid));
        assert_eq!(mirrored("not-a-uid"), None);
        assert_eq!(mirrored("+0316465-6365-4463-ad63-3564622d3638"), None);
    }

    #[test]
    fn host_labels_are_as_long_as_labels_may_be() {
        // RFC 4648, section 10.
        for (text, expected) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), expected);
        }
        assert_eq!(host_label("node-1").len(), 52);
    }
}
