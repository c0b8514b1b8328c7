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

/// A time in the form of RFC 3339, as far as its shape goes: date, `T`, time, perhaps a fraction, and `Z` or an offset.
pub(crate) fn is_time(text: &str) -> bool {
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(b, s)| match s {
                b'0' => b.is_ascii_digit(),
                other => b == other,
            })
    };
    let Some((moment, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let zone = offset == "Z" || shaped(offset, "+00:00") || shaped(offset, "-00:00");
    shaped(moment, "0000-00-00T00:00:00") && zone
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
        assert!(is_label_value("") && is_label_value("a_b.C") && !is_label_value("-a"));
    }

    #[test]
    fn times() {
        for good in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "yesterday",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05é",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
