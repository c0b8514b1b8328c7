//! One round: every question by packets, by `calicoctl explain`, and by what the stage says; all three must agree.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use model::Family;
use serde_json::Value;

use super::Tally;
use super::site::{Calicoctl, Site};
use super::stages::{PODS, PodSpec, Question, Stage, questions};
use crate::matrix::{Cell, Matrix};
use crate::probe::{Answer, Kind, probe};

/// How long one probe waits.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the node may take until packets go as they should. Probes of the first round may find the policy half-way.
const CONVERGE: Duration = Duration::from_secs(5);

/// Asks everything and compares.
pub(crate) fn run(site: &Site, stage: &Stage, tally: &mut Tally) -> Result<()> {
    let questions = questions();
    let packets = probe_until_right(site, stage, &questions, Family::V4)?;
    let mut predicted = Matrix::default();
    for (cell, answer) in explain_all(site, &questions)? {
        predicted.set(cell, answer);
    }
    print!(
        "{}",
        ordered(&packets, &questions).beside(
            "packets",
            &ordered(&predicted, &questions),
            "calicoctl explain"
        )
    );
    for (from, to, kind) in &questions {
        let cell = cell(from, to, *kind);
        let expected = Some(stage.expected(&cell.from, &cell.to, *kind));
        let (packet, prediction) = (packets.get(&cell), predicted.get(&cell));
        tally.check(
            packet == expected && prediction == expected,
            format_args!(
                "{} -> {} {kind}: packets {packet:?}, explain {prediction:?}, wanted {expected:?}",
                cell.from, cell.to
            ),
        );
    }
    compare_v6(site, stage, &questions, tally)
}

/// Pod to pod by IPv6, without a table: policies are about workloads, so all that differs is ICMP.
fn compare_v6(site: &Site, stage: &Stage, questions: &[Question], tally: &mut Tally) -> Result<()> {
    let questions: Vec<Question> = questions
        .iter()
        .filter(|(_, to, kind)| to.contains('/') && *kind != Kind::Icmp)
        .cloned()
        .collect();
    let packets = probe_until_right(site, stage, &questions, Family::V6)?;
    let before = tally.passed;
    for (cell, answer) in packets.cells() {
        let expected = stage.expected(&cell.from, &cell.to, cell.kind);
        tally.check(
            answer == expected,
            format_args!(
                "{} -> {} {} by IPv6: packets {answer:?}, wanted {expected:?}",
                cell.from, cell.to, cell.kind
            ),
        );
    }
    let held = tally.passed - before;
    println!(
        "  the same between pods by IPv6: {held} of {}",
        questions.len()
    );
    Ok(())
}

/// Asks until all is as the stage says, or time is up.
fn probe_until_right(
    site: &Site,
    stage: &Stage,
    questions: &[Question],
    family: Family,
) -> Result<Matrix> {
    let start = Instant::now();
    let mut packets = Matrix::default();
    let mut open: Vec<&Question> = questions.iter().collect();
    loop {
        for (cell, answer) in probe_all(site, &open, family)? {
            packets.set(cell, answer);
        }
        // What is as it should be is not asked again; what is not gets another chance until time is up.
        open.retain(|(from, to, kind)| {
            let cell = cell(from, to, *kind);
            packets.get(&cell) != Some(stage.expected(&cell.from, &cell.to, *kind))
        });
        if open.is_empty() || start.elapsed() > CONVERGE {
            return Ok(packets);
        }
    }
}

fn cell(from: &PodSpec, to: &str, kind: Kind) -> Cell {
    Cell {
        from: from.title(),
        to: to.to_owned(),
        kind,
    }
}

/// The same answers with rows and columns in the order of the questions.
fn ordered(matrix: &Matrix, questions: &[Question]) -> Matrix {
    let names: Vec<String> = PODS.iter().map(PodSpec::title).collect();
    let mut result = Matrix::with_order(&names);
    for (from, to, kind) in questions {
        let cell = cell(from, to, *kind);
        if let Some(answer) = matrix.get(&cell) {
            result.set(cell, answer);
        }
    }
    result
}

