//! Network namespaces of a measure: one host, and pods as the CNI plugin leaves them. All go with the value.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use datastore::Write;
use linux::netns::{self, NetNs};
use linux::route::{Address, LinkRef, LinkState, NextHop, Route, RouteSocket, Veth, VethEnd};
use model::{Cidr, Family, Key, Mac, Resource, WorkloadEndpoint, WorkloadEndpointId};

/// Where an agent tells its numbers, in its own namespace.
const METRICS_PORT: u16 = 9091;

/// A named network namespace that is deleted with the value.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) netns: NetNs,
}

impl Host {
    pub(crate) fn new(kind: &str) -> anyhow::Result<Host> {
        let name = format!("cbench-{kind}-{}", std::process::id());
        let netns = netns::create(&name)?;
        let host = Host { name, netns };
        netns::in_netns(&host.netns, || -> anyhow::Result<()> {
            let mut routes = RouteSocket::open()?;
            routes.change(|c| {
                c.set_state(LinkRef::Name("lo"), LinkState::Up);
            })?;
            for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/{path}"), "1").context(path)?;
            }
            Ok(())
        })??;
        Ok(host)
    }

    /// A command that runs inside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg(program);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = netns::delete(&self.name) {
            eprintln!("calico-bench: {error}");
        }
    }
}

/// The interface of a pod on its host.
pub(crate) fn interface(pod: usize) -> String {
    format!("cali{pod}")
}

/// The address of a pod.
pub(crate) fn address(pod: usize) -> IpAddr {
    let [high, low] = u16::try_from(pod + 2).unwrap_or(u16::MAX).to_be_bytes();
    [10, 65, high, low].into()
}

/// Joins a pod to its host: veth, address, routes, proxy ARP.
pub(crate) fn join(host: &Host, pod: usize) -> anyhow::Result<NetNs> {
    let netns = NetNs::unnamed()?;
    let (name, addr) = (interface(pod), address(pod));
    netns::in_netns(&host.netns, || -> anyhow::Result<()> {
        let mut routes = RouteSocket::open()?;
        let veth = Veth {
            host: VethEnd {
                name: &name,
                mac: Some(Mac([0xee; 6])),
                mtu: None,
            },
            host_state: LinkState::Up,
            peer: VethEnd {
                name: "eth0",
                mac: None,
                mtu: None,
            },
            peer_netns: Some(netns.as_fd()),
            queues: None,
        };
        routes.change(|c| {
            c.add_veth(&veth);
        })?;
        let link = routes
            .link(LinkRef::Name(&name))?
            .context("the link that was just made")?;
        routes.change(|c| {
            c.replace_route(&Route {
                priority: 1024,
                ..Route::over(Cidr::host(addr), link.index)
            });
        })?;
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/proxy_arp"), "1")?;
        std::fs::write(format!("/proc/sys/net/ipv4/neigh/{name}/proxy_delay"), "0")?;
        // Proxy ARP answers only for what is routed another way.
        routes.change(|c| {
            let unused = Cidr::new([169, 254, 0, 0].into(), 16);
            c.replace_route(&Route::over(unused, linux::route::LinkIndex(1)));
        })?;
        Ok(())
    })??;
    netns::in_netns(&netns, || -> anyhow::Result<()> {
        let mut routes = RouteSocket::open()?;
        let link = routes
            .link(LinkRef::Name("eth0"))?
            .context("the pod's link")?
            .index;
        let gateway: IpAddr = [169, 254, 1, 1].into();
        routes.change(|c| {
            c.set_state(LinkRef::Name("lo"), LinkState::Up);
            c.set_state(LinkRef::Index(link), LinkState::Up);
            c.replace_address(&Address::host(link, addr));
            c.replace_route(&Route::over(Cidr::host(gateway), link));
            let hop = NextHop {
                link: Some(link),
                ..NextHop::gateway(gateway)
            };
            c.replace_route(&Route::by(Cidr::any(Family::V4), hop));
        })?;
        Ok(())
    })??;
    Ok(netns)
}

/// Joins pods 0, 1, ... to their host.
pub(crate) fn join_all(host: &Host, pods: usize) -> anyhow::Result<Vec<NetNs>> {
    (0..pods).map(|pod| join(host, pod)).collect()
}

/// The endpoints of these pods, with the label `app=bench`.
pub(crate) fn endpoints(pods: usize) -> anyhow::Result<Vec<Write>> {
    let write = |pod| {
        let key = Key::WorkloadEndpoint(WorkloadEndpointId {
            node: "bench".into(),
            orchestrator: "cni".into(),
            namespace: "default".into(),
            workload: format!("pod{pod}").into(),
            endpoint: "eth0".into(),
        });
        let endpoint = WorkloadEndpoint {
            labels: [("app".into(), "bench".into())].into(),
            container_id: Some(format!("pod{pod}").into()),
            interface: interface(pod).into(),
            nets: vec![Cidr::host(address(pod))],
            ..WorkloadEndpoint::default()
        };
        let (key, value) = api::encode(&key, &Resource::WorkloadEndpoint(endpoint))?;
        Ok(Write::put(key, value))
    };
    (0..pods).map(write).collect()
}

/// An agent that runs in a host and ends with the value.
pub(crate) struct Agent {
    pub(crate) process: Child,
    directory: std::path::PathBuf,
    /// The host it runs on.
    netns: NetNs,
}

impl Agent {
    /// Starts calico-node on an empty store and waits until it is ready.
    pub(crate) fn start(host: &Host, bin: &Path) -> anyhow::Result<Agent> {
        let directory = std::env::temp_dir().join(format!("cbench-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let mut command = host.command(&bin.join("calico-node"));
        environment(&mut command, &directory);
        let process = command
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start calico-node")?;
        let agent = Agent {
            process,
            directory,
            netns: NetNs::named(&host.name)?,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut probe = host.command(&bin.join("calico-node"));
            environment(&mut probe, &agent.directory);
            probe
                .arg("-felix-ready")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if probe.status()?.success() {
                return Ok(agent);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "calico-node is not ready after 20 s"
            );
        }
    }

    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.directory.join("datastore.db")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Messages that the agent has sent to the kernel so far, when no more are coming.
    pub(crate) fn netlink_messages(&self) -> anyhow::Result<u64> {
        let mut before = self.metric("calico_netlink_messages")?;
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.metric("calico_netlink_messages")?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }

    /// One of its numbers, as Prometheus reads them.
    fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let page = netns::in_netns(&self.netns, || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", METRICS_PORT))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        })?
        .context("failed to read the agent's metrics")?;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("the agent has no metric {name}"))?;
        value
            .trim()
            .parse()
            .with_context(|| format!("metric {name} is {value}"))
    }

    /// The agent's own process: nsenter becomes it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Whatever fails here, the process and the directory are gone or the user sees them.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where an agent of a measure keeps its things.
pub(crate) fn environment(command: &mut Command, directory: &Path) {
    command
        .env("NODENAME", "bench")
        .env("DATASTORE_TYPE", "embedded")
        .env("CALICO_DATASTORE_FILE", directory.join("datastore.db"))
        .env("CALICO_NODENAME_FILE", directory.join("nodename"))
        .env("CALICO_MTU_FILE", directory.join("mtu"))
        .env("FELIX_PROMETHEUSMETRICSENABLED", "true")
        .env("FELIX_PROMETHEUSMETRICSPORT", METRICS_PORT.to_string())
        .env("FELIX_ENDPOINTSTATUSPATHPREFIX", directory)
        .env("CALICO_IPV4POOL_CIDR", "10.65.0.0/16")
        .env("CALICO_IPV6POOL_CIDR", "none");
}
