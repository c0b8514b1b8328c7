//! The executable of both plugins.

fn main() -> std::process::ExitCode {
    cni::main()
}
