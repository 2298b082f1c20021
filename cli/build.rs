//! Embeds examples/digits, so that the installed binary can run its demo anywhere.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let example = root.join("../examples/digits");
    println!("cargo::rerun-if-changed=../examples/digits");
    let mut files = Vec::new();
    if example.is_dir() {
        collect(&example, &example, &mut files);
    } else {
        println!("cargo::warning=examples/digits is absent: this build of windlass has no demo");
    }
    files.sort();
    let mut code = String::from("pub static FILES: &[(&str, &[u8])] = &[\n");
    // No absolute path: a copy of the tree that shares the target folder shares this file too.
    for name in files {
        let place = format!("/../examples/digits/{name}");
        writeln!(code, "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {place:?}))),")
            .expect("a string takes it all");
    }
    code.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("example.rs");
    std::fs::write(out, code).expect("the build folder can be written");
}

/// What a run or git leaves behind is no part of the example.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the example can be read").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if name == "__pycache__" || name == "sandbox" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let inside = path.strip_prefix(root).expect("below the root");
            files.push(inside.to_str().expect("example names are UTF-8").to_owned());
        }
    }
}
