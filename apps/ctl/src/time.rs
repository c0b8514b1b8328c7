//! The clock.

use std::time::{SystemTime, UNIX_EPOCH};

use ipam::Timestamp;

/// The present.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The present as part of a file's name, UTC: `20260822_134501`.
pub(crate) fn compact() -> String {
    let digits: String = now()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    format!("{date}_{time}")
}
