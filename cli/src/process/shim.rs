//! `windlass shim DIR`, before any runtime or argument parser: a shim per attempt must stay small.

use std::process::ExitCode;

/// Becomes a shim if this process was started as one.
pub fn dispatch() -> Option<ExitCode> {
    windlass_worker::shim::requested(std::env::args_os()).map(|dir| windlass_worker::shim::main(&dir))
}
