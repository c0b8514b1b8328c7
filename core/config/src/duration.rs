//! Durations as Go writes them: `1h30m`, `250ms`, `1.5s`.

use std::time::Duration;

/// Reads a duration with units. A bare `0` is allowed; negative ones are not.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, scale) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
        seconds += number * scale;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// A duration as Go prints it: 90 seconds are `1m30s`.
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanos > 0 {
        let unit = [(1_000_000, 6, "ms"), (1_000, 3, "µs"), (1, 0, "ns")];
        let (size, places, name) = unit
            .into_iter()
            .find(|(size, ..)| nanos >= *size)
            .unwrap_or((1, 0, "ns"));
        let rest = format!("{:0places$}", nanos % size);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{}{point}{rest}{name}", nanos / size);
    }
    let rest = format!("{nanos:09}");
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let seconds = format!("{seconds}{point}{rest}s");
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("50ms", 50),
            ("0", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for bad in ["", "90", "s", "-1s", "1x", "1s2", "1..s", "ms"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn prints_as_go_prints() {
        for (text, expected) in [
            ("90s", "1m30s"),
            ("0s", "0s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("1500ms", "1.5s"),
            ("250ms", "250ms"),
            ("1500us", "1.5ms"),
        ] {
            assert_eq!(
                parse_duration(text).map(format_duration).as_deref(),
                Some(expected)
            );
        }
    }
}
