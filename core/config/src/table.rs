//! THE table: every Felix parameter, its form, its default, and what a change of it takes.
//!
//! Names are upstream's. The name of the first column is the one in files (`InterfacePrefix`) and, after `FELIX_` and in any
//! case, in the environment; the second is the field of a FelixConfiguration, if there is one.

use crate::value::{Kind, Unit, Value};
use model::Family;

/// Whether `none` may turn a parameter off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// It may.
    Allowed,
    /// The parameter needs a value.
    Refused,
}

/// Where a parameter may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere.
    Any,
    /// Only on the node itself: in its file and its environment. It says how the store is found.
    Local,
}

/// What a changed value takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is applied as the agent runs.
    Live,
    /// It is read once, when the agent starts.
    Restart,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The parameter.
    pub param: Param,
    /// The name in files, and after `FELIX_` in the environment.
    pub name: &'static str,
    /// The field of a FelixConfiguration.
    pub yaml: Option<&'static str>,
    /// What its value is.
    pub kind: Kind,
    /// The default, as it would be written.
    pub default: &'static str,
    /// Whether `none` is allowed.
    pub zero: Zero,
    /// Where it may be set.
    pub reach: Reach,
    /// What a change takes.
    pub change: Change,
    /// What it is for.
    pub doc: &'static str,
}

macro_rules! table {
    ($($param:ident: $name:literal, $yaml:expr, $kind:expr, $default:literal, $zero:expr, $reach:expr, $change:expr, $doc:literal;)*) => {
        /// A parameter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Param {
            $(#[doc = $doc] $param,)*
        }

        static ROWS: &[Row] = &[$(Row {
            param: Param::$param,
            name: $name,
            yaml: $yaml,
            kind: $kind,
            default: $default,
            zero: $zero,
            reach: $reach,
            change: $change,
            doc: $doc,
        },)*];
    };
}

impl Param {
    /// Every parameter, in the order of the table.
    pub fn all() -> impl Iterator<Item = Param> {
        ROWS.iter().map(|row| row.param)
    }

    /// The parameter's row.
    pub fn row(self) -> &'static Row {
        // The macro makes variants and rows of the same list.
        &ROWS[self as usize]
    }

    /// The parameter with this name or FelixConfiguration field, in any case.
    pub fn lookup(name: &str) -> Option<Param> {
        let named = |row: &&Row| {
            row.name.eq_ignore_ascii_case(name)
                || row.yaml.is_some_and(|yaml| yaml.eq_ignore_ascii_case(name))
        };
        ROWS.iter().find(named).map(|row| row.param)
    }

    /// The parameter of this FelixConfiguration field, spelt exactly.
    pub fn of_yaml(field: &str) -> Option<Param> {
        ROWS.iter()
            .find(|row| row.yaml == Some(field))
            .map(|row| row.param)
    }

    /// The default value.
    pub fn default_value(self) -> Value {
        let row = self.row();
        if row.default.is_empty() {
            return row.kind.zero();
        }
        // A test holds every default to its kind.
        row.kind
            .parse(row.default)
            .unwrap_or_else(|_| row.kind.zero())
    }
}

