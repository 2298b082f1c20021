//! The only binary. No logic of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass::main()
}
