//! Kubernetes quantities, such as `10M` or `1.5Gi`, as whole numbers.

/// The number a quantity means, rounded up; `None` if it is none, or out of range.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // More digits than any number in range has are no number in range.
    if whole.len() > 19 || fraction.len() > 15 {
        return None;
    }
    let all: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (up, down) = factor(suffix)?;
    let numerator = (sign * all).checked_mul(up)?;
    let denominator = scale.checked_mul(down)?;
    let rounded =
        numerator.div_euclid(denominator) + i128::from(numerator.rem_euclid(denominator) != 0);
    i64::try_from(rounded).ok()
}

/// What a suffix multiplies and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    const DECIMAL: [(&str, u32); 7] = [
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const BINARY: [(&str, u32); 6] = [
        ("Ki", 10),
        ("Mi", 20),
        ("Gi", 30),
        ("Ti", 40),
        ("Pi", 50),
        ("Ei", 60),
    ];
    const SMALL: [(&str, u32); 3] = [("m", 3), ("u", 6), ("n", 9)];
    let of = |table: &[(&str, u32)]| {
        table
            .iter()
            .find(|(name, _)| *name == suffix)
            .map(|(_, n)| *n)
    };
    if let Some(power) = of(&DECIMAL) {
        return Some((10_i128.pow(power), 1));
    }
    if let Some(bits) = of(&BINARY) {
        return Some((1 << bits, 1));
    }
    if let Some(power) = of(&SMALL) {
        return Some((1, 10_i128.pow(power)));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128
        .checked_pow(exponent.unsigned_abs())
        .filter(|_| exponent.abs() <= 18)?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("10M", Some(10_000_000)),
            ("1.5Gi", Some(1_610_612_736)),
            ("100m", Some(1)),
            ("1001m", Some(2)),
            ("-1.5", Some(-1)),
            ("1e3", Some(1000)),
            ("1E", Some(1_000_000_000_000_000_000)),
            ("12E2", Some(1200)),
            (".5k", Some(500)),
            ("1P", Some(1_000_000_000_000_000)),
            ("", None),
            ("M", None),
            ("1KiB", None),
            ("1..2", None),
            ("99E", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
