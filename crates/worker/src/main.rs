//! The command `worker`.

fn main() -> std::process::ExitCode {
    worker::main()
}
