//! The command `master`.

fn main() -> std::process::ExitCode {
    master::cli::main()
}
