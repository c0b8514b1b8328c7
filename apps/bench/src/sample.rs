//! Samples and how they are told.

use std::time::Duration;

/// Durations of one kind of step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// The duration that a share of the samples stays below; zero without samples.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below the number of samples"
        )]
        let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }
}

/// `p50 1.234 ms  p99 5.678 ms  n 100`
impl std::fmt::Display for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |share| self.quantile(share).as_secs_f64() * 1e3;
        write!(
            f,
            "p50 {:8.3} ms  p99 {:8.3} ms  n {}",
            ms(0.5),
            ms(0.99),
            self.0.len()
        )
    }
}

/// One line of a report: what, and its figure.
pub(crate) fn line(what: &str, figure: impl std::fmt::Display) {
    println!("  {what:<58} {figure}");
}

/// The heading of a measure.
pub(crate) fn heading(title: &str) {
    println!("\n{title}");
}

/// CPU seconds that children of this process used, so far.
pub(crate) fn children_cpu() -> f64 {
    // Fields 16 and 17 of proc_pid_stat(5), in clock ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    fields
        .skip(13)
        .take(2)
        .filter_map(|f| f.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}
