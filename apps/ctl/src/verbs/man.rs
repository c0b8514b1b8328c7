//! `man`: one manual page for each verb.

use std::path::Path;

use clap::Command;
use roff::{Roff, bold, roman};

use crate::called_as::Program;
use crate::cli::ManArgs;
use crate::command::command;
use crate::examples;
use crate::outcome::{Failure, Status};
use crate::session::Session;

pub(crate) fn run(args: &ManArgs, session: &mut Session<'_>) -> Result<Status, Failure> {
    let cannot = |path: &Path, error: std::io::Error| {
        Failure::general(format!("failed to write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(&args.directory).map_err(|error| cannot(&args.directory, error))?;
    let pages = pages();
    for (name, page) in &pages {
        let path = args.directory.join(name);
        std::fs::write(&path, page).map_err(|error| cannot(&path, error))?;
    }
    session.line(format!(
        "Wrote {} manual pages to {}",
        pages.len(),
        args.directory.display()
    ))?;
    Ok(Status::Done)
}

/// The name and text of every page: of the program, of each group of verbs and of each verb.
fn pages() -> Vec<(String, String)> {
    let mut root = command(Program::Calicoctl).disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut Vec::new(), &mut pages);
    pages
}

fn collect(command: &Command, path: &mut Vec<String>, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{}.1", title(path)), page(command, path)));
    for verb in command.get_subcommands() {
        path.push(verb.get_name().to_owned());
        collect(verb, path, pages);
        path.pop();
    }
}

fn title(path: &[String]) -> String {
    let names = std::iter::once("calicoctl").chain(path.iter().map(String::as_str));
    names.collect::<Vec<_>>().join("-")
}

fn page(command: &Command, path: &[String]) -> String {
    let title = title(path);
    // Examples have a section of their own.
    let plain = command.clone().after_long_help("").display_name(&title);
    let man = clap_mangen::Man::new(plain)
        .title(title.to_uppercase())
        .source(format!("calico-rs {}", env!("CARGO_PKG_VERSION")))
        .manual("Calico");
    let mut bytes = Vec::new();
    let sections = [
        clap_mangen::Man::render_title,
        clap_mangen::Man::render_name_section,
        clap_mangen::Man::render_synopsis_section,
        clap_mangen::Man::render_description_section,
        clap_mangen::Man::render_options_section,
    ];
    for section in sections {
        // Writing to memory cannot fail.
        let _ = section(&man, &mut bytes);
    }
    let mut page = String::from_utf8_lossy(&bytes).into_owned();
    page += &verbs(command, path);
    page += &shown_examples(path);
    if path.is_empty() {
        page += &whole_program();
    }
    page + &see_also(path)
}

fn verbs(command: &Command, path: &[String]) -> String {
    let mut roff = Roff::new();
    if command.has_subcommands() {
        roff.control("SH", ["COMMANDS"]);
    }
    for verb in command.get_subcommands() {
        let page = title(&[path, &[verb.get_name().to_owned()]].concat());
        let about = verb
            .get_about()
            .map_or_else(String::new, ToString::to_string);
        roff.control("TP", []);
        roff.text([bold(page), roman("(1)")]);
        roff.text([roman(about)]);
    }
    roff.render()
}

fn shown_examples(path: &[String]) -> String {
    let examples = examples::of(path);
    let mut roff = Roff::new();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for example in examples {
        roff.control("PP", []);
        roff.control("nf", []);
        roff.text([roman(*example)]);
        roff.control("fi", []);
    }
    roff.render()
}

/// What holds for all verbs.
fn whole_program() -> String {
    const ENVIRONMENT: [(&str, &str); 7] = [
        (
            "DATASTORE_TYPE",
            "The store: embedded, etcdv3 or kubernetes.",
        ),
        ("CALICO_DATASTORE_FILE", "The file of the embedded store."),
        (
            "ETCD_ENDPOINTS",
            "Where etcd is, as URLs with commas between.",
        ),
        (
            "ETCD_CA_CERT_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE",
            "Certificates for etcd.",
        ),
        ("ETCD_USERNAME, ETCD_PASSWORD", "Who we are to etcd."),
        ("KUBECONFIG", "How the Kubernetes API server is reached."),
        (
            "K8S_API_ENDPOINT, K8S_API_TOKEN, K8S_CA_FILE",
            "The same, one by one.",
        ),
    ];
    const EXITS: [(&str, &str); 8] = [
        ("0", "It is done."),
        (
            "1",
            "It failed; with --exit-codes=extended, in a way that has no number below.",
        ),
        ("2", "The command line is wrong."),
        ("3", "An object or file is not there."),
        ("5", "The store cannot be reached."),
        ("6", "An object is not valid."),
        (
            "7",
            "Someone else changed the object, or it exists already.",
        ),
        ("8", "A check found something wrong."),
    ];
    let mut roff = Roff::new();
    let mut list = |heading: &str, items: &[(&str, &str)]| {
        roff.control("SH", [heading]);
        for (name, text) in items {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*text)]);
        }
    };
    list("ENVIRONMENT", &ENVIRONMENT);
    let file = "How the store is reached, in YAML or JSON; it goes before the environment, and --datastore before both.";
    list("FILES", &[(crate::cli::DEFAULT_CONFIG, file)]);
    list("EXIT STATUS", &EXITS);
    roff.render()
}

fn see_also(path: &[String]) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let above = match path.split_last() {
        Some((_, above)) => bold(title(above)),
        None => bold("kubectl"),
    };
    roff.text([above, roman("(1), "), bold("calico-node"), roman("(8)")]);
    roff.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::leaves;

    #[test]
    fn every_verb_has_a_page() {
        let pages = pages();
        for path in leaves(&command(Program::Calicoctl)) {
            let name = format!("{}.1", title(&path));
            let page = pages.iter().find(|(page, _)| *page == name);
            let (_, text) = page.unwrap_or_else(|| panic!("{name} is missing"));
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXAMPLES",
                "SEE ALSO",
            ] {
                let heading = text.contains(&format!(".SH {section}\n"))
                    || text.contains(&format!(".SH \"{section}\"\n"));
                assert!(heading, "{name}: no {section}");
            }
        }
        assert!(pages.iter().any(|(name, _)| name == "calicoctl.1"));
    }
}
