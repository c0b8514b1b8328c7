//! The demo's ground: node and outside, directories, the agent, the pods.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Family;
use serde_json::{Value, json};

use super::backend::{Backend, Opener};
use super::stages::{FAR, PODS, PodSpec};
use super::{PREFIX, Plan, Programs, Tally};
use crate::cluster::{Cluster, Host};
use crate::cni::{self, Attachment, Runtime};
use crate::probe::Servers;

/// The demo's node.
const NODE: &str = "demo-node";

/// Pools of the demo; the far ends answer to the node's own address.
const POOLS: [(&str, &str); 2] = [
    ("CALICO_IPV4POOL_CIDR", "10.65.0.0/16"),
    ("CALICO_IPV6POOL_CIDR", "fd65::/112"),
];

/// How long the agent may take from start to ready.
const READY: Duration = Duration::from_secs(30);

/// A pod that runs.
pub(crate) struct Pod {
    pub(crate) spec: PodSpec,
    pub(crate) host: Host,
    /// One of each family.
    pub(crate) addrs: [IpAddr; 2],
    attachment: Attachment,
    result: Value,
    _servers: Servers,
}

/// All that stands.
pub(crate) struct Site {
    programs: Programs,
    directory: PathBuf,
    pub(crate) cluster: Cluster,
    runtime: Runtime,
    pods: RefCell<Vec<Pod>>,
    agent: RefCell<Option<Child>>,
    backend: Backend,
    _far: Servers,
}

