//! Real servers for tests: each on free ports, with its data in memory below a directory of its own, ended and removed when
//! it is dropped.

mod daemon;
mod etcd;
mod kubernetes;
mod programs;
mod proxy;

pub use etcd::{Guard, RealEtcd};
pub use kubernetes::{KubernetesOptions, Place, RealKubernetes, User};
pub use proxy::Proxy;
