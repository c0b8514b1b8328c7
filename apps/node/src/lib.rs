#![doc = include_str!("../README.md")]

pub mod agent;
pub mod args;
pub mod converge;
pub mod detect;
pub mod follow;
pub mod host;
pub mod install;
pub mod ledger;
mod locals;
pub mod options;
pub mod parameters;
pub mod probes;
pub mod setting_up;
pub mod settings;
pub mod startup;
pub mod status;
pub mod sweep;
pub mod uninstall;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use args::Command;
use datastore::AnyStore;
use setting_up::SetUp;
use settings::Settings;

/// Runs `calico-node` with the arguments after the program's name.
pub fn run(args: &[String]) -> ExitCode {
    let command = match Command::parse(args) {
        Ok(command) => command,
        Err(error) => {
            say_error(&format!("{error}\n\n{}", args::USAGE));
            return ExitCode::from(1);
        }
    };
    let env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let settings = Settings::new(env, &host::name());
    match perform(command, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&format!("{error:#}\n"));
            ExitCode::from(1)
        }
    }
}

fn perform(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Help => say(args::USAGE),
        Command::Version => {
            let own = env!("CARGO_PKG_VERSION");
            say(&format!("{}\ncalico-rs {own}\n", model::COMPATIBLE_VERSION))
        }
        Command::Live => probe(settings, "/liveness"),
        Command::Ready => probe(settings, "/readiness"),
        Command::Uninstall => uninstall::run(settings),
        Command::Startup => {
            start_logs(settings);
            startup::run(settings, &open_store(settings)?, &host::facts()?)
        }
        Command::Felix => {
            start_logs(settings);
            agent(settings, open_store(settings)?, Some(Ok(())))
        }
        Command::Run => {
            start_logs(settings);
            prefer_small_pages();
            // Refused here, nothing was written yet.
            converge::check()?;
            let store = open_store(settings)?;
            let started = match &store {
                // What a store on this machine refuses is told before anything is written.
                AnyStore::Embedded(_) | AnyStore::Memory(_) => {
                    Some(startup::run(settings, &store, &host::facts()?))
                }
                // One behind a network may take its time, and unknown interfaces are to be shut meanwhile.
                AnyStore::Etcd(_) | AnyStore::Kubernetes(_) => None,
            };
            match started {
                Some(Err(error)) if !startup::may_pass(&error) => Err(error),
                started => agent(settings, store, started),
            }
        }
    }
}

/// Asks the kernel for no huge pages from here on: the heap of an idle agent touches a little of many of them, and each
/// counts whole (`PR_SET_THP_DISABLE`, prctl(2)). A kernel that refuses costs memory and nothing else.
fn prefer_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as they are");
    }
}

/// Runs the agent, after what may be left to do of the start-up: `started` is how its first attempt ended, if there was one.
fn agent(
    settings: &Settings,
    store: AnyStore,
    started: Option<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let probes = probes::Probes::new(Instant::now()).context("metrics")?;
    probes::serve(&probes, settings.health, settings.metrics)?;
    let parameters = parameters::Parameters::new(settings)?;
    let mut agent = agent::Agent::start(settings, parameters, store.clone(), probes)?;
    let settings = settings.clone();
    let attempt = move || startup::run(&settings, &store, &host::facts()?);
    match agent.set_up(started, attempt)? {
        SetUp::Done => agent.run(),
        SetUp::Stopped => Ok(()),
    }
}

fn start_logs(settings: &Settings) {
    let json = settings
        .env
        .get("CALICO_LOG_FORMAT")
        .is_some_and(|v| v == "json");
    let format = if json {
        service::logs::Format::Json
    } else {
        service::logs::Format::Text
    };
    service::logs::init(&settings.log_level, format);
}

fn open_store(settings: &Settings) -> anyhow::Result<AnyStore> {
    let request = datastore::StoreRequest {
        environment: settings.env.clone(),
        ..Default::default()
    };
    let choice = datastore::StoreChoice::of(&request)?;
    Ok(choice.open()?)
}

/// Asks the agent of this host over its health endpoint.
fn probe(settings: &Settings, path: &str) -> anyhow::Result<()> {
    let address = settings
        .health
        .context("health is switched off (FELIX_HEALTHENABLED=false)")?;
    let answer = get(address, path).with_context(|| format!("no agent answers on {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") {
        return say(body);
    }
    anyhow::bail!("{}", body.trim())
}

/// True if an agent answers on this host, well or not.
fn probe_quietly(settings: &Settings) -> bool {
    settings
        .health
        .is_some_and(|address| get(address, "/liveness").is_ok())
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let timeout = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to write to standard output")
}

fn say_error(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = write!(std::io::stderr(), "calico-node: {text}");
}
