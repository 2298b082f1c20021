//! The folder of an analysis attempt (P21): the run's workspace where it is still at hand, else one rebuilt
//! from its tree; the results so far, the run's log, the scripts, and earlier iterations' results.

use super::{Owned, fetch, folder_of_tree, workspace};
use crate::driver::blocking;
use crate::error::Error;
use crate::shop::{Shop, persist};
use crate::spool::AttemptDir;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use windlass_proto::v1;
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::plan::Script;

/// Prepares everything in `dir`.
pub(super) async fn prepare(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let run = order.run.clone().ok_or_else(|| Error::Order { field: "run", value: "none".to_owned() })?;
    let at_hand = {
        let (kept, dir) = (shop.work.kept(&run)?, dir.clone());
        blocking(move || take_kept(&kept, &dir)).await?
    };
    if !at_hand {
        workspace::lay(shop, order, dir, stop).await?;
        if let Some(artifacts) = order.run_artifacts {
            workspace::lay_artifacts(shop, artifacts, dir).await?;
        }
        read_log(shop, &run, &dir.run_log()).await?;
    }
    if let Some(results) = order.results {
        folder_of_tree(shop, (results, &[]), &dir.results(), Owned::All).await?;
    }
    let history = dir.history();
    blocking(move || fs::create_dir_all(&history).map_err(Error::file("create", &history))).await?;
    for (iteration, tree) in &order.history {
        let root = dir.history().join(format!("iter{iteration}")).join("results");
        folder_of_tree(shop, (*tree, &[]), &root, Owned::None).await?;
    }
    let blobs = order.scripts.iter().filter_map(|one| match &one.script {
        Script::Blob { digest, .. } => Some(*digest),
        Script::Named(_) => None,
    });
    fetch(shop, blobs.collect()).await?;
    let (shop, order, dir) = (shop.clone(), order.clone(), dir.clone());
    blocking(move || place_scripts(&shop, &order, &dir)).await
}

/// Moves the run's workspace here and copies its log; false when it is not kept here.
fn take_kept(kept: &AttemptDir, dir: &AttemptDir) -> Result<bool, Error> {
    if !kept.workspace().is_dir() || !kept.log().is_file() {
        return Ok(false);
    }
    fs::copy(kept.log(), dir.run_log()).map_err(Error::file("copy", &kept.log()))?;
    kept.move_workspace(dir)
}

/// Puts the workspace where the next analysis of this run looks for it.
pub(super) fn give_back(shop: &Shop, run: &AttemptKey, dir: &AttemptDir) -> Result<(), Error> {
    let kept = shop.work.kept(run)?;
    if kept.workspace().exists() {
        return Ok(());
    }
    fs::create_dir_all(kept.path()).map_err(Error::file("create", kept.path()))?;
    fs::rename(dir.run_log(), kept.log()).map_err(Error::file("give back", &kept.log()))?;
    dir.move_workspace(&kept).map(drop)
}

async fn read_log(shop: &Shop, run: &AttemptKey, to: &Path) -> Result<(), Error> {
    let request = v1::ReadLogRequest {
        campaign: run.id.campaign.0.clone(),
        iteration: run.id.iteration.0,
        attempt: run.id.number,
        ..v1::ReadLogRequest::default()
    };
    persist(shop.patience(), || async {
        let mut file = File::create(to).map_err(Error::file("create", to))?;
        let stream = shop.client.logs().read_log(request.clone()).await;
        let mut stream = stream.map_err(Error::call("LogService.ReadLog"))?.into_inner();
        while let Some(message) = stream.next().await {
            let message = message.map_err(Error::call("LogService.ReadLog"))?;
            file.write_all(&message.data).map_err(Error::file("write", to))?;
        }
        Ok(())
    })
    .await
}

/// Lays the scripts out and writes the one that runs them in turn. Outputs of an earlier attempt go: what
/// is there afterwards was made by this one.
fn place_scripts(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    let folder = dir.scripts();
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let mut all = String::from("# Made by windlass: every script of the analysis in turn.\n");
    for (index, one) in order.scripts.iter().enumerate() {
        let output = dir.results().join(one.output.as_str());
        match fs::remove_file(&output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove the old", &output)(error));
            }
            _ => {}
        }
        let Script::Blob { name, digest } = &one.script else { continue };
        let path = folder.join(format!("{index}-{}", plain_name(name)));
        shop.cache.place(digest, &path, 0o755)?;
        let command = match path.extension().and_then(|it| it.to_str()) {
            Some("py") => format!("{} {}", quoted(interpreter(order)), quoted(&path.to_string_lossy())),
            Some("sh") => format!("sh {}", quoted(&path.to_string_lossy())),
            _ => quoted(&path.to_string_lossy()),
        };
        let printed = quoted(&script_output(dir, index).to_string_lossy());
        let status = quoted(&script_status(dir).to_string_lossy());
        let parent = quoted(&output.parent().unwrap_or(&output).to_string_lossy());
        let output = quoted(&output.to_string_lossy());
        let heading = quoted(&format!("windlass: {} makes {}", plain_name(name), one.output));
        // What it prints becomes its output unless it has written that file itself.
        writeln!(
            all,
            "echo {heading}\n{command} > {printed}\ncode=$?\nif [ $code -eq 0 ] && ! [ -e {output} ] && [ -s {printed} ]; \
             then mkdir -p {parent} && cp {printed} {output}; fi\necho {index} $code >> {status}"
        )
        .expect("a string takes everything");
    }
    let path = folder.join("all.sh");
    fs::write(&path, all).map_err(Error::file("write", &path))
}

/// The command of an analysis attempt.
pub(super) fn command(dir: &AttemptDir) -> String {
    format!("exec sh {}", quoted(&dir.scripts().join("all.sh").to_string_lossy()))
}

/// Where what script `index` prints goes.
pub fn script_output(dir: &AttemptDir, index: usize) -> PathBuf {
    dir.scripts().join(format!("{index}.out"))
}

/// One line for each script that ended: its index and exit code.
pub fn script_status(dir: &AttemptDir) -> PathBuf {
    dir.scripts().join("status")
}

fn interpreter(order: &Order) -> &str {
    if order.python.is_empty() { "python3" } else { &order.python }
}

/// The script's own file name, made harmless; its extension says what runs it.
fn plain_name(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let tail: Vec<char> = last.chars().rev().take(100).map(plain).collect();
    tail.into_iter().rev().collect()
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_cannot_leave_their_quotes_or_folder() {
        for (name, want) in [
            ("confusion.py", "confusion.py"),
            ("../../etc/passwd", "passwd"),
            ("a b;rm -rf $(x).py", "a_b_rm_-rf___x_.py"),
            ("", ""),
            ("ü.sh", "_.sh"),
        ] {
            assert_eq!(plain_name(name), want);
        }
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
