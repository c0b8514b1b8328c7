//! The fewest messages that turn one chain's rules into others: appended, inserted, replaced and deleted by handle, or
//! all at once where that is shorter or the handles are not known.

use super::batch::{Op, Position};
use super::names::ChainName;
use super::observed::ObservedRule;
use super::rule::Rule;

/// Beyond this many comparisons the middle of two chains is taken as entirely different.
const MAX_COMPARISONS: usize = 1 << 20;

/// The changes of a chain; none if the rules are equal.
pub(crate) fn between(chain: &ChainName, desired: &[Rule], observed: &[ObservedRule]) -> Vec<Op> {
    let whole = || {
        let flush = (!observed.is_empty()).then(|| Op::FlushChain(chain.clone()));
        flush
            .into_iter()
            .chain(desired.iter().map(|rule| add(chain, Position::End, rule)))
            .collect()
    };
    match by_handle(chain, desired, observed) {
        Some(edits) if edits.len() <= desired.len() + 1 => edits,
        Some(_) | None => whole(),
    }
}

fn add(chain: &ChainName, position: Position, rule: &Rule) -> Op {
    Op::AddRule {
        chain: chain.clone(),
        position,
        rule: rule.clone(),
    }
}

fn same(desired: &Rule, observed: &ObservedRule) -> bool {
    observed.rule.as_ref() == Some(desired)
}

/// `None` if a handle that is needed is not known.
fn by_handle(chain: &ChainName, desired: &[Rule], observed: &[ObservedRule]) -> Option<Vec<Op>> {
    let prefix = desired
        .iter()
        .zip(observed)
        .take_while(|(d, o)| same(d, o))
        .count();
    let (desired, observed) = (&desired[prefix..], &observed[prefix..]);
    let suffix = desired
        .iter()
        .rev()
        .zip(observed.iter().rev())
        .take_while(|(d, o)| same(d, o))
        .count();
    let behind = observed[observed.len() - suffix..].first();
    let (desired, observed) = (
        &desired[..desired.len() - suffix],
        &observed[..observed.len() - suffix],
    );

    let mut edits = Vec::new();
    let (mut d, mut o) = (0, 0);
    for (kept_d, kept_o) in kept(desired, observed)
        .into_iter()
        .chain([(desired.len(), observed.len())])
    {
        let replaced = (kept_d - d).min(kept_o - o);
        for (rule, old) in desired[d..].iter().zip(&observed[o..]).take(replaced) {
            edits.push(Op::ReplaceRule {
                chain: chain.clone(),
                handle: old.handle?,
                rule: rule.clone(),
            });
        }
        for old in &observed[o + replaced..kept_o] {
            edits.push(Op::DeleteRule {
                chain: chain.clone(),
                handle: old.handle?,
            });
        }
        if kept_d > d + replaced {
            let position = match observed.get(kept_o).or(behind) {
                Some(next) => Position::Before(next.handle?),
                None => Position::End,
            };
            edits.extend(
                desired[d + replaced..kept_d]
                    .iter()
                    .map(|rule| add(chain, position, rule)),
            );
        }
        (d, o) = (kept_d + 1, kept_o + 1);
    }
    Some(edits)
}

/// Pairs of equal rules that can stay in place: a longest common subsequence.
fn kept(desired: &[Rule], observed: &[ObservedRule]) -> Vec<(usize, usize)> {
    let (rows, columns) = (desired.len(), observed.len());
    if rows == 0 || columns == 0 || rows.saturating_mul(columns) > MAX_COMPARISONS {
        return Vec::new();
    }
    // length[d][o]: how many can stay of desired[d..] and observed[o..].
    let mut length = vec![vec![0u32; columns + 1]; rows + 1];
    for d in (0..rows).rev() {
        for o in (0..columns).rev() {
            length[d][o] = if same(&desired[d], &observed[o]) {
                length[d + 1][o + 1] + 1
            } else {
                length[d + 1][o].max(length[d][o + 1])
            };
        }
    }
    let (mut d, mut o) = (0, 0);
    let mut pairs = Vec::new();
    while d < rows && o < columns {
        if same(&desired[d], &observed[o]) {
            pairs.push((d, o));
            (d, o) = (d + 1, o + 1);
        } else if length[d + 1][o] >= length[d][o + 1] {
            d += 1;
        } else {
            o += 1;
        }
    }
    pairs
}
