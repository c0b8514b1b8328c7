//! The shapes of names: what upstream and Kubernetes admit as names, labels, ports and interfaces.

/// The longest name of an object (RFC 1123 subdomain).
pub(crate) const MAX_NAME: usize = 253;
/// The longest name of one label of a domain, and of a label's value.
pub(crate) const MAX_LABEL: usize = 63;

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            inner(*first) && inner(*last) && bytes.iter().all(|b| inner(*b) || *b == b'-')
        }
        (_, _) => false,
    }
}

/// Labels of a domain joined by dots.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

/// A NetworkPolicy's name: one label, two labels, or any subdomain after `knp.default.` or `ossg.default.`.
pub(crate) fn is_network_policy_name(text: &str) -> bool {
    let converted = text
        .strip_prefix("knp.default.")
        .or_else(|| text.strip_prefix("ossg.default."));
    is_global_network_policy_name(text) || converted.is_some_and(is_subdomain)
}

/// A GlobalNetworkPolicy's name: one label or two.
pub(crate) fn is_global_network_policy_name(text: &str) -> bool {
    is_subdomain(text) && text.split('.').count() <= 2
}

/// Letters, digits, dashes inside: a container's identity.
pub(crate) fn is_container_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        }
        (_, _) => false,
    }
}

/// An interface's name, or `*`.
pub(crate) fn is_interface(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text == "*" || ((1..=15).contains(&text.len()) && text.bytes().all(inner))
}

/// An interface's name in which `*` stands for any text.
pub(crate) fn is_interface_pattern(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'*');
    (1..=15).contains(&text.len()) && text.bytes().all(inner)
}

/// The name of a port that an endpoint declares (Kubernetes' port name): at most 15 of `[a-z0-9-]`, a letter among them.
pub(crate) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_dns_label(text)
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && !text.contains("--")
}

/// The name of a port as rules may write it.
pub(crate) fn is_rule_port_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(inner)
}

/// Kubernetes' qualified name: an optional subdomain and a slash before a short name.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix_ok = prefix.is_none_or(|p| p.len() <= MAX_NAME && is_subdomain(p));
    prefix_ok && !name.is_empty() && is_label_value(name)
}

/// Kubernetes' label value: empty, or at most 63 of `[A-Za-z0-9_.-]` with letters or digits at both ends.
pub(crate) fn is_label_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let bytes = text.as_bytes();
    let ends_ok = match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric(),
        (_, _) => true,
    };
    ends_ok && text.len() <= MAX_LABEL && bytes.iter().all(|b| inner(*b))
}

/// 32 bytes in base 64 (RFC 4648 section 4): 43 characters and one of padding, the last two bits of the last character zero.
pub(crate) fn is_wireguard_key(text: &str) -> bool {
    let Some(digits) = text.strip_suffix('=') else {
        return false;
    };
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let last = digits.bytes().last();
    digits.len() == 43
        && digits.bytes().all(inner)
        && last.is_some_and(|b| b"AEIMQUYcgkosw048".contains(&b))
}

/// The shape of RFC 3339: `2026-08-01T10:00:00Z`, with a fraction of a second or an offset where wanted. Days are not counted.
pub(crate) fn is_time(text: &str) -> bool {
    let number = |text: &str, range: std::ops::RangeInclusive<u8>| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits && text.parse().is_ok_and(|n| range.contains(&n))
    };
    let of_day = |text: &str| {
        let mut parts = text.split(':');
        let hour = parts.next().is_some_and(|part| number(part, 0..=23));
        hour && parts.all(|part| number(part, 0..=59))
    };
    let Some((date, rest)) = text.split_once('T') else {
        return false;
    };
    let parts: Vec<&str> = date.split('-').collect();
    let date_ok = matches!(parts.as_slice(), [year, month, day]
        if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && number(month, 1..=12) && number(day, 1..=31));
    let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let zone_ok = zone == "Z" || (zone.len() == 6 && of_day(&zone[1..]));
    let fraction_ok = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    date_ok && clock.len() == 8 && of_day(clock) && fraction_ok && zone_ok
}

/// The text of an AS number: decimal, or two numbers up to 65535 joined by a dot.
pub(crate) fn as_number(text: &str) -> Option<u32> {
    match text.split_once('.') {
        Some((high, low)) => {
            let high = u32::from(high.parse::<u16>().ok()?);
            Some(high << 16 | u32::from(low.parse::<u16>().ok()?))
        }
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a-b", "0", "a.b", "knp.default.x.y.z"] {
            assert!(is_network_policy_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", "a.b.c", "knp.default.", "a_b"] {
            assert!(!is_network_policy_name(bad), "{bad}");
        }
        assert!(is_subdomain("a.b.c.d"));
        assert!(is_interface("eth0.100") && is_interface("*"));
        assert!(!is_interface("") && !is_interface("0123456789abcdef"));
        assert!(is_port_name("http-1") && !is_port_name("80") && !is_port_name("a--b"));
        assert!(is_qualified_name("projectcalico.org/x_Y") && is_qualified_name("x"));
        assert!(
            !is_qualified_name("a/b/c") && !is_qualified_name("x/") && !is_qualified_name("/x")
        );
        assert!(is_wireguard_key(
            "jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY="
        ));
        assert!(!is_wireguard_key("foobar") && !is_wireguard_key(""));
        for good in ["2026-08-01T10:00:00Z", "2026-08-01T10:00:00.5+02:00"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "yesterday",
            "2026-08-01",
            "2026-13-01T10:00:00Z",
            "2026-08-01T10:00Z",
            "2026-08-01T10:00:00",
            "2026-08-01T10:00:00Zé",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
        assert!(is_label_value("") && is_label_value("a_b.C") && !is_label_value("-a"));
    }
}