/// All probes at once: what waits for silence waits together.
fn probe_all(site: &Site, questions: &[&Question], family: Family) -> Result<Vec<(Cell, Answer)>> {
    let pods = site.pods();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (from, to, kind) in questions {
            let pod = pods
                .iter()
                .find(|pod| pod.spec == *from)
                .with_context(|| format!("pod {} does not run", from.title()))?;
            let (netns, addr) = (pod.host.netns(), site.address_of(to, family)?);
            running.push((
                cell(from, to, *kind),
                scope.spawn(move || probe(netns, *kind, addr, PATIENCE)),
            ));
        }
        running
            .into_iter()
            .map(|(cell, thread)| {
                let answer = thread.join().map_err(|_| anyhow!("a probe panicked"))??;
                Ok((cell, answer))
            })
            .collect()
    })
}

/// Every question to `calicoctl explain`, several at a time: each is a process.
fn explain_all(site: &Site, questions: &[Question]) -> Result<Vec<(Cell, Answer)>> {
    let mut asked = Vec::new();
    for (from, to, kind) in questions {
        let target = if to.contains('/') {
            to.clone()
        } else {
            site.address_of(to, Family::V4)?.to_string()
        };
        asked.push((cell(from, to, *kind), explain_words(from, target, *kind)));
    }
    let calicoctl = site.calicoctl();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = asked.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = asked
            .chunks(share)
            .map(|part| scope.spawn(|| explain_some(&calicoctl, part)))
            .collect();
        let mut answers = Vec::new();
        for thread in running {
            let part = thread
                .join()
                .map_err(|_| anyhow!("a thread that ran explain panicked"))?;
            answers.extend(part?);
        }
        Ok(answers)
    })
}

fn explain_some(
    calicoctl: &Calicoctl<'_>,
    asked: &[(Cell, Vec<String>)],
) -> Result<Vec<(Cell, Answer)>> {
    asked
        .iter()
        .map(|(cell, words)| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let text = calicoctl.run(&words)?;
            let answer =
                prediction(&text).with_context(|| format!("calicoctl {}", words.join(" ")))?;
            Ok((cell.clone(), answer))
        })
        .collect()
}

fn explain_words(from: &PodSpec, to: String, kind: Kind) -> Vec<String> {
    let (option, value) = match kind.port() {
        Some(port) => ("--port", format!("{port}/{kind}")),
        None => ("--icmp", "8/0".to_owned()),
    };
    ["explain", "-o", "json", "--from"]
        .map(str::to_owned)
        .into_iter()
        .chain([
            from.title(),
            "--to".to_owned(),
            to,
            option.to_owned(),
            value,
        ])
        .collect()
}

/// The verdict in `explain`'s JSON.
fn prediction(text: &str) -> Result<Answer> {
    let value: Value = serde_json::from_str(text).context("explain printed no JSON")?;
    let verdict = value["verdict"]
        .as_str()
        .context("explain's JSON has no word `verdict`")?;
    if value["oracle"]["agrees"] == Value::Bool(false) {
        bail!("the compiled policy and the oracle disagree: {text}");
    }
    match verdict.to_ascii_lowercase().as_str() {
        "allow" => Ok(Answer::Reached),
        "deny" => Ok(Answer::Silent),
        other => bail!("explain says {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read() {
        assert_eq!(
            prediction("{\"verdict\": \"allow\"}").expect("a verdict"),
            Answer::Reached
        );
        assert_eq!(
            prediction("{\"verdict\": \"Deny\"}").expect("a verdict"),
            Answer::Silent
        );
        assert!(prediction("{\"verdict\": \"maybe\"}").is_err());
        assert!(prediction("{}").is_err());
        assert!(prediction("allow").is_err());
        let torn = r#"{"verdict": "allow", "oracle": {"verdict": "deny", "agrees": false}}"#;
        assert!(prediction(torn).is_err());
    }
}
