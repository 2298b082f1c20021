//! `windlass completions SHELL` and `windlass man`: what shells and man read, made from what clap reads.

use crate::error::Error;
use crate::reference::command_line;
use crate::session::Session;
use std::path::{Path, PathBuf};

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write one page per command into this folder, instead of the first one to standard output
    #[arg(long, value_name = "D")]
    pub dir: Option<PathBuf>,
}

/// Prints the script.
pub fn run(args: &Args, session: &Session) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line(), "windlass", &mut script);
    session.raw(&script)
}

/// Prints or writes the pages.
pub fn man(args: &ManArgs, session: &Session) -> Result<(), Error> {
    let mut root = command_line();
    root.build();
    let Some(dir) = &args.dir else { return session.raw(&render(&root, "windlass")?) };
    let failed = |source| Error::File { operation: "write", path: dir.clone(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let pages = write(&root, "windlass", dir)?;
    session.say(&format!("{pages} pages in {}", dir.display()));
    Ok(())
}

/// One page per command, `windlass-lever-add.1`, and those below it.
fn write(command: &clap::Command, name: &str, dir: &Path) -> Result<usize, Error> {
    let path = dir.join(format!("{name}.1"));
    let failed = |source| Error::File { operation: "write", path: path.clone(), source };
    std::fs::write(&path, render(command, name)?).map_err(failed)?;
    let mut pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        pages += write(below, &format!("{name}-{}", below.get_name()), dir)?;
    }
    Ok(pages)
}

fn render(command: &clap::Command, name: &str) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned());
    clap_mangen::Man::new(titled)
        .render(&mut page)
        .map_err(|source| Error::System { operation: "make a manual page", source })?;
    Ok(page)
}