impl Site {
    /// Makes directories, namespaces, configuration; starts nothing of Calico's.
    pub(crate) fn create(plan: &Plan, directory: &Path) -> Result<Self> {
        let programs = &plan.programs;
        let plugins = directory.join("cni");
        for path in [plugins.clone(), directory.join("bin")] {
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        link(&programs.cni, &plugins, &["calico", "calico-ipam"])?;
        link(
            &programs.calico,
            &directory.join("bin"),
            &["calicoctl", "calico-node"],
        )?;
        let cluster = Cluster::create(PREFIX, &FAR.map(|far| far.addr))?;
        let backend = Backend::start(plan.store, &cluster.node, NODE)?;
        let list = conflist(directory, &backend);
        let path = directory.join("10-calico.conflist");
        fs::write(&path, format!("{list:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let far = Servers::start_at(cluster.outside.netns(), &FAR.map(|far| far.addr))?;
        Ok(Self {
            programs: programs.clone(),
            directory: directory.to_owned(),
            runtime: Runtime {
                list,
                plugins,
                log: directory.join("cni.log"),
            },
            cluster,
            pods: RefCell::new(Vec::new()),
            agent: RefCell::new(None),
            backend,
            _far: far,
        })
    }

    /// What every program of Calico's is told here: the store, the name, and where files go.
    fn environment(&self, opener: Opener) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let mut environment = vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("NODENAME", NODE.to_owned()),
            ("IP6", "autodetect".to_owned()),
            ("CALICO_NODENAME_FILE", path("nodename")),
            ("CALICO_MTU_FILE", path("mtu")),
            ("FELIX_ENDPOINTSTATUSPATHPREFIX", path("run")),
            ("FELIX_HEALTHENABLED", "true".to_owned()),
            ("FELIX_LOGSEVERITYSCREEN", "Info".to_owned()),
        ];
        environment.extend(POOLS.map(|(name, pool)| (name, pool.to_owned())));
        environment.extend(self.backend.environment(opener, &self.directory));
        environment
    }

    /// Starts `calico-node` in the node's namespace and waits until it says that it is ready.
    pub(crate) fn start_agent(&self) -> Result<Duration> {
        let path = self.directory.join("calico-node.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let errors = log.try_clone().context("cannot share the agent's log")?;
        let start = Instant::now();
        let mut command = Command::new(self.directory.join("bin/calico-node"));
        command
            .env_clear()
            .envs(self.environment(Opener::Agent))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let child = self.cluster.node.spawn(&mut command)?;
        self.agent.replace(Some(child));
        loop {
            if self.is_ready() {
                break;
            }
            if let Some(agent) = self.agent.borrow_mut().as_mut()
                && let Some(status) = agent.try_wait().context("cannot ask for the agent")?
            {
                bail!("calico-node ended ({status}) before it was ready; its log is above");
            }
            if start.elapsed() > READY {
                bail!("calico-node is not ready after {READY:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        println!(
            "calico-node is ready after {} ms",
            start.elapsed().as_millis()
        );
        Ok(start.elapsed())
    }

    /// Asks the health endpoint, which listens inside the node's namespace.
    fn is_ready(&self) -> bool {
        let ask = || -> Result<bool> {
            let address = SocketAddr::from(([127, 0, 0, 1], 9099));
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /readiness HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            let status = answer.split_whitespace().nth(1).unwrap_or_default();
            Ok(status.starts_with('2'))
        };
        self.cluster.node.inside(ask).unwrap_or(false)
    }

    /// SIGKILL, and nothing else.
    pub(crate) fn kill_agent(&self) -> Result<()> {
        let Some(mut agent) = self.agent.borrow_mut().take() else {
            bail!("the agent does not run");
        };
        agent.kill().context("cannot kill the agent")?;
        agent.wait().context("cannot wait for the killed agent")?;
        Ok(())
    }

    /// `calicoctl` as this site's user has it.
    pub(crate) fn calicoctl(&self) -> Calicoctl<'_> {
        Calicoctl {
            program: self.directory.join("bin/calicoctl"),
            environment: self.environment(Opener::Calicoctl),
            node: &self.cluster.node,
        }
    }

    /// Makes the Namespaces of a file in the way of the store.
    pub(crate) fn make_namespaces(&self, file: &Path) -> Result<()> {
        match self.backend.make_namespaces(file)? {
            true => Ok(()),
            false => self.apply(file),
        }
    }

    /// `calicoctl apply -f FILE`.
    pub(crate) fn apply(&self, file: &Path) -> Result<()> {
        let printed = self
            .calicoctl()
            .run(&["apply", "-f", &file.to_string_lossy()])?;
        for line in printed.lines() {
            println!("   {line}");
        }
        Ok(())
    }

    /// Makes the pods as a container runtime does.
    pub(crate) fn add_pods(&self, tally: &mut Tally) -> Result<()> {
        for spec in PODS {
            let host = self
                .cluster
                .pod(&format!("{}-{}", spec.namespace, spec.name))?;
            self.backend.make_pod(spec, NODE);
            let attachment = attachment(spec, &host);
            let start = Instant::now();
            let result = self.runtime.add(&self.cluster.node, &attachment)?;
            let took = start.elapsed();
            let addresses = cni::addresses(&result)?;
            let [v4, v6] = addresses[..] else {
                bail!(
                    "the CNI plugin gave {} these addresses, not one of each family: {addresses:?}",
                    spec.title()
                );
            };
            println!(
                "CNI ADD {:13} {} in {:.0} ms",
                spec.title(),
                addresses
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" "),
                took.as_secs_f64() * 1e3
            );
            let check = self.runtime.check(&self.cluster.node, &attachment, &result);
            tally.check(
                check.is_ok(),
                format_args!("CNI CHECK of {}: {check:?}", spec.title()),
            );
            let servers = Servers::start(host.netns())?;
            self.pods.borrow_mut().push(Pod {
                spec: *spec,
                host,
                addrs: [v4, v6],
                attachment,
                result,
                _servers: servers,
            });
        }
        Ok(())
    }

    /// All pods that run.
    pub(crate) fn pods(&self) -> std::cell::Ref<'_, Vec<Pod>> {
        self.pods.borrow()
    }

    /// Where a name of a round leads in a family: a pod, or a far end.
    pub(crate) fn address_of(&self, title: &str, family: Family) -> Result<IpAddr> {
        let pods = self.pods();
        let pod = pods.iter().find(|pod| pod.spec.title() == title);
        let far = FAR
            .iter()
            .filter(|far| far.title == title)
            .map(|far| far.addr);
        pod.into_iter()
            .flat_map(|pod| pod.addrs)
            .chain(far)
            .find(|addr| Family::of(*addr) == family)
            .with_context(|| format!("{title} has no address of that family"))
    }

    /// Removes the pods by CNI DEL, twice each, and sees that nothing of theirs stays on the node.
    pub(crate) fn remove(self, tally: &mut Tally) -> Result<()> {
        println!("\n== pods are removed, then the node");
        let pods = self.pods.take();
        for pod in &pods {
            for time in ["first", "second"] {
                let deleted =
                    self.runtime
                        .delete(&self.cluster.node, &pod.attachment, Some(&pod.result));
                tally.check(
                    deleted.is_ok(),
                    format_args!("{time} CNI DEL of {}: {deleted:?}", pod.spec.title()),
                );
            }
            self.backend.remove_pod(&pod.spec);
        }
        let left = self.workload_links()?;
        tally.check(
            left.is_empty(),
            format_args!("interfaces left on the node: {left:?}"),
        );
        let endpoints = self.calicoctl().run(&[
            "get",
            "workloadendpoints",
            "--all-namespaces",
            "-o",
            "json",
        ])?;
        let endpoints: Value =
            serde_json::from_str(&endpoints).context("cannot read calicoctl's JSON")?;
        let count = endpoints["items"].as_array().map_or(0, Vec::len);
        tally.check(
            count == 0,
            format_args!("{count} endpoints left in the store"),
        );
        drop(pods);
        if let Some(mut agent) = self.agent.take() {
            agent.kill().context("cannot end the agent")?;
            agent.wait().context("cannot wait for the agent")?;
        }
        self.cluster.destroy()
    }

    fn workload_links(&self) -> Result<Vec<String>> {
        self.cluster.node.inside(|| {
            let text = fs::read_to_string("/proc/thread-self/net/dev")
                .context("cannot list interfaces")?;
            Ok(workload_links(&text))
        })
    }

    /// Leaves everything, and says what can be done with it.
    pub(crate) fn keep(self) {
        let directory = self.directory.display();
        println!("\nThe cluster stays up. As root:\n");
        for (name, value) in self.environment(Opener::Calicoctl) {
            if name != "PATH" {
                println!("  export {name}={value}");
            }
        }
        println!("  export PATH={directory}/bin:$PATH\n");
        println!("  calicoctl get workloadendpoints -A");
        println!("  calicoctl explain --from shop/web --to shop/db --port 8080/TCP");
        println!(
            "  ip netns exec {} nft list table inet calico",
            self.cluster.node.name()
        );
        for pod in self.pods().iter() {
            println!(
                "  ip netns exec {:26} # {} {}",
                pod.host.name(),
                pod.spec.title(),
                pod.addrs[0]
            );
        }
        println!(
            "\nThe pods' servers ended with the demo; log of the agent: {directory}/calico-node.log"
        );
        println!("To remove it: {} clean", self.lab_program());
    }

    fn lab_program(&self) -> String {
        let path = std::env::current_exe()
            .unwrap_or_else(|_| self.programs.calico.with_file_name("calico-lab"));
        path.to_string_lossy().into_owned()
    }

    /// The end of each log, for whoever has to find out why.
    pub(crate) fn print_logs(&self) {
        for name in ["calico-node.log", "cni.log"] {
            let text = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            println!("-- the end of {name}");
            for line in lines.iter().skip(lines.len().saturating_sub(25)) {
                println!("   {line}");
            }
        }
    }
}

/// The command line tool, with the store to use.
pub(crate) struct Calicoctl<'s> {
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    node: &'s Host,
}

