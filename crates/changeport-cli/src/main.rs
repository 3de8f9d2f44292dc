//! The command `changeport`.

fn main() -> std::process::ExitCode {
    changeport_cli::main()
}
