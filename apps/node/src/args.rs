//! What the command line asks for. The forms are upstream's: single-dash words, one at a time.

/// One thing `calico-node` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Everything: start-up, then the agent until it is told to stop.
    Run,
    /// Only the objects and files that a node needs.
    Startup,
    /// Only the agent.
    Felix,
    /// Is the agent alive?
    Live,
    /// Is the agent ready?
    Ready,
    /// Which version is this?
    Version,
    /// Give the host back.
    Uninstall,
    /// How to call it.
    Help,
}

/// How to call it.
pub const USAGE: &str = "\
calico-node: the Calico agent of one host

Usage: calico-node [COMMAND]

Without a command it does all a node needs: it creates this node's objects, then runs the agent until it is told to stop.
Stopping leaves routes and policy in force.

Commands:
  -startup      create this node's objects (Node, default pools, ClusterInformation) and files, then exit
  -felix        run only the agent
  -felix-live   exit with 0 if the agent on this host is alive
  -felix-ready  exit with 0 if the agent on this host is ready
  uninstall     remove all that the agent put into this host's kernel and file system, except the datastore
  -v            print the version
  -h, --help    print this

Environment: NODENAME, IP, IP6, IP_AUTODETECTION_METHOD, CALICO_IPV4POOL_CIDR, DATASTORE_TYPE, CALICO_DATASTORE_FILE,
FELIX_LOGSEVERITYSCREEN, FELIX_HEALTHPORT, FELIX_PROMETHEUSMETRICSPORT and upstream's others.
";

impl Command {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A sentence that says which argument is unknown.
    pub fn parse(args: &[String]) -> Result<Command, String> {
        let [only] = args else {
            return match args {
                [] => Ok(Command::Run),
                _ => Err(format!("one command at a time, not {}", args.join(" "))),
            };
        };
        match only.trim_start_matches('-') {
            "startup" => Ok(Command::Startup),
            "felix" => Ok(Command::Felix),
            "felix-live" => Ok(Command::Live),
            "felix-ready" => Ok(Command::Ready),
            "v" | "version" => Ok(Command::Version),
            "h" | "help" => Ok(Command::Help),
            "uninstall" => Ok(Command::Uninstall),
            _ => Err(format!("unknown command {only:?}")),
        }
    }
}