table! {
    UseInternalDataplaneDriver: "UseInternalDataplaneDriver", Some("useInternalDataplaneDriver"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Program the kernel from this process instead of an external driver.";
    DataplaneDriver: "DataplaneDriver", Some("dataplaneDriver"), Kind::File, "calico-iptables-plugin", Zero::Refused, Reach::Any, Change::Live,
        "Path of the external dataplane driver.";
    DataplaneWatchdogTimeout: "DataplaneWatchdogTimeout", Some("dataplaneWatchdogTimeout"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How long the dataplane may take before the agent counts as not live.";
    WireguardEnabled: "WireguardEnabled", Some("wireguardEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Encrypt IPv4 traffic between nodes with WireGuard.";
    WireguardEnabledV6: "WireguardEnabledV6", Some("wireguardEnabledV6"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Encrypt IPv6 traffic between nodes with WireGuard.";
    WireguardListeningPort: "WireguardListeningPort", Some("wireguardListeningPort"), Kind::Int(i64::MIN, i64::MAX), "51820", Zero::Allowed, Reach::Any, Change::Live,
        "UDP port of the IPv4 WireGuard device.";
    WireguardListeningPortV6: "WireguardListeningPortV6", Some("wireguardListeningPortV6"), Kind::Int(i64::MIN, i64::MAX), "51821", Zero::Allowed, Reach::Any, Change::Live,
        "UDP port of the IPv6 WireGuard device.";
    WireguardRoutingRulePriority: "WireguardRoutingRulePriority", Some("wireguardRoutingRulePriority"), Kind::Int(i64::MIN, i64::MAX), "99", Zero::Allowed, Reach::Any, Change::Live,
        "Priority of the routing rules that lead into WireGuard.";
    WireguardInterfaceName: "WireguardInterfaceName", Some("wireguardInterfaceName"), Kind::Interface, "wireguard.cali", Zero::Refused, Reach::Any, Change::Live,
        "Name of the IPv4 WireGuard device.";
    WireguardInterfaceNameV6: "WireguardInterfaceNameV6", Some("wireguardInterfaceNameV6"), Kind::Interface, "wg-v6.cali", Zero::Refused, Reach::Any, Change::Live,
        "Name of the IPv6 WireGuard device.";
    WireguardMTU: "WireguardMTU", Some("wireguardMTU"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "MTU of the IPv4 WireGuard device; 0 detects it.";
    WireguardMTUV6: "WireguardMTUV6", Some("wireguardMTUV6"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "MTU of the IPv6 WireGuard device; 0 detects it.";
    WireguardHostEncryptionEnabled: "WireguardHostEncryptionEnabled", Some("wireguardHostEncryptionEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Encrypt traffic between the hosts themselves as well.";
    WireguardPersistentKeepAlive: "WireguardPersistentKeepAlive", Some("wireguardKeepAlive"), Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "Interval of WireGuard keepalives; 0 sends none.";
    WireguardThreadingEnabled: "WireguardThreadingEnabled", Some("wireguardThreadingEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Let NAPI threads of the kernel do WireGuard's work.";
    NFTablesMode: "NFTablesMode", Some("nftablesMode"), Kind::Word(&["Enabled", "Disabled", "Auto"]), "Auto", Zero::Allowed, Reach::Any, Change::Live,
        "Whether nftables is the dataplane; Auto follows the cluster.";
    NFTablesFlowTableOffload: "NFTablesFlowTableOffload", Some("nftablesFlowTableOffload"), Kind::Word(&["All", "Disabled"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Which forwarded flows may bypass the ruleset through a flow table.";
    NFTablesFlowTableDataIfacePattern: "NFTablesFlowTableDataIfacePattern", Some("nftablesFlowTableDataIfacePattern"), Kind::Pattern, "", Zero::Allowed, Reach::Any, Change::Live,
        "Uplinks whose flows the flow table may offload.";
    BPFEnabled: "BPFEnabled", Some("bpfEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Use the eBPF dataplane.";
    BPFOverlayHostSourceIP: "BPFOverlayHostSourceIP", Some("bpfOverlayHostSourceIP"), Kind::Word(&["TunnelAddress", "HostAddress"]), "TunnelAddress", Zero::Refused, Reach::Any, Change::Live,
        "Which of its addresses a host sends with into the overlay.";
    BPFDisableUnprivileged: "BPFDisableUnprivileged", Some("bpfDisableUnprivileged"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Forbid bpf(2) to unprivileged users.";
    BPFJITHardening: "BPFJITHardening", Some("bpfJITHardening"), Kind::Word(&["Auto", "Strict"]), "Auto", Zero::Refused, Reach::Any, Change::Live,
        "Auto turns off hardening of the JIT where it costs most; Strict leaves it alone.";
    BPFLogLevel: "BPFLogLevel", Some("bpfLogLevel"), Kind::Word(&["off", "info", "debug"]), "off", Zero::Refused, Reach::Any, Change::Live,
        "How much the eBPF programs trace.";
    BPFConntrackLogLevel: "BPFConntrackLogLevel", Some("bpfConntrackLogLevel"), Kind::Word(&["off", "debug"]), "off", Zero::Refused, Reach::Any, Change::Live,
        "How much the connection tracking of eBPF traces.";
    BPFConntrackCleanupMode: "BPFConntrackCleanupMode", Some("bpfConntrackMode"), Kind::Word(&["Auto", "Userspace", "BPFProgram"]), "Auto", Zero::Allowed, Reach::Any, Change::Live,
        "Who removes old connections: an eBPF program or this process.";
    BPFConntrackTimeouts: "BPFConntrackTimeouts", Some("bpfConntrackTimeouts"), Kind::KeyValues, "CreationGracePeriod=10s,TCPSynSent=20s,TCPEstablished=1h,TCPFinsSeen=Auto,TCPResetSeen=40s,UDPTimeout=60s,GenericTimeout=10m,ICMPTimeout=5s", Zero::Allowed, Reach::Any, Change::Live,
        "Age by kind of connection after which it is forgotten.";
    BPFIPFragTimeout: "BPFIPFragTimeout", Some("bpfIPFragTimeout"), Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "How long fragments wait for the rest of their packet.";
    BPFLogFilters: "BPFLogFilters", Some("bpfLogFilters"), Kind::KeyValues, "", Zero::Allowed, Reach::Any, Change::Live,
        "By interface, a pcap filter of the packets that eBPF programs trace.";
    BPFCTLBLogFilter: "BPFCTLBLogFilter", Some("bpfCTLBLogFilter"), Kind::Word(&["all"]), "", Zero::Allowed, Reach::Any, Change::Live,
        "Which connect-time load balancing programs trace.";
    BPFDataIfacePattern: "BPFDataIfacePattern", Some("bpfDataIfacePattern"), Kind::Pattern, "^((en|wl|ww|sl|ib)[Popsx].*|(eth|wlan|wwan|bond).*)", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces that carry traffic of the cluster in eBPF mode.";
    BPFL3IfacePattern: "BPFL3IfacePattern", Some("bpfL3IfacePattern"), Kind::Pattern, "", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces without Ethernet headers in eBPF mode.";
    BPFConnectTimeLoadBalancingEnabled: "BPFConnectTimeLoadBalancingEnabled", Some("bpfConnectTimeLoadBalancingEnabled"), Kind::Flag, "", Zero::Allowed, Reach::Any, Change::Live,
        "Older form of bpfConnectTimeLoadBalancing.";
    BPFConnectTimeLoadBalancing: "BPFConnectTimeLoadBalancing", Some("bpfConnectTimeLoadBalancing"), Kind::Word(&["TCP", "Enabled", "Disabled"]), "TCP", Zero::Refused, Reach::Any, Change::Live,
        "For which protocols sockets of the host are load balanced when they connect.";
    BPFHostNetworkedNATWithoutCTLB: "BPFHostNetworkedNATWithoutCTLB", Some("bpfHostNetworkedNATWithoutCTLB"), Kind::Word(&["Enabled", "Disabled"]), "Enabled", Zero::Refused, Reach::Any, Change::Live,
        "Whether services work for host sockets without connect-time load balancing.";
    BPFExternalServiceMode: "BPFExternalServiceMode", Some("bpfExternalServiceMode"), Kind::Word(&["tunnel", "dsr"]), "tunnel", Zero::Refused, Reach::Any, Change::Live,
        "How a node hands traffic of external clients to another node: through a tunnel or by direct return.";
    BPFDSROptoutCIDRs: "BPFDSROptoutCIDRs", Some("bpfDSROptoutCIDRs"), Kind::Cidrs, "", Zero::Allowed, Reach::Any, Change::Live,
        "Clients that are never answered by direct return.";
    BPFKubeProxyIptablesCleanupEnabled: "BPFKubeProxyIptablesCleanupEnabled", Some("bpfKubeProxyIptablesCleanupEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Remove kube-proxy's rules when eBPF takes over its work.";
    BPFKubeProxyMinSyncPeriod: "BPFKubeProxyMinSyncPeriod", Some("bpfKubeProxyMinSyncPeriod"), Kind::Duration(Unit::Seconds), "1", Zero::Allowed, Reach::Any, Change::Live,
        "Shortest time between two writes of the service tables.";
    BPFKubeProxyHealthzPort: "BPFKubeProxyHealthzPort", Some("bpfKubeProxyHealthzPort"), Kind::Int(i64::MIN, i64::MAX), "10256", Zero::Allowed, Reach::Any, Change::Live,
        "Port of the service proxy's health check.";
    BPFExtToServiceConnmark: "BPFExtToServiceConnmark", Some("bpfExtToServiceConnmark"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "Mark for connections of external clients to local services.";
    BPFPSNATPorts: "BPFPSNATPorts", Some("bpfPSNATPorts"), Kind::PortRange, "20000:29999", Zero::Allowed, Reach::Any, Change::Live,
        "Source ports used where two connections would look alike.";
    BPFMapSizeNATFrontend: "BPFMapSizeNATFrontend", Some("bpfMapSizeNATFrontend"), Kind::Int(i64::MIN, i64::MAX), "65536", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the table of service addresses.";
    BPFMapSizeNATBackend: "BPFMapSizeNATBackend", Some("bpfMapSizeNATBackend"), Kind::Int(i64::MIN, i64::MAX), "262144", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the table of service backends.";
    BPFMapSizeNATAffinity: "BPFMapSizeNATAffinity", Some("bpfMapSizeNATAffinity"), Kind::Int(i64::MIN, i64::MAX), "65536", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the table of client affinities.";
    BPFMapSizeRoute: "BPFMapSizeRoute", Some("bpfMapSizeRoute"), Kind::Int(i64::MIN, i64::MAX), "262144", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the routing table.";
    BPFMapSizeConntrack: "BPFMapSizeConntrack", Some("bpfMapSizeConntrack"), Kind::Int(i64::MIN, i64::MAX), "512000", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the connection table.";
    BPFMapSizePerCPUConntrack: "BPFMapSizePerCPUConntrack", Some("bpfMapSizePerCpuConntrack"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "Entries of the connection table per CPU; 0 uses the total.";
    BPFMapSizeConntrackScaling: "BPFMapSizeConntrackScaling", Some("bpfMapSizeConntrackScaling"), Kind::Word(&["Disabled", "DoubleIfFull"]), "DoubleIfFull", Zero::Refused, Reach::Any, Change::Live,
        "Whether a full connection table grows.";
    BPFMapSizeConntrackCleanupQueue: "BPFMapSizeConntrackCleanupQueue", Some("bpfMapSizeConntrackCleanupQueue"), Kind::Int(1, i32::MAX as i64), "100000", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the queue of connections to remove.";
    BPFMapSizeIPSets: "BPFMapSizeIPSets", Some("bpfMapSizeIPSets"), Kind::Int(i64::MIN, i64::MAX), "1048576", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the table of IP set members.";
    BPFMapSizeIfState: "BPFMapSizeIfState", Some("bpfMapSizeIfState"), Kind::Int(i64::MIN, i64::MAX), "1000", Zero::Refused, Reach::Any, Change::Live,
        "Entries of the table of interfaces.";
    BPFHostConntrackBypass: "BPFHostConntrackBypass", Some("bpfHostConntrackBypass"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Skip Linux connection tracking for workload traffic.";
    BPFIPFragmentReassemblyEnabled: "BPFIPFragmentReassemblyEnabled", Some("bpfIPFragmentReassemblyEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Reassemble IPv4 fragments in eBPF.";
    BPFEnforceRPF: "BPFEnforceRPF", Some("bpfEnforceRPF"), Kind::Word(&["Disabled", "Strict", "Loose"]), "Loose", Zero::Refused, Reach::Any, Change::Live,
        "How strictly the source of a packet must agree with its interface.";
    BPFPolicyDebugEnabled: "BPFPolicyDebugEnabled", Some("bpfPolicyDebugEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Keep per-rule information for debugging of eBPF policy.";
    BPFForceTrackPacketsFromIfaces: "BPFForceTrackPacketsFromIfaces", Some("bpfForceTrackPacketsFromIfaces"), Kind::InterfaceFilters, "docker+", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces whose packets always go through Linux connection tracking.";
    BPFDisableGROForIfaces: "BPFDisableGROForIfaces", Some("bpfDisableGROForIfaces"), Kind::Pattern, "", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces on which receive offload is turned off.";
    BPFExcludeCIDRsFromNAT: "BPFExcludeCIDRsFromNAT", Some("bpfExcludeCIDRsFromNAT"), Kind::Cidrs, "", Zero::Allowed, Reach::Any, Change::Live,
        "Service addresses that eBPF leaves to others.";
    BPFRedirectToPeer: "BPFRedirectToPeer", Some("bpfRedirectToPeer"), Kind::Word(&["Disabled", "Enabled", "L2Only"]), "Enabled", Zero::Refused, Reach::Any, Change::Live,
        "Whether packets go straight into the peer device of a workload.";
    BPFAttachType: "BPFAttachType", Some("bpfAttachType"), Kind::Word(&["Netkit", "TCX", "TC"]), "Netkit", Zero::Refused, Reach::Any, Change::Live,
        "How programs are attached to devices.";
    BPFExportBufferSizeMB: "BPFExportBufferSizeMB", Some("bpfExportBufferSizeMB"), Kind::Int(i64::MIN, i64::MAX), "1", Zero::Refused, Reach::Any, Change::Live,
        "Size of the buffer for exported events, in MB.";
    BPFProfiling: "BPFProfiling", Some("bpfProfiling"), Kind::Word(&["Disabled", "Enabled"]), "Disabled", Zero::Refused, Reach::Any, Change::Live,
        "Measure the run time of eBPF programs.";
    IstioAmbientMode: "IstioAmbientMode", Some("istioAmbientMode"), Kind::Word(&["Disabled", "Enabled"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Work together with Istio's ambient mode.";
    IstioDSCPMark: "IstioDSCPMark", Some("istioDSCPMark"), Kind::Dscp, "23", Zero::Allowed, Reach::Any, Change::Live,
        "The DSCP that marks traffic of Istio.";
    CgroupV2Path: "CgroupV2Path", Some("cgroupV2Path"), Kind::Text, "", Zero::Allowed, Reach::Any, Change::Live,
        "Where the cgroup v2 hierarchy is mounted.";
    DebugBPFCgroupV2: "DebugBPFCgroupV2", None, Kind::Text, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Path of a cgroup that eBPF programs are attached to in tests.";
    DatastoreType: "DatastoreType", None, Kind::Word(&["embedded", "etcdv3", "kubernetes"]), "embedded", Zero::Refused, Reach::Local, Change::Restart,
        "Which kind of store is used.";
    FelixHostname: "FelixHostname", None, Kind::Host, "", Zero::Refused, Reach::Local, Change::Restart,
        "The node's name, if it is not the host's.";
    EtcdAddr: "EtcdAddr", None, Kind::Authority, "127.0.0.1:2379", Zero::Allowed, Reach::Local, Change::Restart,
        "Address of etcd.";
    EtcdScheme: "EtcdScheme", None, Kind::Word(&["http", "https"]), "http", Zero::Allowed, Reach::Local, Change::Restart,
        "Scheme of etcd's address.";
    EtcdKeyFile: "EtcdKeyFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Key for etcd's client certificate.";
    EtcdCertFile: "EtcdCertFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Client certificate for etcd.";
    EtcdCaFile: "EtcdCaFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Certificate authority of etcd.";
    EtcdEndpoints: "EtcdEndpoints", None, Kind::Endpoints, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Addresses of etcd with scheme; wins over etcdAddr.";
    TyphaAddr: "TyphaAddr", None, Kind::Authority, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Address of Typha; empty finds it or does without.";
    TyphaK8sServiceName: "TyphaK8sServiceName", None, Kind::Text, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Kubernetes service by which Typha is found.";
    TyphaK8sNamespace: "TyphaK8sNamespace", None, Kind::Text, "kube-system", Zero::Refused, Reach::Local, Change::Restart,
        "Namespace of Typha's service.";
    TyphaReadTimeout: "TyphaReadTimeout", None, Kind::Duration(Unit::Seconds), "30", Zero::Allowed, Reach::Local, Change::Restart,
        "How long a read from Typha may take.";
    TyphaWriteTimeout: "TyphaWriteTimeout", None, Kind::Duration(Unit::Seconds), "10", Zero::Allowed, Reach::Local, Change::Restart,
        "How long a write to Typha may take.";
    TyphaKeyFile: "TyphaKeyFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Key for the client certificate towards Typha.";
    TyphaCertFile: "TyphaCertFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Client certificate towards Typha.";
    TyphaCAFile: "TyphaCAFile", None, Kind::File, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Certificate authority of Typha.";
    TyphaCN: "TyphaCN", None, Kind::Text, "", Zero::Allowed, Reach::Local, Change::Restart,
        "Common name that Typha's certificate must have.";
    TyphaURISAN: "TyphaURISAN", None, Kind::Text, "", Zero::Allowed, Reach::Local, Change::Restart,
        "URI that Typha's certificate must have.";
    Ipv6Support: "Ipv6Support", Some("ipv6Support"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Whether IPv6 is programmed at all.";
    IptablesBackend: "IptablesBackend", Some("iptablesBackend"), Kind::Word(&["legacy", "nft", "auto"]), "auto", Zero::Allowed, Reach::Any, Change::Live,
        "Which iptables is used.";
    RouteRefreshInterval: "RouteRefreshInterval", Some("routeRefreshInterval"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How often routes are compared with the kernel's; 0 never.";
    InterfaceRefreshInterval: "InterfaceRefreshInterval", Some("interfaceRefreshInterval"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How often interfaces are read again; 0 never.";
    DeviceRouteSourceAddress: "DeviceRouteSourceAddress", Some("deviceRouteSourceAddress"), Kind::Address(Family::V4), "", Zero::Allowed, Reach::Any, Change::Live,
        "Preferred source of IPv4 routes to workloads.";
    DeviceRouteSourceAddressIPv6: "DeviceRouteSourceAddressIPv6", Some("deviceRouteSourceAddressIPv6"), Kind::Address(Family::V6), "", Zero::Allowed, Reach::Any, Change::Live,
        "Preferred source of IPv6 routes to workloads.";
    DeviceRouteProtocol: "DeviceRouteProtocol", Some("deviceRouteProtocol"), Kind::Int(i64::MIN, i64::MAX), "3", Zero::Allowed, Reach::Any, Change::Live,
        "The protocol number that marks our routes.";
    RemoveExternalRoutes: "RemoveExternalRoutes", Some("removeExternalRoutes"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Remove routes to workload interfaces that others made.";
    ProgramClusterRoutes: "ProgramClusterRoutes", Some("programClusterRoutes"), Kind::Word(&["Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"]), "EnabledIPIPOnly", Zero::Allowed, Reach::Any, Change::Live,
        "Which routes to other nodes this agent programs.";
    IPForwarding: "IPForwarding", Some("ipForwarding"), Kind::Word(&["Enabled", "Disabled"]), "Enabled", Zero::Allowed, Reach::Any, Change::Live,
        "Whether the agent turns on forwarding.";
    IptablesRefreshInterval: "IptablesRefreshInterval", Some("iptablesRefreshInterval"), Kind::Duration(Unit::Seconds), "180", Zero::Allowed, Reach::Any, Change::Live,
        "How often iptables rules are compared with the kernel's; 0 never.";
    IptablesPostWriteCheckIntervalSecs: "IptablesPostWriteCheckIntervalSecs", Some("iptablesPostWriteCheckInterval"), Kind::Duration(Unit::Seconds), "5", Zero::Allowed, Reach::Any, Change::Live,
        "How soon after a write iptables rules are checked.";
    IptablesLockProbeIntervalMillis: "IptablesLockProbeIntervalMillis", Some("iptablesLockProbeInterval"), Kind::Duration(Unit::Millis), "50", Zero::Allowed, Reach::Any, Change::Live,
        "How often a taken iptables lock is tried again.";
    FeatureDetectOverride: "FeatureDetectOverride", Some("featureDetectOverride"), Kind::KeyValues, "", Zero::Allowed, Reach::Any, Change::Live,
        "Kernel features as key=value that override detection.";
    FeatureGates: "FeatureGates", Some("featureGates"), Kind::KeyValues, "", Zero::Allowed, Reach::Any, Change::Live,
        "Switches of features in the making, as key=value.";
    IpsetsRefreshInterval: "IpsetsRefreshInterval", Some("ipsetsRefreshInterval"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How often IP sets are compared with the kernel's; 0 never.";
    MaxIpsetSize: "MaxIpsetSize", Some("maxIpsetSize"), Kind::Int(i64::MIN, i64::MAX), "1048576", Zero::Refused, Reach::Any, Change::Live,
        "Most members of one ipset.";
    XDPRefreshInterval: "XDPRefreshInterval", Some("xdpRefreshInterval"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How often XDP state is compared with the kernel's; 0 never.";
    PolicySyncPathPrefix: "PolicySyncPathPrefix", Some("policySyncPathPrefix"), Kind::File, "", Zero::Allowed, Reach::Any, Change::Live,
        "Directory of the sockets that hand policy to sidecars; empty is off.";
    NetlinkTimeoutSecs: "NetlinkTimeoutSecs", Some("netlinkTimeout"), Kind::Duration(Unit::Seconds), "10", Zero::Allowed, Reach::Any, Change::Live,
        "How long a netlink request may take.";
    MetadataAddr: "MetadataAddr", Some("metadataAddr"), Kind::Host, "127.0.0.1", Zero::Allowed, Reach::Any, Change::Live,
        "Address of OpenStack's metadata service; none is off.";
    MetadataPort: "MetadataPort", Some("metadataPort"), Kind::Int(0, 65535), "8775", Zero::Allowed, Reach::Any, Change::Live,
        "Port of OpenStack's metadata service.";
    OpenstackRegion: "OpenstackRegion", Some("openstackRegion"), Kind::Region, "", Zero::Allowed, Reach::Any, Change::Live,
        "Region of an OpenStack deployment with several.";
    InterfacePrefix: "InterfacePrefix", Some("interfacePrefix"), Kind::Interfaces, "cali", Zero::Refused, Reach::Any, Change::Live,
        "Beginnings of the names of workload interfaces, joined by commas.";
    InterfaceExclude: "InterfaceExclude", Some("interfaceExclude"), Kind::InterfacePatterns, "kube-ipvs0", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces the agent does not look at: names, or patterns between slashes.";
    ChainInsertMode: "ChainInsertMode", Some("chainInsertMode"), Kind::Word(&["insert", "append"]), "insert", Zero::Refused, Reach::Any, Change::Live,
        "Whether our jumps stand first or last in the kernel's chains.";
    DefaultEndpointToHostAction: "DefaultEndpointToHostAction", Some("defaultEndpointToHostAction"), Kind::Word(&["DROP", "RETURN", "ACCEPT"]), "DROP", Zero::Refused, Reach::Any, Change::Live,
        "What happens to traffic from workloads to their own host after policy allowed it.";
    IptablesFilterAllowAction: "IptablesFilterAllowAction", Some("iptablesFilterAllowAction"), Kind::Word(&["ACCEPT", "RETURN"]), "ACCEPT", Zero::Refused, Reach::Any, Change::Live,
        "What an allowed packet meets next in the filter table.";
    IptablesMangleAllowAction: "IptablesMangleAllowAction", Some("iptablesMangleAllowAction"), Kind::Word(&["ACCEPT", "RETURN"]), "ACCEPT", Zero::Refused, Reach::Any, Change::Live,
        "What an allowed packet meets next in the mangle table.";
    IptablesFilterDenyAction: "IptablesFilterDenyAction", Some("iptablesFilterDenyAction"), Kind::Word(&["DROP", "REJECT"]), "DROP", Zero::Refused, Reach::Any, Change::Live,
        "What happens to a denied packet.";
    LogPrefix: "LogPrefix", Some("logPrefix"), Kind::Text, "calico-packet", Zero::Allowed, Reach::Any, Change::Live,
        "Beginning of the kernel log lines of Log rules.";
    LogActionRateLimit: "LogActionRateLimit", Some("logActionRateLimit"), Kind::LogRate, "", Zero::Allowed, Reach::Any, Change::Live,
        "Most lines of Log rules, such as 10/minute; empty is no limit.";
    LogActionRateLimitBurst: "LogActionRateLimitBurst", Some("logActionRateLimitBurst"), Kind::Int(0, 9999), "5", Zero::Allowed, Reach::Any, Change::Live,
        "Lines of Log rules that may come at once.";
    LogFilePath: "LogFilePath", Some("logFilePath"), Kind::File, "/var/log/calico/felix.log", Zero::Allowed, Reach::Any, Change::Live,
        "File that the agent logs to; none is off.";
    LogSeverityFile: "LogSeverityFile", Some("logSeverityFile"), Kind::Word(&["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]), "INFO", Zero::Allowed, Reach::Any, Change::Live,
        "Least severe message for the log file.";
    LogSeverityScreen: "LogSeverityScreen", Some("logSeverityScreen"), Kind::Word(&["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]), "INFO", Zero::Allowed, Reach::Any, Change::Live,
        "Least severe message for standard output.";
    LogSeveritySys: "LogSeveritySys", Some("logSeveritySys"), Kind::Word(&["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]), "INFO", Zero::Allowed, Reach::Any, Change::Live,
        "Least severe message for syslog.";
    LogDebugFilenameRegex: "LogDebugFilenameRegex", Some("logDebugFilenameRegex"), Kind::Pattern, "", Zero::Allowed, Reach::Any, Change::Live,
        "Source files whose debug messages are logged.";
    VXLANEnabled: "VXLANEnabled", Some("vxlanEnabled"), Kind::OptionalFlag, "", Zero::Allowed, Reach::Any, Change::Live,
        "Whether VXLAN is used; by default the pools decide.";
    VXLANPort: "VXLANPort", Some("vxlanPort"), Kind::Int(i64::MIN, i64::MAX), "4789", Zero::Allowed, Reach::Any, Change::Live,
        "UDP port of VXLAN.";
    VXLANVNI: "VXLANVNI", Some("vxlanVNI"), Kind::Int(i64::MIN, i64::MAX), "4096", Zero::Allowed, Reach::Any, Change::Live,
        "The VXLAN network identifier.";
    VXLANMTU: "VXLANMTU", Some("vxlanMTU"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "MTU of the IPv4 VXLAN device; 0 detects it.";
    VXLANMTUV6: "VXLANMTUV6", Some("vxlanMTUV6"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "MTU of the IPv6 VXLAN device; 0 detects it.";
    IpInIpEnabled: "IpInIpEnabled", Some("ipipEnabled"), Kind::OptionalFlag, "", Zero::Allowed, Reach::Any, Change::Live,
        "Whether IP-in-IP is used; by default the pools decide.";
    IpInIpMtu: "IpInIpMtu", Some("ipipMTU"), Kind::Int(i64::MIN, i64::MAX), "0", Zero::Allowed, Reach::Any, Change::Live,
        "MTU of the IP-in-IP device; 0 detects it.";
    FloatingIPs: "FloatingIPs", Some("floatingIPs"), Kind::Word(&["Enabled", "Disabled"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Whether floating addresses of workloads are programmed.";
    LocalSubnetL2Reachability: "LocalSubnetL2Reachability", Some("localSubnetL2Reachability"), Kind::Word(&["Disabled", "PodsAndLoadBalancers"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Answer ARP and neighbour requests for addresses inside the host's own subnet.";
    LocalSubnetL2ReachabilityRefreshInterval: "LocalSubnetL2ReachabilityRefreshInterval", Some("localSubnetL2ReachabilityRefreshInterval"), Kind::Duration(Unit::Seconds), "120", Zero::Allowed, Reach::Any, Change::Live,
        "How often these answers are compared with the kernel's.";
    WindowsManageFirewallRules: "WindowsManageFirewallRules", Some("windowsManageFirewallRules"), Kind::Word(&["Enabled", "Disabled"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Whether the agent opens the Windows firewall.";
    AllowVXLANPacketsFromWorkloads: "AllowVXLANPacketsFromWorkloads", Some("allowVXLANPacketsFromWorkloads"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Let workloads send VXLAN packets.";
    AllowIPIPPacketsFromWorkloads: "AllowIPIPPacketsFromWorkloads", Some("allowIPIPPacketsFromWorkloads"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Let workloads send IP-in-IP packets.";
    AWSSrcDstCheck: "AWSSrcDstCheck", Some("awsSrcDstCheck"), Kind::Word(&["DoNothing", "Enable", "Disable"]), "DoNothing", Zero::Refused, Reach::Any, Change::Live,
        "What to do with the source/destination check of EC2 instances.";
    ServiceLoopPrevention: "ServiceLoopPrevention", Some("serviceLoopPrevention"), Kind::Word(&["Drop", "Reject", "Disabled"]), "Drop", Zero::Allowed, Reach::Any, Change::Live,
        "What happens to packets for services that would leave the node again.";
    WorkloadSourceSpoofing: "WorkloadSourceSpoofing", Some("workloadSourceSpoofing"), Kind::Word(&["Disabled", "Any"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Whether workloads may ask for sources that are not theirs.";
    ReportingIntervalSecs: "ReportingIntervalSecs", Some("reportingInterval"), Kind::Duration(Unit::Seconds), "30", Zero::Allowed, Reach::Any, Change::Live,
        "How often the agent reports its status to the store.";
    ReportingTTLSecs: "ReportingTTLSecs", Some("reportingTTL"), Kind::Duration(Unit::Seconds), "90", Zero::Allowed, Reach::Any, Change::Live,
        "How long a status report is believed.";
    EndpointReportingEnabled: "EndpointReportingEnabled", Some("endpointReportingEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Report the status of endpoints to the store.";
    EndpointReportingDelaySecs: "EndpointReportingDelaySecs", Some("endpointReportingDelay"), Kind::Duration(Unit::Seconds), "1", Zero::Allowed, Reach::Any, Change::Live,
        "Shortest time between two endpoint reports.";
    EndpointStatusPathPrefix: "EndpointStatusPathPrefix", Some("endpointStatusPathPrefix"), Kind::File, "/var/run/calico", Zero::Allowed, Reach::Any, Change::Live,
        "Directory under which endpoint status files are written; empty is off.";
    IptablesMarkMask: "IptablesMarkMask", Some("iptablesMarkMask"), Kind::Mark, "0xffff0000", Zero::Refused, Reach::Any, Change::Live,
        "Bits of the packet mark that are ours in iptables.";
    DisableConntrackInvalidCheck: "DisableConntrackInvalidCheck", Some("disableConntrackInvalidCheck"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Do not drop packets of unknown connections.";
    HealthEnabled: "HealthEnabled", Some("healthEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Serve health over HTTP.";
    HealthPort: "HealthPort", Some("healthPort"), Kind::Int(0, 65535), "9099", Zero::Allowed, Reach::Any, Change::Live,
        "Port of the health server.";
    HealthHost: "HealthHost", Some("healthHost"), Kind::Host, "localhost", Zero::Allowed, Reach::Any, Change::Live,
        "Address of the health server.";
    HealthTimeoutOverrides: "HealthTimeoutOverrides", Some("healthTimeoutOverrides"), Kind::KeyDurations, "", Zero::Allowed, Reach::Any, Change::Live,
        "Timeouts of single health reporters, as name=duration.";
    PrometheusMetricsEnabled: "PrometheusMetricsEnabled", Some("prometheusMetricsEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Serve metrics over HTTP.";
    PrometheusMetricsHost: "PrometheusMetricsHost", Some("prometheusMetricsHost"), Kind::Host, "", Zero::Allowed, Reach::Any, Change::Live,
        "Address of the metrics server; empty is every one.";
    PrometheusMetricsPort: "PrometheusMetricsPort", Some("prometheusMetricsPort"), Kind::Int(0, 65535), "9091", Zero::Allowed, Reach::Any, Change::Live,
        "Port of the metrics server.";
    PrometheusGoMetricsEnabled: "PrometheusGoMetricsEnabled", Some("prometheusGoMetricsEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Serve metrics of the language runtime.";
    PrometheusProcessMetricsEnabled: "PrometheusProcessMetricsEnabled", Some("prometheusProcessMetricsEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Serve metrics of the process.";
    PrometheusWireGuardMetricsEnabled: "PrometheusWireGuardMetricsEnabled", Some("prometheusWireGuardMetricsEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Serve metrics of WireGuard.";
    PrometheusMetricsCAFile: "PrometheusMetricsCAFile", Some("prometheusMetricsCAFile"), Kind::Text, "", Zero::Allowed, Reach::Any, Change::Live,
        "Certificate authority of clients of the metrics server.";
    PrometheusMetricsCertFile: "PrometheusMetricsCertFile", Some("prometheusMetricsCertFile"), Kind::Text, "", Zero::Allowed, Reach::Any, Change::Live,
        "Certificate of the metrics server.";
    PrometheusMetricsKeyFile: "PrometheusMetricsKeyFile", Some("prometheusMetricsKeyFile"), Kind::Text, "", Zero::Allowed, Reach::Any, Change::Live,
        "Key of the metrics server.";
    PrometheusMetricsClientAuth: "PrometheusMetricsClientAuth", Some("prometheusMetricsClientAuth"), Kind::Word(&["RequireAndVerifyClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "NoClientCert"]), "NoClientCert", Zero::Allowed, Reach::Any, Change::Live,
        "Whether clients of the metrics server must show a certificate.";
    FailsafeInboundHostPorts: "FailsafeInboundHostPorts", Some("failsafeInboundHostPorts"), Kind::Failsafes, "tcp:22,udp:68,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667", Zero::Allowed, Reach::Any, Change::Live,
        "Ports of the host that stay open whatever host policy says; none for no port.";
    FailsafeOutboundHostPorts: "FailsafeOutboundHostPorts", Some("failsafeOutboundHostPorts"), Kind::Failsafes, "udp:53,udp:67,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667", Zero::Allowed, Reach::Any, Change::Live,
        "Ports that the host can always reach whatever host policy says; none for no port.";
    FlowLogsFlushInterval: "FlowLogsFlushInterval", Some("flowLogsFlushInterval"), Kind::Duration(Unit::Seconds), "300", Zero::Allowed, Reach::Any, Change::Live,
        "How often flow logs are handed on.";
    FlowLogsCollectorDebugTrace: "FlowLogsCollectorDebugTrace", Some("flowLogsCollectorDebugTrace"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Trace the flow log collector.";
    FlowLogsGoldmaneServer: "FlowLogsGoldmaneServer", Some("flowLogsGoldmaneServer"), Kind::Text, "", Zero::Allowed, Reach::Any, Change::Live,
        "Address of Goldmane; empty is off.";
    FlowLogsLocalReporter: "FlowLogsLocalReporter", Some("flowLogsLocalReporter"), Kind::Word(&["Enabled", "Disabled"]), "Disabled", Zero::Allowed, Reach::Any, Change::Live,
        "Serve flow logs on a local socket.";
    FlowLogsPolicyEvaluationMode: "FlowLogsPolicyEvaluationMode", Some("flowLogsPolicyEvaluationMode"), Kind::Word(&["None", "Continuous"]), "Continuous", Zero::Allowed, Reach::Any, Change::Live,
        "How pending policy verdicts of flows are computed.";
    KubeNodePortRanges: "KubeNodePortRanges", Some("kubeNodePortRanges"), Kind::PortRanges, "30000:32767", Zero::Allowed, Reach::Any, Change::Live,
        "Ports of Kubernetes node-port services.";
    NATPortRange: "NATPortRange", Some("natPortRange"), Kind::PortRange, "", Zero::Allowed, Reach::Any, Change::Live,
        "Source ports for masqueraded connections; empty leaves it to the kernel.";
    NATOutgoingAddress: "NATOutgoingAddress", Some("natOutgoingAddress"), Kind::Address(Family::V4), "", Zero::Allowed, Reach::Any, Change::Live,
        "Source address for masqueraded connections; empty is the interface's.";
    NATOutgoingExclusions: "NATOutgoingExclusions", Some("natOutgoingExclusions"), Kind::Word(&["IPPoolsOnly", "IPPoolsAndHostIPs"]), "IPPoolsOnly", Zero::Allowed, Reach::Any, Change::Live,
        "Destinations that are not masqueraded.";
    UsageReportingEnabled: "UsageReportingEnabled", Some("usageReportingEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Allow usage reports (this implementation sends none).";
    UsageReportingInitialDelaySecs: "UsageReportingInitialDelaySecs", Some("usageReportingInitialDelay"), Kind::Duration(Unit::Seconds), "300", Zero::Allowed, Reach::Any, Change::Live,
        "Delay of the first usage report.";
    UsageReportingIntervalSecs: "UsageReportingIntervalSecs", Some("usageReportingInterval"), Kind::Duration(Unit::Seconds), "86400", Zero::Allowed, Reach::Any, Change::Live,
        "Interval of usage reports.";
    ExternalNodesCIDRList: "ExternalNodesCIDRList", Some("externalNodesList"), Kind::Cidrs, "", Zero::Allowed, Reach::Any, Change::Live,
        "Hosts outside of the cluster that may send overlay packets.";
    DebugMemoryProfilePath: "DebugMemoryProfilePath", Some("debugMemoryProfilePath"), Kind::File, "", Zero::Allowed, Reach::Any, Change::Live,
        "Where memory profiles are written; empty is off.";
    DebugCPUProfilePath: "DebugCPUProfilePath", None, Kind::File, "", Zero::Allowed, Reach::Any, Change::Live,
        "Where CPU profiles are written.";
    DebugDisableLogDropping: "DebugDisableLogDropping", Some("debugDisableLogDropping"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Never drop log lines, even if that slows the agent down.";
    DebugSimulateCalcGraphHangAfter: "DebugSimulateCalcGraphHangAfter", Some("debugSimulateCalcGraphHangAfter"), Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "For tests: stop the calculation after this time.";
    DebugSimulateDataplaneHangAfter: "DebugSimulateDataplaneHangAfter", Some("debugSimulateDataplaneHangAfter"), Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "For tests: stop the dataplane after this time.";
    DebugSimulateDataplaneApplyDelay: "DebugSimulateDataplaneApplyDelay", Some("debugSimulateDataplaneApplyDelay"), Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "For tests: delay every write of the dataplane.";
    DebugPanicAfter: "DebugPanicAfter", None, Kind::Duration(Unit::Seconds), "0", Zero::Allowed, Reach::Any, Change::Live,
        "For tests: fail after this time.";
    DebugSimulateDataRace: "DebugSimulateDataRace", None, Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "For tests: simulate a data race.";
    DebugHost: "DebugHost", Some("debugHost"), Kind::Host, "localhost", Zero::Allowed, Reach::Any, Change::Live,
        "Address of the debug server.";
    DebugPort: "DebugPort", Some("debugPort"), Kind::Int(0, 65535), "", Zero::Allowed, Reach::Any, Change::Live,
        "Port of the debug server; empty is off.";
    RouteSource: "RouteSource", Some("routeSource"), Kind::Word(&["WorkloadIPs", "CalicoIPAM"]), "CalicoIPAM", Zero::Allowed, Reach::Any, Change::Live,
        "Where routes to other nodes come from.";
    RouteTableRange: "RouteTableRange", Some("routeTableRange"), Kind::TableRange, "", Zero::Allowed, Reach::Any, Change::Live,
        "Older form of routeTableRanges.";
    RouteTableRanges: "RouteTableRanges", Some("routeTableRanges"), Kind::TableRanges, "", Zero::Allowed, Reach::Any, Change::Live,
        "Routing tables the agent may use, such as 1-250.";
    RouteSyncDisabled: "RouteSyncDisabled", Some("routeSyncDisabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Program no routes at all.";
    IPv4NormalRoutePriority: "IPv4NormalRoutePriority", Some("ipv4NormalRoutePriority"), Kind::Int(1, 2147483646), "1024", Zero::Allowed, Reach::Any, Change::Live,
        "Metric of IPv4 routes to local workloads.";
    IPv4ElevatedRoutePriority: "IPv4ElevatedRoutePriority", Some("ipv4ElevatedRoutePriority"), Kind::Int(1, 2147483646), "512", Zero::Allowed, Reach::Any, Change::Live,
        "Metric of IPv4 routes during a live migration.";
    IPv6NormalRoutePriority: "IPv6NormalRoutePriority", Some("ipv6NormalRoutePriority"), Kind::Int(1, 2147483646), "1024", Zero::Allowed, Reach::Any, Change::Live,
        "Metric of IPv6 routes to local workloads.";
    IPv6ElevatedRoutePriority: "IPv6ElevatedRoutePriority", Some("ipv6ElevatedRoutePriority"), Kind::Int(1, 2147483646), "512", Zero::Allowed, Reach::Any, Change::Live,
        "Metric of IPv6 routes during a live migration.";
    LiveMigrationRouteConvergenceTime: "LiveMigrationRouteConvergenceTime", Some("liveMigrationRouteConvergenceTime"), Kind::Duration(Unit::Seconds), "30", Zero::Allowed, Reach::Any, Change::Live,
        "How long routes stay elevated after a live migration.";
    IptablesNATOutgoingInterfaceFilter: "IptablesNATOutgoingInterfaceFilter", Some("iptablesNATOutgoingInterfaceFilter"), Kind::Interface, "", Zero::Allowed, Reach::Any, Change::Live,
        "Only masquerade what leaves through this interface.";
    SidecarAccelerationEnabled: "SidecarAccelerationEnabled", Some("sidecarAccelerationEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Let sockets of sidecars bypass the network stack.";
    XDPEnabled: "XDPEnabled", Some("xdpEnabled"), Kind::Flag, "true", Zero::Allowed, Reach::Any, Change::Live,
        "Drop untracked traffic early with XDP.";
    GenericXDPEnabled: "GenericXDPEnabled", Some("genericXDPEnabled"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Use XDP on devices without driver support.";
    GoGCThreshold: "GoGCThreshold", Some("goGCThreshold"), Kind::Int(-1, i32::MAX as i64), "40", Zero::Allowed, Reach::Any, Change::Live,
        "Kept for compatibility: threshold of Go's garbage collector.";
    GoMemoryLimitMB: "GoMemoryLimitMB", Some("goMemoryLimitMB"), Kind::Int(-1, i32::MAX as i64), "-1", Zero::Allowed, Reach::Any, Change::Live,
        "Kept for compatibility: memory limit of Go's runtime.";
    GoMaxProcs: "GoMaxProcs", Some("goMaxProcs"), Kind::Int(-1, i32::MAX as i64), "-1", Zero::Allowed, Reach::Any, Change::Live,
        "Kept for compatibility: CPUs of Go's runtime.";
    MTUIfacePattern: "MTUIfacePattern", Some("mtuIfacePattern"), Kind::Pattern, "^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)", Zero::Allowed, Reach::Any, Change::Live,
        "Interfaces whose smallest MTU the workloads' MTU follows.";
    NftablesRefreshInterval: "NftablesRefreshInterval", Some("nftablesRefreshInterval"), Kind::Duration(Unit::Seconds), "180", Zero::Allowed, Reach::Any, Change::Live,
        "How often nftables rules are compared with the kernel's; 0 never.";
    NftablesFilterAllowAction: "NftablesFilterAllowAction", Some("nftablesFilterAllowAction"), Kind::Word(&["ACCEPT", "RETURN"]), "ACCEPT", Zero::Refused, Reach::Any, Change::Live,
        "What an allowed packet meets next in filter chains.";
    NftablesMangleAllowAction: "NftablesMangleAllowAction", Some("nftablesMangleAllowAction"), Kind::Word(&["ACCEPT", "RETURN"]), "ACCEPT", Zero::Refused, Reach::Any, Change::Live,
        "What an allowed packet meets next in mangle chains.";
    NftablesFilterDenyAction: "NftablesFilterDenyAction", Some("nftablesFilterDenyAction"), Kind::Word(&["DROP", "REJECT"]), "DROP", Zero::Refused, Reach::Any, Change::Live,
        "What happens to a denied packet.";
    NftablesMarkMask: "NftablesMarkMask", Some("nftablesMarkMask"), Kind::Mark, "0xffff0000", Zero::Refused, Reach::Any, Change::Live,
        "Bits of the packet mark that are ours in nftables.";
    RequireMTUFile: "RequireMTUFile", Some("requireMTUFile"), Kind::Flag, "false", Zero::Allowed, Reach::Any, Change::Live,
        "Refuse workloads until the MTU is known.";
    BPFMaglevMaxEndpointsPerService: "BPFMaglevMaxEndpointsPerService", Some("bpfMaglevMaxEndpointsPerService"), Kind::Int(1, 3000), "100", Zero::Allowed, Reach::Any, Change::Live,
        "Most backends of a service with consistent hashing.";
    BPFMaglevMaxServices: "BPFMaglevMaxServices", Some("bpfMaglevMaxServices"), Kind::Int(1, 3000), "100", Zero::Allowed, Reach::Any, Change::Live,
        "Most services with consistent hashing.";
}
