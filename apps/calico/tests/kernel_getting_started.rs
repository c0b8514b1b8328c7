//! The page for new users, `docs/getting-started.md`, done word for word on a machine of its own: each command it shows is run, and prints
//! what the page says it prints. What it cannot have here, a package manager and systemd, is named in [`instead`].

#[expect(dead_code, reason = "the other test needs the rest")]
mod machine;

use std::cell::RefCell;
use std::net::Ipv4Addr;

use machine::{Machine, Program, until};

const PAGE: &str = include_str!("../../../docs/getting-started.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A command of the page.
#[derive(Debug)]
struct Step {
    command: String,
    /// What the page says it prints; `None` where it does not say.
    says: Option<String>,
}

/// The commands of the page's `sh` and `console` blocks, in their order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(kind)) => block = Some(kind),
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => steps.push(Step {
                command: line.split("  #").next().unwrap_or(line).trim().to_owned(),
                says: None,
            }),
            (Some("console"), None) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    says: Some(String::new()),
                }),
                (None, Some(step)) => {
                    let says = step.says.get_or_insert_default();
                    says.push_str(line);
                    says.push('\n');
                }
                (None, None) => {}
            },
            (Some(_) | None, None) => {}
        }
    }
    steps
}

/// What is done for a command that needs what the machine does not have.
enum Instead {
    /// Nothing: the machine was made with it.
    Nothing,
    StartAgent,
    StopAgent,
}

fn instead(command: &str) -> Option<Instead> {
    let of_the_machine = [
        "apt-get",
        "cargo ",
        "cp -a dist/",
        "install -m 644",
        "systemctl daemon-reload",
        "rm /etc/systemd",
    ];
    if of_the_machine
        .iter()
        .any(|begin| command.starts_with(begin))
    {
        return Some(Instead::Nothing);
    }
    match command {
        "systemctl enable --now calico-node" => Some(Instead::StartAgent),
        "systemctl disable --now calico-node" => Some(Instead::StopAgent),
        _ => None,
    }
}

/// The page's names and addresses, and those that they are here.
struct Names {
    /// The page's, ours; each is replaced by the other.
    pairs: RefCell<Vec<(String, String)>>,
}

impl Names {
    fn new(machine: &Machine) -> Names {
        // Containers of containerd's namespace `default`; in names of objects a dash is two.
        let ours = machine.container_id("");
        let pairs = [
            ("default--", ours.replace('-', "--")),
            ("default-web", format!("{ours}web")),
            ("default-client", format!("{ours}client")),
            ("host1-cni", "test--node-cni".to_owned()),
            ("host1", "test-node".to_owned()),
        ];
        let pairs = pairs.map(|(page, here)| (page.to_owned(), here));
        Names {
            pairs: pairs.to_vec().into(),
        }
    }

    fn to_here(&self, text: &str) -> String {
        let pairs = self.pairs.borrow();
        pairs.iter().fold(text.to_owned(), |text, (page, here)| {
            text.replace(page, here)
        })
    }

    fn to_page(&self, text: &str) -> String {
        let pairs = self.pairs.borrow();
        pairs.iter().fold(text.to_owned(), |text, (page, here)| {
            text.replace(here, page)
        })
    }

    /// Learns the addresses that stand in the same places of two texts.
    fn learn(&self, page: &str, here: &str) {
        for (page, here) in page.split_whitespace().zip(here.split_whitespace()) {
            let address = |word: &str| word.strip_suffix("/32")?.parse::<Ipv4Addr>().ok();
            if let (Some(page), Some(here)) = (address(page), address(here)) {
                let pair = (page.to_string(), here.to_string());
                self.pairs.borrow_mut().push(pair);
            }
        }
    }
}

/// What does not depend on the machine: widths of columns, names of interfaces, the random part of an IPv6 pool.
fn settled(text: &str) -> Vec<String> {
    let word = |word: &str| match word {
        _ if word.starts_with("fd") && word.contains("::") => "fd..::".to_owned(),
        _ if word.starts_with("cali") && !word.starts_with("calico") => "cali..".to_owned(),
        _ => word.to_owned(),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            line.split_whitespace()
                .map(word)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// How a shell command of the page is run here.
fn here(command: &str, names: &Names, plugins: &str) -> String {
    let command = names.to_here(command).replace("sudo ", "");
    let command = command
        .replace("dist/cni", plugins)
        .replace("examples/", &format!("{ROOT}/examples/"))
        // One overlay cannot lie on another.
        .replace("ctr run ", "ctr run --snapshotter native ")
        .replace("image import ", "image import --snapshotter native ");
    match command.strip_prefix("calico ") {
        Some(rest) => format!("{} {rest}", env!("CARGO_BIN_EXE_calico")),
        None => command,
    }
}

#[test]
fn the_page_is_true() {
    if let Some(missing) = machine::missing() {
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let machine = Machine::start();
    machine.start_containerd();
    let plugins = machine.plugins();
    let names = Names::new(&machine);
    let mut agent: Option<Program> = None;
    let mut shown = 0;
    for step in steps(PAGE) {
        let plain = step.command.replace("sudo ", "");
        match instead(&plain) {
            Some(Instead::Nothing) => continue,
            Some(Instead::StartAgent) => {
                agent = Some(machine.start_agent());
                continue;
            }
            Some(Instead::StopAgent) => {
                machine.kill(agent.take().expect("it was started"));
                continue;
            }
            None => {}
        }
        if let Some(command) = plain.strip_suffix('&') {
            let command = here(command, &names, &plugins);
            machine.start_program("sh", &["-c", &command]);
            continue;
        }
        // As a user who tries again: a container takes a moment to run, a policy to stand.
        let last = RefCell::new(String::new());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&step.command, || {
                let command = here(&step.command, &names, &plugins);
                let (ended_well, said) = machine.shell(&format!("cd /run && {command}"));
                let Some(page) = &step.says else {
                    last.replace(said);
                    return ended_well;
                };
                let addresses = step.command.contains("get workloadendpoints");
                if addresses && settled(page).len() == settled(&said).len() {
                    names.learn(page, &said);
                }
                let said = names.to_page(&said);
                let same = settled(&said) == settled(page);
                last.replace(said);
                same
            });
        }));
        if let Err(panic) = result {
            eprintln!(
                "the page says:\n{:?}\nbut it printed:\n{}",
                step.says,
                last.borrow()
            );
            std::panic::resume_unwind(panic);
        }
        shown += usize::from(step.says.is_some());
    }
    assert!(
        shown > 8,
        "the page shows commands with what they print: {shown}"
    );
    let tables = machine.ok(&["nft", "list", "tables"]);
    assert!(
        !tables.contains("calico"),
        "the machine was given back: {tables}"
    );
}
