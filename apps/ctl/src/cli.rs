//! The command line: upstream's verbs, flags and short forms, and ours beside them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::migrate::Aim;
use crate::outcome::ExitCodes;
use crate::suggest;

/// Where calicoctl looks for its configuration unless told otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/calico/calicoctl.cfg";

/// Reads and changes Calico's objects, and explains what they do.
#[derive(Debug, Parser)]
#[command(
    name = "calicoctl",
    about = "Manage Calico network and security policy, endpoints, addresses and nodes",
    disable_version_flag = true,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// How much to log: panic, fatal, error, warn, info, debug
    #[arg(
        short = 'l',
        long,
        global = true,
        default_value = "panic",
        value_name = "LEVEL",
        value_parser = suggest::levels(),
        hide_possible_values = true
    )]
    pub(crate) log_level: String,
    /// The kubeconfig context to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Work on a cluster of another version
    #[arg(long, global = true)]
    pub(crate) allow_version_mismatch: bool,
    /// Write although the datastore is locked for a migration
    #[arg(long, global = true)]
    pub(crate) allow_locked_datastore: bool,
    /// The store to use, whatever configuration and environment say: embedded, etcdv3, kubernetes
    #[arg(
        long,
        global = true,
        value_name = "TYPE",
        value_parser = suggest::stores(),
        hide_possible_values = true
    )]
    pub(crate) datastore: Option<String>,
    /// What failures give the shell: 1 for all as upstream, or a number for each kind
    #[arg(long, global = true, value_enum, default_value_t, value_name = "LIST")]
    pub(crate) exit_codes: ExitCodes,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create objects from files; those that exist already are an error
    Create(CreateArgs),
    /// Create objects from files, or update those that exist
    Apply(FileArgs),
    /// Replace existing objects by those from files
    Replace(FileArgs),
    /// Delete objects by file, or by kind and name
    Delete(DeleteArgs),
    /// Show objects: all of a kind, some by name, or those of files
    Get(GetArgs),
    /// Change some fields of an existing object
    Patch(PatchArgs),
    /// Set or remove labels of an existing object
    Label(LabelArgs),
    /// Check objects from files without a store
    Validate(FileArgs),
    /// Manage addresses: blocks, allocations, settings
    #[command(subcommand, arg_required_else_help = true)]
    Ipam(IpamVerb),
    /// Manage the agent of this host
    #[command(subcommand, arg_required_else_help = true)]
    Node(NodeVerb),
    /// Manage the store itself
    #[command(subcommand, arg_required_else_help = true)]
    Datastore(DatastoreVerb),
    /// Look at the whole cluster
    #[command(subcommand, arg_required_else_help = true)]
    Cluster(ClusterVerb),
    /// Say whether policy lets one endpoint reach another, and which rule decides
    Explain(ExplainArgs),
    /// Print a script that completes commands in a shell
    Completion(CompletionArgs),
    /// Write manual pages, one for each command
    Man(ManArgs),
    /// Show the versions of this program and of the cluster
    Version(VersionArgs),
}

/// `--config`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArg {
    /// The file that says how to reach the store, in YAML or JSON
    #[arg(short = 'c', long, default_value = DEFAULT_CONFIG, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
}

/// `--namespace`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NamespaceArg {
    /// The namespace of namespaced objects
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// Where objects are read from.
#[derive(Clone, Debug, Args)]
pub(crate) struct FileArgs {
    /// A file or directory with objects in YAML or JSON; '-' is standard input
    #[arg(short, long, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,
    /// Read directories with all below them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Take files that hold no objects
    #[arg(long)]
    pub(crate) skip_empty: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Leave objects alone that exist already
    #[arg(long)]
    pub(crate) skip_exists: bool,
}

/// `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The kind of the objects
    #[arg(value_parser = suggest::kinds(), hide_possible_values = true, long_help = suggest::kind_help())]
    pub(crate) kind: Option<String>,
    /// Their names
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Take it as done if an object does not exist
    #[arg(short, long)]
    pub(crate) skip_not_exists: bool,
}

/// `get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The kind of the objects
    #[arg(value_parser = suggest::kinds(), hide_possible_values = true, long_help = suggest::kind_help())]
    pub(crate) kind: Option<String>,
    /// Their names; all if none is given
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// ps, wide, yaml, json, name, custom-columns=A,B, custom-columns-file=FILE, go-template=TEXT or
    /// go-template-file=FILE
    #[arg(
        short,
        long,
        default_value = "ps",
        value_name = "FORMAT",
        value_parser = suggest::formats(),
        hide_possible_values = true,
        value_hint = ValueHint::Other
    )]
    pub(crate) output: String,
    /// Objects of all namespaces
    #[arg(short = 'A', long, short_alias = 'a')]
    pub(crate) all_namespaces: bool,
    /// Leave out what belongs to this cluster only
    #[arg(long)]
    pub(crate) export: bool,
}

