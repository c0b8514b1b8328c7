//! A machine of its own for a test: namespaces of mounts, network and processes, that end with their first process.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take on a busy computer.
const PATIENCE: Duration = Duration::from_secs(60);
const IMAGE: &str = "localhost/busybox:1";
/// What the page for new users works with.
const EXAMPLES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/getting-started"
);

/// How the agent runs as a service.
const UNIT: &str = include_str!("../../../../deploy/systemd/calico-node.service");

/// Makes the directories private, with a way out: the kernel answers ARP for 169.254.1.1 only if it could route on.
const SET_UP: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
for place in etc opt var/lib; do
    mkdir -p "$1/upper/$place" "$1/work/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=$1/upper/$place,workdir=$1/work/$place" overlay "/$place"
done
rm -rf /var/lib/calico /etc/cni /opt/cni /var/lib/cni /var/lib/containerd
mkdir -p /etc/cni/net.d /opt/cni/bin
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add uplink type veth peer name far-end
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up
ip link set far-end up
ip route add default via 192.0.2.254
echo ready
exec sleep infinity
"#;

/// Why a machine cannot be made here.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("namespaces need root".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in [
        "containerd",
        "ctr",
        "runc",
        "busybox",
        "nft",
        "ip",
        "unshare",
        "nsenter",
        "setpriv",
    ] {
        if !std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
            return Some(format!(
                "{program} is not installed; cargo xtask setup does it"
            ));
        }
    }
    let plugin = beside("calico-cni");
    (!plugin.is_file()).then(|| format!("{} is not built", plugin.display()))
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_calico")).with_file_name(name)
}

/// Waits until something is true.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
    eprintln!("{what} ({} ms)", start.elapsed().as_millis());
}

/// A program that runs on the machine.
pub(crate) struct Program {
    name: String,
    child: Child,
}

/// The machine; it ends when it is dropped.
pub(crate) struct Machine {
    directory: TempDir,
    outer: Child,
    /// Its first process, as seen from outside.
    first: String,
    /// containerd's namespace, whose name cgroups carry.
    namespace: String,
}

impl Machine {
    pub(crate) fn start() -> Machine {
        let directory = tempfile::tempdir().expect("a directory");
        let private = directory.path().join("private");
        let programs = directory.path().join("bin");
        for path in [&private, &programs] {
            fs::create_dir(path).expect("a directory");
        }
        for name in ["calicoctl", "calico-node"] {
            symlink(env!("CARGO_BIN_EXE_calico"), programs.join(name)).expect("a link");
        }
        let mut outer = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["--propagation", "private", "sh", "-c", SET_UP, "sh"])
            .arg(&private)
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut said = [0; 5];
        let mut stdout = outer.stdout.take().expect("piped");
        stdout.read_exact(&mut said).expect("the machine is set up");
        let pid = outer.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        Machine {
            first: children.expect("unshare runs").trim().to_owned(),
            namespace: format!("calico-test-{pid}"),
            directory,
            outer,
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.directory.path().join("bin");
        command
            .args(["--target", &self.first, "--mount", "--net", "--pid", "--"])
            .args(words)
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("NODENAME", "test-node")
            .env("CONTAINERD_NAMESPACE", &self.namespace)
            .stdin(Stdio::null());
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("nsenter starts")
    }

    /// True if a program ends well.
    pub(crate) fn succeeds(&self, words: &[&str]) -> bool {
        self.output(words).status.success()
    }

