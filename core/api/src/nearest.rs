//! Finds the known name that a mistyped one was meant to be.

/// The candidate nearest to `word`, if one is near enough to be meant: other case, or a third of its letters wrong at most.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer words are no typing mistakes, and the distance costs the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance of the two words in lower case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["selector", "ingress", "egress", "cidr", "natOutgoing"];
        assert_eq!(nearest("Selector", known), Some("selector"));
        assert_eq!(nearest("ingres", known), Some("ingress"));
        assert_eq!(nearest("natoutgoing", known), Some("natOutgoing"));
        assert_eq!(nearest("cdir", known), None);
        assert_eq!(nearest("spec", known), None);
        assert_eq!(nearest("", known), None);
    }
}
