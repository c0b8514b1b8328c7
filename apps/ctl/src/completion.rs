//! Completion of commands: the scripts for shells, and what `kubectl` asks of a plugin.

use clap::{Arg, Command};
use clap_complete::Shell;

use crate::called_as::Program;
use crate::command::command;
use crate::suggest::kind_words;

/// The script that completes commands in a shell.
pub(crate) fn script(shell: Shell) -> String {
    let mut command = command(Program::Calicoctl);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "calicoctl", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    // The generator for fish leaves arguments without a flag alone.
    if shell == Shell::Fish {
        let kinds = kind_words().join(" ");
        for verb in ["get", "delete", "patch", "label"] {
            script += &format!(
                "complete -c calicoctl -n \"__fish_calicoctl_using_subcommand {verb}\" -f -a \"{kinds}\"\n"
            );
        }
    }
    script
}

/// What the last word, which may be empty, can become, given the words before it; each with what it is.
pub(crate) fn candidates(command: &Command, words: &[String]) -> Vec<(String, String)> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let (command, positionals, pending) = place(command, before);
    let about = |text: Option<&clap::builder::StyledStr>| {
        let text = text.map_or_else(String::new, ToString::to_string);
        text.lines().next().unwrap_or_default().to_owned()
    };
    let values = |arg: &Arg, prefix: &str| -> Vec<(String, String)> {
        let values = arg.get_value_parser().possible_values();
        let named = values.into_iter().flatten();
        named
            .map(|value| (format!("{prefix}{}", value.get_name()), String::new()))
            .collect()
    };
    let all = if let Some(arg) = pending {
        values(arg, "")
    } else if let Some((flag, _)) = last.split_once('=').filter(|_| last.starts_with("--")) {
        let arg = flag_of(command, flag);
        arg.map_or_else(Vec::new, |arg| values(arg, &format!("{flag}=")))
    } else if last.starts_with('-') {
        let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
        flags
            .filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help()))))
            .collect()
    } else {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let verbs = verbs.map(|verb| (verb.get_name().to_owned(), about(verb.get_about())));
        let positional = command.get_positionals().nth(positionals);
        verbs
            .chain(positional.into_iter().flat_map(|arg| values(arg, "")))
            .collect()
    };
    all.into_iter()
        .filter(|(candidate, _)| candidate.starts_with(last.as_str()))
        .collect()
}

/// The verb that words lead to, how many arguments it has got, and the flag that waits for its value.
fn place<'a>(root: &'a Command, words: &[String]) -> (&'a Command, usize, Option<&'a Arg>) {
    let (mut command, mut positionals, mut pending) = (root, 0, None);
    for word in words {
        if pending.take().is_some() {
            continue;
        }
        if word.starts_with('-') && word.len() > 1 {
            let waits = |arg: &&Arg| arg.get_action().takes_values();
            pending = flag_of(command, word).filter(waits);
        } else if let Some(verb) = command.find_subcommand(word) {
            (command, positionals) = (verb, 0);
        } else {
            positionals += 1;
        }
    }
    (command, positionals, pending)
}

/// The flag that a word is, whole.
fn flag_of<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let long = arg
            .get_long()
            .is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = arg
            .get_short()
            .is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()));
        long || short
    })
}
