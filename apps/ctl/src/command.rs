//! The command line as `clap` has it, under the name that this program was started by, with examples at the end of its help.

use clap::{Command, CommandFactory};

use crate::called_as::Program;
use crate::cli::Cli;
use crate::examples;

/// The whole command line.
pub(crate) fn command(program: Program) -> Command {
    let name = program.typed();
    let command = Cli::command().name(name).bin_name(name);
    with_examples(command, &mut Vec::new(), program)
}

/// Ends the long help of every verb with its examples.
fn with_examples(command: Command, path: &mut Vec<String>, program: Program) -> Command {
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let mut command = command;
    for name in verbs {
        command = command.mut_subcommand(&name, |verb| {
            path.push(name.clone());
            let verb = with_examples(verb, path, program);
            path.pop();
            verb
        });
    }
    let lines = examples::of(path);
    if lines.is_empty() {
        return command;
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|line| examples::shown(line, program))
        .collect();
    command.after_long_help(format!("Examples:\n{}", lines.join("\n")))
}

/// The paths of all verbs that do something themselves, in order.
#[cfg(test)]
pub(crate) fn leaves(command: &Command) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for verb in command.get_subcommands() {
        let name = verb.get_name().to_owned();
        let inner = leaves(verb);
        if inner.is_empty() {
            paths.push(vec![name]);
        } else {
            let whole = |path: Vec<String>| [vec![name.clone()], path].concat();
            paths.extend(inner.into_iter().map(whole));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_examples_that_can_be_typed() {
        let all = command(Program::Calicoctl);
        for path in leaves(&all) {
            let path: Vec<String> = path;
            let lines = examples::of(&path);
            assert!(
                (2..=4).contains(&lines.len()),
                "{}: give it 2 to 4 examples in examples.rs",
                path.join(" ")
            );
            for line in lines {
                let words = examples::words(line);
                let verb = words.get(1..).unwrap_or_default();
                assert!(verb.starts_with(&path), "{line}: of another verb");
                let parsed = all.clone().try_get_matches_from(&words);
                assert!(
                    parsed.is_ok(),
                    "{line}: {}",
                    parsed.err().map_or_else(String::new, |e| e.to_string())
                );
            }
        }
    }
}
