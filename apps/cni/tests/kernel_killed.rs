//! The real executable, killed at each step that can be seen from outside: every message to the kernel and every write to the
//! store, before it and after it. Whatever is left, DEL or GC takes back, and another ADD goes on from there.
//!
//! One test in a program of its own: what it traces it waits for, and it would take other tests' children for its own.

#![cfg(target_arch = "x86_64")]

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::io::Write as _;
use std::path::Path;

use lab::{Conf, Lab, can_run};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};

const PLUGIN: &str = env!("CARGO_BIN_EXE_calico-cni");
/// Waits for a line, so that it can be seized before it becomes the plugin.
const WAITER: [&str; 4] = ["/bin/sh", "-c", "read go; exec \"$0\"", PLUGIN];
/// More steps than any command has.
const MANY: usize = 1000;

/// How a traced command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was killed at the step.
    Killed,
    /// It has fewer steps, and came to its own end.
    Itself,
}

/// What a command is run on.
struct Call<'a> {
    container: &'a str,
    netns: &'a Path,
    conf: &'a Value,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

impl Call<'_> {
    fn run(&self, lab: &Lab, command: &str) -> Value {
        lab.attach(command, self.container, text(self.netns), "", self.conf)
            .result()
    }

    /// Runs a command and kills it at its step number `at`: even ones are before an effect, odd ones after it.
    fn kill_at(&self, lab: &Lab, command: &str, at: usize) -> Ended {
        let environment = [
            ("CNI_CONTAINERID", self.container),
            ("CNI_NETNS", text(self.netns)),
            ("CNI_IFNAME", "eth0"),
        ];
        let mut child = lab.begin(&WAITER, command, &environment);
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
            | ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_TRACEEXEC
            | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).expect("seized");
        ptrace::interrupt(pid).expect("stopped");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = format!("go\n{}", self.conf);
        stdin.write_all(input.as_bytes()).expect("written");
        drop(stdin);
        let ended = follow(pid, at);
        // It is gone; this only lets go of its pipes.
        let _ = child.wait();
        ended
    }
}

/// Lets the traced process go from system call to system call, and kills it at a step.
fn follow(pid: Pid, at: usize) -> Ended {
    let mut is_plugin = false;
    let mut steps = 0;
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).expect("a traced thread");
        let (thread, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                if is_plugin && is_effect(thread) {
                    if steps == at {
                        kill(pid, Signal::SIGKILL).expect("killed");
                        return reap(pid);
                    }
                    steps += 1;
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                is_plugin |= event == ptrace::Event::PTRACE_EVENT_EXEC as i32;
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                if thread == pid {
                    return Ended::Itself;
                }
                continue;
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => continue,
        };
        // A thread that ends in between is waited for like the others.
        let _ = ptrace::syscall(thread, signal);
    }
}

/// Waits until nothing of a killed process is left.
fn reap(pid: Pid) -> Ended {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)).expect("a traced thread") {
            WaitStatus::Signaled(thread, _, _) | WaitStatus::Exited(thread, _) if thread == pid => {
                return Ended::Killed;
            }
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => {}
        }
    }
}

/// Whether a thread stands before or after a message to the kernel or a write.
fn is_effect(thread: Pid) -> bool {
    let Ok(registers) = ptrace::getregs(thread) else {
        return false;
    };
    let number = i64::try_from(registers.orig_rax).unwrap_or(-1);
    let written = [libc::SYS_write, libc::SYS_writev].contains(&number) && registers.rdi > 2;
    written
        || [
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_pwrite64,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
        ]
        .contains(&number)
}

#[test]
fn nothing_leaks_wherever_it_is_killed() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let conf = lab.conf(&Conf::from([("log_level", json!("error"))]));
    let add = adds(&lab, &conf);
    let del = dels(&lab, &conf);
    eprintln!("killed at {add} steps of ADD and {del} of DEL");
    assert!(add > 40 && del > 10, "{add} {del}");
    assert!(add < MANY && del < MANY);
}

/// ADD killed at every step. In turn: DEL takes back what is left; ADD goes on from there; GC takes it.
fn adds(lab: &Lab, conf: &Value) -> usize {
    let gc = {
        let mut gc = conf.clone();
        gc["cni.dev/valid-attachments"] = json!([]);
        gc
    };
    for at in 0..MANY {
        let container = format!("a{at}");
        let netns = lab.container(&container);
        let call = Call {
            container: &container,
            netns: &netns,
            conf,
        };
        let ended = call.kill_at(lab, "ADD", at);
        match at % 3 {
            0 => {
                call.run(lab, "DEL");
            }
            1 => {
                let result = call.run(lab, "ADD");
                assert_eq!(result["ips"].as_array().map(Vec::len), Some(2), "{at}");
                assert_eq!(lab.links().len(), 1, "{at}");
                call.run(lab, "DEL");
            }
            _ => {
                lab.run("GC", &[], &gc).result();
            }
        }
        lab.assert_clean();
        lab.delete_container(&container);
        if ended == Ended::Itself {
            return at;
        }
    }
    MANY
}

/// DEL killed at every step: another DEL goes on.
fn dels(lab: &Lab, conf: &Value) -> usize {
    for at in 0..MANY {
        let container = format!("d{at}");
        let netns = lab.container(&container);
        let call = Call {
            container: &container,
            netns: &netns,
            conf,
        };
        call.run(lab, "ADD");
        let ended = call.kill_at(lab, "DEL", at);
        call.run(lab, "DEL");
        lab.assert_clean();
        lab.delete_container(&container);
        if ended == Ended::Itself {
            return at;
        }
    }
    MANY
}
