//! Hosts and pods as network namespaces: made with names that carry the run's prefix, removed with all that runs in them.
//!
//! ```text
//!   pods -- cali* [node] eth0 -- uplink [outside: router, and two far addresses on its loopback]
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use linux::netns::{self, NetNs, NetNsId, in_netns};
use linux::route::{
    Address, DuplicateDetection, LinkRef, LinkState, NextHop, Route, RouteSocket, Scope, Veth,
    VethEnd,
};
use linux::sysctl::{self, SysctlPath, SysctlValue};
use model::{Cidr, Family};
use rustix::process::{Pid, Signal};

/// The node's addresses on its uplink.
pub const NODE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(172, 30, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, 1)),
];

/// The router's, at the other end.
pub const ROUTER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(172, 30, 0, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd30, 0, 0, 0, 0, 0, 0, 0xfe)),
];

/// How long killed processes may take to end.
const END: Duration = Duration::from_secs(10);

/// A namespace with its name.
pub struct Host {
    name: String,
    netns: NetNs,
}

impl Host {
    fn create(name: String) -> Result<Self> {
        let netns = netns::create(&name)?;
        let mut socket = RouteSocket::open_in(&netns)?;
        socket.change(|changes| _ = changes.set_state(LinkRef::Name("lo"), LinkState::Up))?;
        Ok(Self { name, netns })
    }

    /// What `ip netns exec` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that names it, as container runtimes pass it on.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// The open namespace.
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    /// Runs a function inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_netns(&self.netns, work)
            .with_context(|| format!("cannot enter network namespace {}", self.name))?
    }

    /// Starts a program inside: a process begins in the namespace of the thread that starts it.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let program = command.get_program().to_os_string();
        self.inside(|| {
            command
                .spawn()
                .with_context(|| format!("cannot start {}", OsStr::display(&program)))
        })
    }
}

/// One node, the world outside it, and its pods.
pub struct Cluster {
    prefix: String,
    /// The machine that runs the agent.
    pub node: Host,
    /// The world behind the node's router.
    pub outside: Host,
}

impl Cluster {
    /// Makes node and outside. `far` are addresses that answer beyond the router.
    pub fn create(prefix: &str, far: &[IpAddr]) -> Result<Self> {
        let cluster = Self {
            prefix: prefix.to_owned(),
            node: Host::create(format!("{prefix}-node"))?,
            outside: Host::create(format!("{prefix}-outside"))?,
        };
        cluster
            .connect(far)
            .context("cannot connect the node to the outside")?;
        Ok(cluster)
    }

    fn connect(&self, far: &[IpAddr]) -> Result<()> {
        let end = |name| VethEnd {
            name,
            mac: None,
            mtu: None,
        };
        let mut outside = RouteSocket::open_in(self.outside.netns())?;
        outside.change(|changes| {
            changes.add_veth(&Veth {
                host: end("uplink"),
                host_state: LinkState::Up,
                peer: end("eth0"),
                peer_netns: Some(self.node.netns().as_fd()),
                queues: None,
            });
        })?;
        let mut node = RouteSocket::open_in(self.node.netns())?;
        node.change(|changes| _ = changes.set_state(LinkRef::Name("eth0"), LinkState::Up))?;
        address(&mut node, "eth0", &NODE)?;
        address(&mut outside, "uplink", &ROUTER)?;
        for family in [Family::V4, Family::V6] {
            let gateway = ROUTER
                .into_iter()
                .find(|addr| Family::of(*addr) == family)
                .context("the router has an address of each family")?;
            // Without a way out the node would not answer ARP for 169.254.1.1: the kernel proxies only what it could route.
            let route = Route::by(everything(family)?, NextHop::gateway(gateway));
            node.change(|changes| _ = changes.add_route(&route))?;
        }
        let loopback = index(&mut outside, "lo")?;
        for addr in far {
            outside.change(|changes| _ = changes.add_address(&Address::host(loopback, *addr)))?;
        }
        self.outside.inside(forward)
    }

    /// An empty namespace for a pod; the CNI plugin brings its interface.
    pub fn pod(&self, name: &str) -> Result<Host> {
        Host::create(format!("{}-{name}", self.prefix))
    }

    /// Removes everything with the prefix.
    pub fn destroy(self) -> Result<()> {
        sweep(&self.prefix).map(|_| ())
    }
}

fn everything(family: Family) -> Result<Cidr> {
    let text = match family {
        Family::V4 => "0.0.0.0/0",
        Family::V6 => "::/0",
    };
    text.parse().map_err(|error| anyhow!("{text}: {error}"))
}

fn index(socket: &mut RouteSocket, name: &str) -> Result<linux::route::LinkIndex> {
    let link = socket.link(LinkRef::Name(name))?;
    Ok(link.with_context(|| format!("no interface {name}"))?.index)
}

/// Gives an interface the addresses of both families.
fn address(socket: &mut RouteSocket, name: &str, addrs: &[IpAddr]) -> Result<()> {
    let link = index(socket, name)?;
    for addr in addrs {
        let prefix_len = match Family::of(*addr) {
            Family::V4 => 24,
            Family::V6 => 64,
        };
        let address = Address {
            link,
            addr: *addr,
            prefix_len,
            scope: Scope::Universe,
            duplicate_detection: DuplicateDetection::Off,
        };
        socket.change(|changes| _ = changes.add_address(&address))?;
    }
    Ok(())
}

fn forward() -> Result<()> {
    for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        sysctl::write(&SysctlPath::dotted(name)?, &SysctlValue::from(1))?;
    }
    Ok(())
}

/// Ends every process inside the namespaces whose names begin so, and removes them. Returns how many there were.
pub fn sweep(prefix: &str) -> Result<usize> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{prefix}-")) {
            names.push(name);
        }
    }
    let ids: BTreeSet<NetNsId> = names
        .iter()
        .filter_map(|name| NetNs::named(name).ok()?.id().ok())
        .collect();
    end_processes(&ids)?;
    for name in &names {
        match netns::delete(name) {
            Err(error) if !error.is_absent() => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(names.len())
}

fn end_processes(namespaces: &BTreeSet<NetNsId>) -> Result<()> {
    let deadline = Instant::now() + END;
    loop {
        let inside = processes_in(namespaces);
        if inside.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes {inside:?} do not end");
        }
        for pid in inside {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn processes_in(namespaces: &BTreeSet<NetNsId>) -> Vec<Pid> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            NetNs::of_process(*pid)
                .ok()
                .and_then(|netns| netns.id().ok())
                .is_some_and(|id| namespaces.contains(&id))
        })
        // A zombie has left its namespace, so what is left can be killed.
        .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        .collect()
}