    /// What a program prints that has to end well.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{words:?}: {printed}{errors}{}",
            self.logs()
        );
        printed
    }

    /// Whether a shell's work ended well, and what it printed.
    pub(crate) fn shell(&self, script: &str) -> (bool, String) {
        let output = self.output(&["sh", "-c", script]);
        let printed = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&printed).into_owned();
        (output.status.success(), text)
    }

    /// A directory with the CNI plugins under their names, as `dist/cni` is.
    pub(crate) fn plugins(&self) -> String {
        let directory = self.directory.path().join("cni");
        fs::create_dir_all(&directory).expect("a directory");
        for name in ["calico", "calico-ipam"] {
            fs::copy(beside("calico-cni"), directory.join(name)).expect("a copy");
        }
        directory.to_string_lossy().into_owned()
    }

    /// Starts a program that stays; its output is in a log of its name.
    pub(crate) fn start_program(&self, name: &str, args: &[&str]) -> Program {
        self.start_logged(name, &[&[name], args].concat())
    }

    /// Starts the agent with no more rights than its systemd unit gives it.
    pub(crate) fn start_agent(&self) -> Program {
        let line = UNIT
            .lines()
            .find_map(|l| l.strip_prefix("CapabilityBoundingSet="));
        let names = line.expect("the unit limits capabilities").to_lowercase();
        let rights = names.replace("cap_", "+").replace(' ', ",");
        let rights = format!("-all,{rights}");
        let limited = [
            "setpriv",
            "--no-new-privs",
            "--inh-caps",
            "-all",
            "--bounding-set",
        ];
        self.start_logged(
            "calico-node",
            &[&limited[..], &[&rights, "calico-node"]].concat(),
        )
    }

    fn start_logged(&self, name: &str, words: &[&str]) -> Program {
        let path = self.directory.path().join(format!("{name}.log"));
        let log = fs::File::options().create(true).append(true).open(path);
        let log = log.expect("a log");
        let errors = log.try_clone().expect("a log");
        let script = r#"echo $$ >"/run/$0.pid" && exec "$@""#;
        let mut command = self.command(&[&["sh", "-c", script, name], words].concat());
        let child = command.stdout(log).stderr(errors).spawn();
        Program {
            name: name.to_owned(),
            child: child.expect("nsenter starts"),
        }
    }

    /// SIGKILL, by the number that the program has inside: nsenter is only its parent.
    pub(crate) fn kill(&self, mut program: Program) {
        let script = r#"kill -KILL "$(cat "/run/$0.pid")""#;
        self.ok(&["sh", "-c", script, &program.name]);
        program.child.wait().expect("nsenter ends with it");
    }

    /// The end of every log.
    fn logs(&self) -> String {
        let entries = fs::read_dir(self.directory.path())
            .into_iter()
            .flatten()
            .flatten();
        let logs = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "log"));
        logs.map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            format!("\n-- {}\n{tail}", entry.file_name().display())
        })
        .collect()
    }

    /// Starts containerd, and gives it an image.
    pub(crate) fn start_containerd(&self) {
        let directory = self.directory.path();
        let config = directory.join("containerd.toml");
        let text = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        fs::write(&config, text).expect("a file");
        self.start_program("containerd", &["--config", &config.to_string_lossy()]);
        until("containerd answers", || self.succeeds(&["ctr", "version"]));
        let image = directory.join("image.tar");
        let maker = format!("{EXAMPLES}/busybox-image.sh");
        let made = Command::new(maker).arg(&image).status();
        assert!(made.expect("sh starts").success(), "an image");
        self.ok(&[
            "ctr",
            "images",
            "import",
            "--snapshotter",
            "native",
            &image.to_string_lossy(),
        ]);
    }

    /// `ctr run --cni`, which adds the container to the network, waits for its end and takes it off again.
    pub(crate) fn start_container(&self, name: &str, script: &str) {
        let run = [
            "ctr",
            "run",
            "--rm",
            "--cni",
            "--snapshotter",
            "native",
            IMAGE,
            name,
        ];
        self.start_logged(name, &[&run[..], &["sh", "-c", script]].concat());
        until(&format!("container {name} runs"), || {
            self.exec(name, "true")
        });
    }

    /// By which name the CNI plugin knows a container of `ctr`.
    pub(crate) fn container_id(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// True if a shell command inside a container ends well.
    pub(crate) fn exec(&self, name: &str, script: &str) -> bool {
        self.succeeds(&[
            "ctr",
            "task",
            "exec",
            "--exec-id",
            "probe",
            name,
            "sh",
            "-c",
            script,
        ])
    }

    /// Kills a container, and waits until the runtime has forgotten it.
    pub(crate) fn stop_container(&self, name: &str) {
        self.ok(&["ctr", "task", "kill", "--signal", "KILL", name]);
        until(&format!("container {name} is gone"), || {
            let listed = self.ok(&["ctr", "container", "ls", "--quiet"]);
            !listed.lines().any(|line| line.trim() == name)
        });
    }

    /// `calicoctl apply` of an example.
    pub(crate) fn apply(&self, example: &str) {
        self.ok(&["calicoctl", "apply", "-f", &format!("{EXAMPLES}/{example}")]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        // Its first process goes with it, and all others with that.
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        // runc makes a cgroup for containerd's namespace and leaves it. It is empty when the last process is gone.
        let start = Instant::now();
        while !self.remove_cgroups() && start.elapsed() < PATIENCE {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Machine {
    /// True if none is left, below any controller, or in the one tree of version 2.
    fn remove_cgroups(&self) -> bool {
        let controllers = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let roots = controllers.map(|entry| entry.path());
        let mut gone = true;
        for root in roots.chain(["/sys/fs/cgroup".into()]) {
            let path = root.join(&self.namespace);
            let containers = fs::read_dir(&path).into_iter().flatten().flatten();
            for container in containers.filter(|entry| entry.path().is_dir()) {
                // Tried again until its processes have ended.
                let _ = fs::remove_dir(container.path());
            }
            let _ = fs::remove_dir(&path);
            gone &= !path.exists();
        }
        gone
    }
}
