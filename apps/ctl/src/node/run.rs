//! `node run`: starts the agent of this host, which is part of this very program, with the settings of the command line.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{agents, health};
use crate::cli::{Global, NodeRunArgs};
use crate::connect::{choose, environment_of};
use crate::outcome::{Failure, Status};
use crate::session::Session;

/// How long the agent may take to get ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// What is never printed.
const SECRETS: [&str; 2] = ["PASSWORD", "TOKEN"];

/// What is started.
struct Start {
    program: PathBuf,
    args: Vec<&'static str>,
    /// On top of the environment that is there.
    environment: BTreeMap<String, String>,
    log: PathBuf,
}

pub(crate) fn run(
    args: &NodeRunArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let (program, arguments) = agent_program()?;
    let start = Start {
        program,
        args: arguments,
        environment: environment(args, global, session)?,
        log: args.log_dir.join("calico-node.log"),
    };
    if args.node_image.is_some() {
        session.complain("note: --node-image is not needed: the agent is part of this program");
    }
    if args.dryrun {
        return explain(&start, args, session);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::general(
            "Need super user privileges: Operation not permitted",
        ));
    }
    if let Some(pid) = agents().first() {
        return Err(Failure::general(format!(
            "Calico process is running already, as process {pid}: stop it first"
        )));
    }
    session.line("Running the following command to start calico-node:")?;
    session.line(format!("\n{start}\n"))?;
    session.out.flush()?;
    if args.init_system {
        // The init system supervises this process, so it becomes the agent.
        let error = start.command().exec();
        return Err(failed(&start, &error));
    }
    let child = start.detached()?;
    wait(child, &start, session)
}

/// The agent beside this program, or this program as the agent.
fn agent_program() -> Result<(PathBuf, Vec<&'static str>), Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::general(format!("cannot tell where this program is: {error}")))?;
    if own.file_name().is_some_and(|name| name == "calico") {
        return Ok((own, vec!["component", "node"]));
    }
    let beside = own.with_file_name("calico-node");
    let program = Some(beside)
        .filter(|path| path.is_file())
        .or_else(|| crate::programs::find("calico-node"));
    // Where there is none, the error of starting it says so.
    Ok((program.unwrap_or_else(|| "calico-node".into()), Vec::new()))
}

/// What the agent is told, in upstream's variables.
fn environment(
    args: &NodeRunArgs,
    global: &Global,
    session: &Session<'_>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = environment_of(&args.config.config)?;
    let choice = choose(&args.config.config, global, session)?;
    environment.insert("DATASTORE_TYPE".to_owned(), choice.kind.word().to_owned());
    let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
    if choice.kind == datastore::StoreKind::Embedded {
        set("CALICO_DATASTORE_FILE", choice.path.display().to_string());
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => own_name()?,
    };
    set("NODENAME", name);
    set("CALICO_NETWORKING_BACKEND", backend(&args.backend)?);
    if args.no_default_ippools {
        set("NO_DEFAULT_POOLS", "true".to_owned());
    }
    for (flag, name, value) in [("--ip", "IP", &args.ip), ("--ip6", "IP6", &args.ip6)] {
        if let Some(text) = value {
            set(name, address(flag, text)?);
        }
    }
    for (name, method) in [
        ("IP_AUTODETECTION_METHOD", &args.ip_autodetection_method),
        ("IP6_AUTODETECTION_METHOD", &args.ip6_autodetection_method),
    ] {
        if is_asked_for(method)? {
            set(name, method.clone());
        }
    }
    if let Some(text) = &args.as_number {
        set("AS", as_number(text)?);
    }
    if let Some(file) = &args.felix_config {
        set("CALICO_FELIX_CONFIG_FILE", file.display().to_string());
    }
    Ok(environment)
}

fn own_name() -> Result<String, Failure> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().trim().to_lowercase();
    if name.is_empty() {
        return Err(Failure::general(
            "error executing command: unable to determine node name: give --name",
        ));
    }
    Ok(name)
}

fn backend(word: &str) -> Result<String, Failure> {
    match word {
        "bird" | "none" => Ok(word.to_owned()),
        _ => Err(Failure::usage(format!(
            "error executing command: unknown backend '{word}': use bird or none"
        ))),
    }
}

fn address(flag: &str, text: &str) -> Result<String, Failure> {
    if text == "autodetect" {
        return Ok(text.to_owned());
    }
    let addr: IpAddr = text.parse().map_err(|_| {
        Failure::usage(format!(
            "Error executing command: invalid IP address specified: {text}"
        ))
    })?;
    if addr.is_ipv6() != (flag == "--ip6") {
        return Err(Failure::usage(format!(
            "error executing command: {flag} is wrong IP version"
        )));
    }
    Ok(addr.to_string())
}