impl Calicoctl<'_> {
    /// Runs it with these words; what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.node.spawn(&mut command)?;
        let output = child
            .wait_with_output()
            .context("cannot wait for calicoctl")?;
        if !output.status.success() {
            bail!(
                "calicoctl {} failed ({}): {}{}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The network as a runtime's configuration directory would hold it.
fn conflist(directory: &Path, backend: &Backend) -> Value {
    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let mut plugin = json!({
        "type": "calico",
        "nodename": NODE,
        "nodename_file": path("nodename"),
        "log_level": "info",
        "log_file_path": path("cni-plugin.log"),
        "endpoint_status_dir": path("run/endpoint-status"),
        "policy_setup_timeout_seconds": 10,
        "mtu": 1450,
        "ipam": {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"},
        "ipam_lock_file": path("ipam.lock"),
        "policy": {"type": "k8s"},
    });
    let store = backend.plugin_fields(directory);
    for (field, value) in store.as_object().into_iter().flatten() {
        plugin[field] = value.clone();
    }
    json!({"name": "k8s-pod-network", "cniVersion": "1.0.0", "plugins": [plugin]})
}

fn attachment(spec: &PodSpec, host: &Host) -> Attachment {
    let container = format!("demo{}{}", spec.namespace, spec.name);
    Attachment {
        args: format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={container}",
            spec.namespace, spec.name
        ),
        container,
        netns: host.path(),
        labels: vec![("app".to_owned(), spec.name.to_owned())],
    }
}

fn link(program: &Path, directory: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        let path = directory.join(name);
        std::os::unix::fs::symlink(program, &path)
            .with_context(|| format!("cannot link {}", path.display()))?;
    }
    Ok(())
}

fn workload_links(net_dev: &str) -> Vec<String> {
    net_dev
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name.starts_with("cali"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_told_where_everything_is() {
        let list = conflist(Path::new("/d"), &Backend::Embedded);
        let plugin = &list["plugins"][0];
        assert_eq!(plugin["datastore_file"], "/d/datastore.db");
        assert_eq!(plugin["endpoint_status_dir"], "/d/run/endpoint-status");
    }

    #[test]
    fn workload_links_are_found() {
        assert_eq!(
            workload_links(" face |x\n  eth0: 1\n cali12: 2 3\n"),
            ["cali12"]
        );
    }
}