/// `patch`.
#[derive(Debug, Args)]
pub(crate) struct PatchArgs {
    /// The kind of the object
    #[arg(value_parser = suggest::kinds(), hide_possible_values = true, long_help = suggest::kind_help())]
    pub(crate) kind: String,
    /// Its name
    pub(crate) name: String,
    /// The patch, in JSON or YAML
    #[arg(short, long)]
    pub(crate) patch: String,
    /// What the patch is: strategic, merge or json
    #[arg(
        short = 't',
        long = "type",
        default_value = "strategic",
        value_name = "TYPE",
        value_parser = suggest::patches(),
        hide_possible_values = true
    )]
    pub(crate) kind_of_patch: String,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `label`.
#[derive(Debug, Args)]
pub(crate) struct LabelArgs {
    /// The kind of the object
    #[arg(value_parser = suggest::kinds(), hide_possible_values = true, long_help = suggest::kind_help())]
    pub(crate) kind: String,
    /// Its name
    pub(crate) name: String,
    /// KEY=VALUE to set a label, KEY with --remove to remove one
    #[arg(required = true, value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Replace the value of labels that are there
    #[arg(long, conflicts_with = "remove")]
    pub(crate) overwrite: bool,
    /// Remove the labels
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArg,
}

/// `ipam`.
#[derive(Debug, Subcommand)]
pub(crate) enum IpamVerb {
    /// Compare what is allocated with what is in use
    Check(IpamCheckArgs),
    /// Release an address
    Release(IpamReleaseArgs),
    /// Show the use of pools, blocks, or one address
    Show(IpamShowArgs),
    /// Change settings of the whole cluster
    Configure(IpamConfigureArgs),
    /// Split a pool into smaller ones of equal size, while the datastore is locked
    Split(IpamSplitArgs),
}

