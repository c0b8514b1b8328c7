//! What a plain word means in YAML 1.1 as Go reads it: which strings must be quoted, because they would become something else.

/// True if this text, written without quotes, would be read back as itself.
pub(crate) fn reads_as_string(text: &str) -> bool {
    if is_word(text) || is_base60(text) {
        return false;
    }
    match text.as_bytes().first() {
        None => false,
        Some(b'.') => !is_finite(text),
        Some(b'+' | b'-' | b'0'..=b'9') => !is_timestamp(text) && !is_number(text),
        Some(_) => true,
    }
}

/// The words for booleans, nothing, infinity and not-a-number.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "~", "y", "n", "yes", "no", "on", "off", "true", "false", "null", ".nan", ".inf",
        "+.inf", "-.inf",
    ];
    let lower = text.to_ascii_lowercase();
    if !WORDS.contains(&lower.as_str()) {
        return false;
    }
    // Three spellings: lower, UPPER, Capitalised; of not-a-number `.NaN`, of infinity `.Inf`.
    let letters = text.trim_start_matches(['.', '+', '-']);
    let capitalised = |word: &str| {
        let mut chars = word.chars();
        chars.next().is_some_and(|first| first.is_ascii_uppercase())
            && chars.all(|c| c.is_ascii_lowercase())
    };
    text == lower
        || text == text.to_ascii_uppercase()
        || (lower == ".nan" && text == ".NaN")
        || (lower != ".nan" && capitalised(letters))
}

/// Base 60 numbers such as `12:30:45`, which other readers of YAML 1.1 take for a number.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (unsigned, ""),
    };
    let mut parts = whole.split(':');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first = parts.next().unwrap_or_default();
    let sexagesimal = |part: &str| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [b'0'..=b'5', ones] => ones.is_ascii_digit(),
        _ => false,
    };
    let mut rest = parts.peekable();
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && rest.peek().is_some()
        && rest.all(sexagesimal)
        && digits(fraction)
}

fn is_finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// An integer in any base Go knows, or a decimal fraction.
fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    is_integer(&plain) || (has_float_form(&plain) && is_finite(&plain))
}

fn is_integer(plain: &str) -> bool {
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain),
    };
    // A sign is followed by digits, not by another sign.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.starts_with(['+', '-']) {
        return false;
    }
    let magnitude = u64::from_str_radix(digits, radix);
    let signed = plain.starts_with(['-', '+']);
    let limit = match (negative, signed) {
        (true, _) => i64::MIN.unsigned_abs(),
        (false, true) => i64::MAX.unsigned_abs(),
        (false, false) => u64::MAX,
    };
    magnitude.is_ok_and(|n| n <= limit)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn has_float_form(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_ok && mantissa_ok
}

/// A date, or a date and time, with fields of one or two digits.
fn is_timestamp(text: &str) -> bool {
    let mut date = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (date.next(), date.next(), date.next()) else {
        return false;
    };
    let day_len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(day_len);
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) || !is_day(year, month, day) {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    if let Some(time) = time.strip_prefix(' ') {
        return is_time(time);
    }
    let Some(time) = time.strip_prefix(['T', 't']) else {
        return false;
    };
    if let Some(time) = time.strip_suffix('Z') {
        return is_time(time);
    }
    let Some(at) = time.rfind(['+', '-']) else {
        return false;
    };
    let zone = &time.as_bytes()[at + 1..];
    let zone_ok = matches!(zone, [h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()));
    zone_ok && is_time(&time[..at])
}

fn field(text: &str, most: u32) -> Option<u32> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok())
        .flatten()
        .filter(|n| *n <= most)
}

fn is_day(year: &str, month: &str, day: &str) -> bool {
    let (Ok(year), Some(month), Some(day)) =
        (year.parse::<u32>(), field(month, 12), field(day, 31))
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        0 => 0,
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else {
        return false;
    };
    let in_range =
        field(hour, 23).is_some() && field(minute, 59).is_some() && field(second, 59).is_some();
    in_range && fraction.is_none_or(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()))
}
