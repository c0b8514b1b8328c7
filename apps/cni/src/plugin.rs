//! The executable: which plugin it is, which command it was given, and how it answers.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use datastore::Query;

use crate::conf::{MAX_BYTES, NetConf};
use crate::environment::{self, Call, Command, Variables};
use crate::error::{CniError, Code};
use crate::log::Log;
use crate::result::{self, Outcome, Version};
use crate::{add, check, del, gc, ipam_plugin, ready, store, trial};

/// Which of the two plugins the executable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// `calico`: interfaces.
    Calico,
    /// `calico-ipam`: addresses only.
    Ipam,
}

/// Runs the plugin that this process was called as.
#[must_use]
pub fn main() -> ExitCode {
    let variables = store::variables();
    let name = std::env::args().next().unwrap_or_default();
    let plugin = Plugin::of_name(variables.get("CALICO_CNI_PLUGIN").unwrap_or(&name));
    let flag = std::env::args().nth(1);
    // Go's flags, which upstream has, begin with one dash or two.
    let flag = flag.as_deref().map(|flag| flag.trim_start_matches('-'));
    match (flag, plugin) {
        (Some("v" | "version"), _) => {
            println!("{}", model::COMPATIBLE_VERSION);
            ExitCode::SUCCESS
        }
        (Some("t"), Plugin::Calico) => told(trial::connection(variables)),
        (Some("upgrade"), Plugin::Ipam) => told(trial::upgrade()),
        (Some(other), _) => {
            let text = format!("failed to parse CLI flags: -{other} is unknown");
            let known = match plugin {
                Plugin::Calico => "known are -v (version) and -t (try the datastore)",
                Plugin::Ipam => "known are -v (version) and -upgrade",
            };
            told(Err(CniError::new(Code::Ipam, text).hint(known)))
        }
        (None, _) => plugin.answer(&variables),
    }
}

/// The end of a flag's work: an error is an error object, as of a command.
fn told(result: Result<(), CniError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", error.to_json(Version::LATEST.text()));
            ExitCode::FAILURE
        }
    }
}

impl Plugin {
    /// Which plugin a name or path of the executable means.
    #[must_use]
    pub fn of_name(name: &str) -> Plugin {
        let file = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        match file {
            Some("calico-ipam") => Plugin::Ipam,
            Some(_) | None => Plugin::Calico,
        }
    }

    fn answer(self, variables: &Variables) -> ExitCode {
        let mut stdin = Vec::new();
        let read = io::stdin().lock().take(MAX_BYTES).read_to_end(&mut stdin);
        let (text, code) = match read {
            Ok(_) => match self.run(variables, &stdin) {
                Ok(text) => (text, ExitCode::SUCCESS),
                Err(error) => (error.to_json(version_of(&stdin)), ExitCode::FAILURE),
            },
            Err(error) => {
                let error = CniError::from_source(Code::Io, "failed to read stdin", &error);
                (error.to_json(Version::LATEST.text()), ExitCode::FAILURE)
            }
        };
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        // A runtime that does not listen is told so by the exit code.
        if written.is_ok() {
            code
        } else {
            ExitCode::FAILURE
        }
    }

    /// Carries out the command in the environment; the text is for stdout.
    ///
    /// # Errors
    /// The error object to be printed.
    pub fn run(self, variables: &Variables, stdin: &[u8]) -> Result<String, CniError> {
        let command = environment::command(variables)?;
        if command == Command::Version {
            return Ok(result::versions(version_of(stdin)));
        }
        let conf = NetConf::parse(stdin)?;
        let log = Log::of(&conf);
        let outcome = self.carry_out(command, &conf, variables, stdin, &log);
        if let Err(error) = &outcome {
            let command = format!("{command:?}").to_uppercase();
            log.error(format_args!("{command} failed: {error}"));
        }
        outcome
    }

    fn carry_out(
        self,
        command: Command,
        conf: &NetConf,
        variables: &Variables,
        stdin: &[u8],
        log: &Log,
    ) -> Result<String, CniError> {
        let version = conf.version();
        let call = || Call::read(command, variables);
        let nothing = |()| String::new();
        let print = |outcome: Outcome| outcome.to_json(version).to_string();
        match (self, command) {
            (Plugin::Calico, Command::Add) => {
                add::add(conf, &call()?, variables, stdin, log).map(print)
            }
            (Plugin::Calico, Command::Del) => {
                del::del(conf, &call()?, variables, stdin, log).map(nothing)
            }
            (Plugin::Calico, Command::Check) => {
                check::check(conf, &call()?, variables, stdin).map(nothing)
            }
            (Plugin::Ipam, Command::Add) => {
                ipam_plugin::add(conf, &call()?, variables, log).map(print)
            }
            (Plugin::Ipam, Command::Del) => {
                ipam_plugin::del(conf, &call()?, variables, log).map(nothing)
            }
            (Plugin::Ipam, Command::Check) => {
                ipam_plugin::check(conf, &call()?, variables).map(nothing)
            }
            (Plugin::Calico | Plugin::Ipam, Command::Gc) => gc::gc(conf, variables).map(nothing),
            (Plugin::Calico | Plugin::Ipam, Command::Status) => {
                self.status(conf, variables).map(nothing)
            }
            (Plugin::Calico | Plugin::Ipam, Command::Version) => {
                Ok(result::versions(version.text()))
            }
        }
    }

    /// Whether an ADD could succeed now.
    fn status(self, conf: &NetConf, variables: &Variables) -> Result<(), CniError> {
        let check = || {
            let store = store::open(conf, variables)?;
            let queries: Vec<Query> = store::readiness_query().into_iter().collect();
            store::check_ready(&store.read(&queries)?)?;
            match self {
                Plugin::Calico => ready::check_table(),
                Plugin::Ipam => Ok(()),
            }
        };
        check().map_err(|error: CniError| error.with_code(Code::NotAvailable))
    }
}

/// The version that a configuration names, however broken the rest of it is; the latest if it names none.
fn version_of(stdin: &[u8]) -> &'static str {
    let value: serde_json::Value = serde_json::from_slice(stdin).unwrap_or_default();
    let named = value.get("cniVersion").and_then(serde_json::Value::as_str);
    let known = named.and_then(|text| Version::parse(text).ok());
    known.unwrap_or(Version::LATEST).text()
}
