//! The example campaign, carried in the binary.

use crate::error::Error;
use crate::layout::write_file;
use std::path::Path;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/example.rs"));
}

/// Writes the example out where it is not there yet; files that are there stay as they are.
pub fn unpack(dir: &Path) -> Result<(), Error> {
    if embedded::FILES.is_empty() {
        return Err(Error::NoExample);
    }
    for (name, bytes) in embedded::FILES {
        let path = dir.join(name);
        if !path.exists() {
            write_file(&path, bytes)?;
        }
    }
    Ok(())
}
