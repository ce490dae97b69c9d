//! The comparison of engines. See README.md, or [`engines::run`] for the options.

fn main() -> std::process::ExitCode {
    engines::run::main()
}
