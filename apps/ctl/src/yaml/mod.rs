//! YAML as the Go world has it: read with YAML 1.1 words and positions, written byte for byte as `sigs.k8s.io/yaml` does.

mod emit;
mod read;
mod resolve;
mod scalar;

pub(crate) use emit::to_yaml;
pub(crate) use read::{Located, Source, documents};