/// `ipam check`.
#[derive(Debug, Args)]
pub(crate) struct IpamCheckArgs {
    /// Print all addresses that are checked
    #[arg(long)]
    pub(crate) show_all_ips: bool,
    /// Print the addresses that are leaked or not allocated
    #[arg(long)]
    pub(crate) show_problem_ips: bool,
    /// Where to write a report in JSON
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The cluster whose services have addresses, if the datastore is not its own; on etcd without it, that of KUBECONFIG
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `ipam release`.
#[derive(Debug, Args)]
pub(crate) struct IpamReleaseArgs {
    /// The address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "from_report")]
    pub(crate) ip: Option<String>,
    /// Release all that this report of 'ipam check' names as leaked; of several reports, what all of them name
    #[arg(long, value_name = "FILE")]
    pub(crate) from_report: Vec<PathBuf>,
    /// Release although the datastore is not locked, or the report is of another version
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `ipam show`.
#[derive(Debug, Args)]
pub(crate) struct IpamShowArgs {
    /// Say whether this address is in use, and by whom
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,
    /// Show blocks beside pools
    #[arg(long)]
    pub(crate) show_blocks: bool,
    /// Show addresses that a node has from another node's block
    #[arg(long)]
    pub(crate) show_borrowed: bool,
    /// Show the settings
    #[arg(long)]
    pub(crate) show_configuration: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `ipam configure`.
#[derive(Debug, Args)]
pub(crate) struct IpamConfigureArgs {
    /// true: a node has addresses from its own blocks only
    #[arg(long, value_name = "BOOL")]
    pub(crate) strictaffinity: Option<String>,
    /// How many blocks a node may have; 0 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) max_blocks_per_host: Option<String>,
    /// Whether a KubeVirt machine keeps its addresses: Enabled or Disabled
    #[arg(long, value_name = "WORD")]
    pub(crate) kubevirt_ip_persistence: Option<String>,
    /// How many seconds a released address rests before it is given again
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) ip_cooldown_seconds: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `ipam split`.
#[derive(Debug, Args)]
pub(crate) struct IpamSplitArgs {
    /// How many pools to make of it: a power of 2
    pub(crate) number: String,
    /// The network of the pool to split
    #[arg(long, value_name = "NETWORK")]
    pub(crate) cidr: Option<String>,
    /// The name of the pool to split
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `datastore`.
#[derive(Debug, Subcommand)]
pub(crate) enum DatastoreVerb {
    /// Write a consistent copy of the embedded store to a file
    Backup(BackupArgs),
    /// Move all that a datastore holds to another
    #[command(subcommand, arg_required_else_help = true)]
    Migrate(MigrateVerb),
    /// Give policies of the default tier that a release before v3.32 stored as default.NAME their name
    MigratePolicyNames(PolicyNamesArgs),
}

/// `datastore migrate-policy-names`.
#[derive(Debug, Args)]
pub(crate) struct PolicyNamesArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `datastore migrate`.
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateVerb {
    /// Let nothing be written until it is unlocked
    Lock(MigrateArgs),
    /// Write all that a locked datastore holds to standard output
    Export(ExportArgs),
    /// Read what an export wrote into an empty datastore, which is locked
    Import(ImportArgs),
    /// Let things be written again
    Unlock(MigrateArgs),
}

/// `datastore migrate export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The kind of datastore that the file is for
    #[arg(long, value_enum, default_value = "kubernetes", value_name = "TYPE")]
    pub(crate) to: Aim,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `datastore migrate import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file that an export wrote; '-' is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) filename: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `datastore migrate lock` and `unlock`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `datastore backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not exist
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// Say whether the agent runs, and how it is
    Status,
    /// Collect what explains the state of this host in an archive
    Diags(NodeDiagsArgs),
    /// Say whether this host can run the agent
    Checksystem(NodeChecksystemArgs),
    /// Start the agent
    Run(Box<NodeRunArgs>),
}

/// `node diags`.
#[derive(Debug, Args)]
pub(crate) struct NodeDiagsArgs {
    /// The directory with Calico's logs
    #[arg(long, default_value = "/var/log/calico", value_name = "DIR")]
    pub(crate) log_dir: PathBuf,
}

/// `node checksystem`.
#[derive(Debug, Args)]
pub(crate) struct NodeChecksystemArgs {
    /// The kernel's configuration, if it is in no usual place
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) kernel_config: Option<PathBuf>,
}

/// `node run`.
#[derive(Debug, Args)]
pub(crate) struct NodeRunArgs {
    /// The node's IPv4 address, or autodetect
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,
    /// The node's IPv6 address, or autodetect
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<String>,
    /// The node's AS number
    #[arg(long = "as", value_name = "NUMBER")]
    pub(crate) as_number: Option<String>,
    /// The node's name; the host's if it is not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How the IPv4 address is found
    #[arg(long, default_value = "first-found", value_name = "METHOD")]
    pub(crate) ip_autodetection_method: String,
    /// How the IPv6 address is found
    #[arg(long, default_value = "first-found", value_name = "METHOD")]
    pub(crate) ip6_autodetection_method: String,
    /// The directory for the agent's log
    #[arg(long, default_value = "/var/log/calico", value_name = "DIR")]
    pub(crate) log_dir: PathBuf,
    /// Taken so that scripts go on working: no image is needed
    #[arg(long, value_name = "IMAGE")]
    pub(crate) node_image: Option<String>,
    /// What routes between nodes: bird or none
    #[arg(long, default_value = "bird", value_name = "NAME")]
    pub(crate) backend: String,
    /// Only print what would be started
    #[arg(long)]
    pub(crate) dryrun: bool,
    /// Stay in the foreground, as an init system wants it
    #[arg(long)]
    pub(crate) init_system: bool,
    /// Make no pools of addresses
    #[arg(long)]
    pub(crate) no_default_ippools: bool,
    /// A file of Felix parameters
    #[arg(long, value_name = "FILE")]
    pub(crate) felix_config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `cluster`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Collect what explains the state of a Kubernetes cluster in an archive
    Diags(ClusterDiagsArgs),
}

/// `cluster diags`.
#[derive(Debug, Args)]
pub(crate) struct ClusterDiagsArgs {
    /// Only logs that are not older, such as 30m or 2h
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    pub(crate) since: String,
    /// At most this many logs of each component
    #[arg(
        long,
        default_value_t = 5,
        allow_negative_numbers = true,
        value_name = "NUMBER"
    )]
    pub(crate) max_logs: i64,
    /// At most this many collectors at once
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    pub(crate) max_parallelism: usize,
    /// Nodes whose logs are taken first
    #[arg(long, value_delimiter = ',', value_name = "NODE,...")]
    pub(crate) focus_nodes: Vec<String>,
    /// Leave the collected files beside the archive
    #[arg(long)]
    pub(crate) skip_temp_dir_cleanup: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Who sends: NAMESPACE/WORKLOAD or an address
    #[arg(long, value_name = "NS/NAME|IP")]
    pub(crate) from: String,
    /// Who receives: NAMESPACE/WORKLOAD or an address
    #[arg(long, value_name = "NS/NAME|IP")]
    pub(crate) to: String,
    /// The receiver's port, such as 443/tcp
    #[arg(
        long,
        value_name = "PORT/PROTO",
        required_unless_present = "icmp",
        conflicts_with = "icmp"
    )]
    pub(crate) port: Option<String>,
    /// An ICMP message instead of a port, such as 8 or 3/1
    #[arg(long, value_name = "TYPE[/CODE]")]
    pub(crate) icmp: Option<String>,
    /// Objects from a file or directory instead of the store
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) world: Option<String>,
    /// json or yaml instead of text
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_parser = suggest::documents(),
        hide_possible_values = true
    )]
    pub(crate) output: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// `completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory to write them to
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}

/// `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// The file that says how to reach the store, in YAML or JSON
    #[arg(short = 'c', long, default_value = DEFAULT_CONFIG, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    /// Show the cluster's version again and again, this often, such as 5s
    #[arg(long, value_name = "DURATION")]
    pub(crate) poll: Option<String>,
    /// Only the version of this program
    #[arg(long)]
    pub(crate) client: bool,
}
