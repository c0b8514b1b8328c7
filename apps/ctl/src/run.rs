//! From the arguments of a process to its exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufWriter, IsTerminal};
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::called_as::Program;
use crate::cli::{Cli, ClusterVerb, DatastoreVerb, Global, IpamVerb, MigrateVerb, NodeVerb, Verb};
use crate::command::command;
use crate::migrate::lock::Readiness;
use crate::outcome::{ExitCodes, Failure, Status};
use crate::session::{Output, Session};
use crate::{addresses, cluster, completion, explain, migrate, node, verbs};

/// Runs calicoctl on the arguments of a process, its own name first, with the process's streams and environment.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let stdout = std::io::stdout();
    let output = if stdout.is_terminal() {
        Output::Terminal
    } else {
        Output::Other
    };
    let errors = if std::io::stderr().is_terminal() {
        Output::Terminal
    } else {
        Output::Other
    };
    let mut out = BufWriter::new(stdout.lock());
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut session = Session {
        out: &mut out,
        err: &mut std::io::stderr().lock(),
        stdin: &mut std::io::stdin().lock(),
        environment,
        output,
        errors,
    };
    ExitCode::from(run_with(args, &mut session))
}

/// Runs calicoctl on these arguments in this session; returns the exit code.
pub fn run_with(args: Vec<OsString>, session: &mut Session<'_>) -> u8 {
    let program = Program::of(&args);
    if program == Program::KubectlComplete {
        return complete(&args, session);
    }
    let codes = requested_codes(&args);
    let parsed = command(program)
        .try_get_matches_from(args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let (outcome, codes) = match parsed {
        Ok(cli) => {
            let codes = cli.global.exit_codes;
            (dispatch(&cli, session), codes)
        }
        Err(error) => (usage(&error, session), codes),
    };
    let flushed = session.out.flush().map_err(Failure::from);
    match outcome.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status.code(codes),
        Err(failure) => {
            // A reader that went away has nothing to be told.
            if !failure.text.is_empty() {
                session.complain(&failure.text);
            }
            failure.status.code(codes)
        }
    }
}

/// Answers kubectl, which has the words of a command line after its own: a candidate a line, then what the shell should do
/// where there is none (4: no files, 0: files), as kubectl's own completion says it.
fn complete(args: &[OsString], session: &mut Session<'_>) -> u8 {
    let words: Vec<String> = args
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut command = command(Program::KubectlComplete);
    command.build();
    let candidates = completion::candidates(&command, &words);
    let mut text = String::new();
    for (candidate, about) in &candidates {
        let tab = if about.is_empty() { "" } else { "\t" };
        text += &format!("{candidate}{tab}{about}\n");
    }
    text += if candidates.is_empty() {
        ":0\n"
    } else {
        ":4\n"
    };
    let written = session.print(&text);
    let flushed = session.out.flush();
    u8::from(written.is_err() || flushed.is_err())
}

/// `--exit-codes`, for command lines that cannot be read otherwise.
fn requested_codes(args: &[OsString]) -> ExitCodes {
    let texts: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let joined = texts.contains(&"--exit-codes=extended");
    let apart = texts
        .windows(2)
        .any(|pair| pair == ["--exit-codes", "extended"]);
    if joined || apart {
        ExitCodes::Extended
    } else {
        ExitCodes::Upstream
    }
}

fn usage(error: &clap::Error, session: &mut Session<'_>) -> Result<Status, Failure> {
    let text = error.render().to_string();
    let asked_for_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if !asked_for_help {
        return Err(Failure::usage(text.trim_end()));
    }
    session.print(&text)?;
    Ok(Status::Done)
}

fn dispatch(cli: &Cli, session: &mut Session<'_>) -> Result<Status, Failure> {
    let global = &cli.global;
    start_logs(&global.log_level)?;
    if let Some(context) = &global.context {
        // Upstream's name of it; whoever connects to Kubernetes reads it.
        let name = "K8S_CURRENT_CONTEXT".to_owned();
        session.environment.insert(name, context.clone());
    }
    match &cli.verb {
        Verb::Create(args) => verbs::write::create(args, global, session),
        Verb::Apply(args) => verbs::write::apply(args, global, session),
        Verb::Replace(args) => verbs::write::replace(args, global, session),
        Verb::Validate(args) => verbs::write::validate(args, session),
        Verb::Delete(args) => verbs::delete::run(args, global, session),
        Verb::Get(args) => verbs::get::run(args, global, session),
        Verb::Patch(args) => verbs::patch::run(args, global, session),
        Verb::Label(args) => verbs::label::run(args, global, session),
        Verb::Explain(args) => explain::run(args, global, session),
        Verb::Ipam(IpamVerb::Check(args)) => addresses::check::run(args, global, session),
        Verb::Ipam(IpamVerb::Release(args)) => addresses::release::run(args, global, session),
        Verb::Ipam(IpamVerb::Show(args)) => addresses::show::run(args, global, session),
        Verb::Ipam(IpamVerb::Configure(args)) => addresses::configure::run(args, global, session),
        Verb::Ipam(IpamVerb::Split(args)) => addresses::split::run(args, global, session),
        Verb::Datastore(DatastoreVerb::Backup(args)) => verbs::backup::run(args, global, session),
        Verb::Datastore(DatastoreVerb::Migrate(verb)) => migrate(verb, global, session),
        Verb::Datastore(DatastoreVerb::MigratePolicyNames(args)) => {
            verbs::policy_names::run(args, global, session)
        }
        Verb::Node(NodeVerb::Status) => node::status::run(session),
        Verb::Node(NodeVerb::Diags(args)) => node::diags::run(args, session),
        Verb::Node(NodeVerb::Checksystem(args)) => node::checksystem::run(args, session),
        Verb::Node(NodeVerb::Run(args)) => node::run::run(args, global, session),
        Verb::Cluster(ClusterVerb::Diags(args)) => cluster::run(args, global, session),
        Verb::Completion(args) => {
            let script = completion::script(args.shell);
            session.print(&script)?;
            Ok(Status::Done)
        }
        Verb::Man(args) => verbs::man::run(args, session),
        Verb::Version(args) => verbs::version::run(args, global, session),
    }
}

fn migrate(
    verb: &MigrateVerb,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    match verb {
        MigrateVerb::Lock(args) => migrate::lock::run(args, Readiness::Locked, global, session),
        MigrateVerb::Export(args) => migrate::export::run(args, global, session),
        MigrateVerb::Import(args) => migrate::import::run(args, global, session),
        MigrateVerb::Unlock(args) => migrate::lock::run(args, Readiness::Ready, global, session),
    }
}

/// Starts a log on standard error, unless the level says that only what ends the program is worth a word.
fn start_logs(level: &str) -> Result<(), Failure> {
    match level {
        "panic" | "fatal" => {}
        "error" | "warn" | "info" | "debug" | "trace" => {
            service::logs::init(level, service::logs::Format::Text);
        }
        "warning" => service::logs::init("warn", service::logs::Format::Text),
        other => {
            return Err(Failure::usage(format!(
                "unknown log level: {other}, expected one of: panic, fatal, error, warn, info, debug"
            )));
        }
    }
    Ok(())
}