/// Whether a method of finding the address is another than the default.
fn is_asked_for(method: &str) -> Result<bool, Failure> {
    const METHODS: [&str; 4] = ["can-reach=", "interface=", "skip-interface=", "cidr="];
    if method == "first-found" {
        return Ok(false);
    }
    if METHODS.iter().any(|known| method.starts_with(known)) {
        return Ok(true);
    }
    Err(Failure::usage(format!(
        "error executing command: invalid IP autodetection method: {method}: use first-found, can-reach=ADDRESS, interface=REGEX, skip-interface=REGEX or cidr=NETWORK"
    )))
}

/// A number, or two of 16 bits with a dot between (RFC 5396).
fn as_number(text: &str) -> Result<String, Failure> {
    let number = match text.split_once('.') {
        None => text.parse::<u32>().ok(),
        Some((high, low)) => match (high.parse::<u16>(), low.parse::<u16>()) {
            (Ok(high), Ok(low)) => Some(u32::from(high) << 16 | u32::from(low)),
            (_, _) => None,
        },
    };
    number.map(|number| number.to_string()).ok_or_else(|| {
        Failure::usage(format!(
            "Error executing command: invalid AS Number specified: {text}"
        ))
    })
}

fn explain(
    start: &Start,
    args: &NodeRunArgs,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    session.line("Use the following command to start calico-node:")?;
    session.line(format!("\n{start}\n"))?;
    if args.init_system {
        session
            .line("It stays in the foreground; it ends at SIGTERM and leaves policy in force.")?;
    } else {
        session.line(
            "If you are running calico-node in an init system, use the --init-system flag,",
        )?;
        session.line("or the unit deploy/systemd/calico-node.service.")?;
    }
    Ok(Status::Done)
}

/// As a shell would take it; secrets are left out.
impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in &self.environment {
            let is_secret = SECRETS.iter().any(|word| name.contains(word));
            let value = if is_secret { "<hidden>" } else { value };
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program.display().to_string()))?;
        for arg in &self.args {
            write!(f, " {arg}")?;
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn failed(start: &Start, error: &std::io::Error) -> Failure {
    Failure::general(format!(
        "Error executing command: {}: {error}",
        start.program.display()
    ))
}

impl Start {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(&self.environment);
        command
    }

    /// Starts it in a group of its own, so that what ends this terminal's programs does not end it.
    fn detached(&self) -> Result<Child, Failure> {
        let unwritable = |error: std::io::Error| {
            Failure::general(format!("cannot write {}: {error}", self.log.display()))
        };
        if let Some(directory) = self.log.parent() {
            std::fs::create_dir_all(directory).map_err(unwritable)?;
        }
        let open = File::options().create(true).append(true).open(&self.log);
        let log = open.map_err(unwritable)?;
        let errors = log.try_clone().map_err(unwritable)?;
        self.command()
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| failed(self, &error))
    }
}

/// Waits until the agent says that it is ready, or ends.
fn wait(mut child: Child, start: &Start, session: &mut Session<'_>) -> Result<Status, Failure> {
    let mut environment = session.environment.clone();
    environment.extend(start.environment.clone());
    session.line("Process started, waiting until it is ready.\n")?;
    session.out.flush()?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Err(Failure::general(format!(
                "error executing command: calico-node has terminated ({status}):\n{}",
                tail(&start.log)
            )));
        }
        if health("/readiness", &environment).is_some_and(|(is_ready, _)| is_ready) {
            session.line("Calico node started successfully")?;
            return Ok(Status::Done);
        }
        std::thread::park_timeout(PAUSE);
    }
    Err(Failure::general(format!(
        "calico-node runs as process {} but is not ready after {} s; its log is {}:\n{}",
        child.id(),
        PATIENCE.as_secs(),
        start.log.display(),
        tail(&start.log)
    )))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    const LINES: usize = 10;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!(" | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses() {
        assert_eq!(as_number("64512").unwrap(), "64512");
        assert_eq!(as_number("1.10").unwrap(), "65546");
        for text in ["", "x", "4294967296", "1.65536", "1.2.3"] {
            assert!(as_number(text).is_err(), "{text}");
        }
        assert!(address("--ip", "fd00::1").is_err() && address("--ip6", "10.0.0.1").is_err());
        assert_eq!(address("--ip", "autodetect").unwrap(), "autodetect");
        assert!(is_asked_for("guess").is_err() && !is_asked_for("first-found").unwrap());
    }

    #[test]
    fn a_command_can_be_pasted_and_tells_no_secret() {
        let start = Start {
            program: "/opt/a b/calico".into(),
            args: vec!["component", "node"],
            environment: [("ETCD_PASSWORD", "s3cret"), ("IP", "it's")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            log: PathBuf::new(),
        };
        assert_eq!(
            start.to_string(),
            r"ETCD_PASSWORD='<hidden>' IP='it'\''s' '/opt/a b/calico' component node"
        );
    }
}
