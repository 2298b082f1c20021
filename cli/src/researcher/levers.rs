//! Pulls the levers of a folder, in the order of their names: the first that the campaign never had and would
//! take now. One that it would refuse is passed over; it is asked about again at the next turn, when its evidence
//! may be there.

use super::answer::{Answer, Asker, Spoken};
use super::turn::Turn;
use crate::context::Facts;
use crate::error::Error;
use crate::history::Story;
use crate::lever_file;
use crate::session::Session;
use std::path::Path;
use windlass_shared::lever::Lever;

/// Answers with the next lever, if there is one.
pub async fn propose(turn: &Turn, facts: &Facts, folder: &Path, session: &Session) -> Result<Spoken, Error> {
    let mut asker = Asker::new(session, &turn.campaign).await?;
    let (files, mut had) = (lever_file::list(folder)?, 0);
    for file in &files {
        let named = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = lever_file::read(file).and_then(|read| Ok((read.lever, Answer::of_file(file)?)));
        let (lever, answer) = match read {
            Ok(read) => read,
            Err(problem) => {
                asker.pass(&named, &problem);
                continue;
            }
        };
        if was_had(&facts.story, &lever) {
            had += 1;
            continue;
        }
        if asker.would_take(file, &named).await? {
            let path = answer.write(&turn.dir)?;
            let about = format!("{named}: {}", lever.title);
            let passed = asker.passed;
            return Ok(Spoken { turn: turn.kind.as_str(), answer: Some(path), about, passed });
        }
    }
    let count = files.len();
    let about = format!("of {count} levers the campaign had {had}, and would take none of the others now");
    Ok(Spoken { passed: asker.passed, ..Spoken::nothing(turn.kind, &about) })
}

/// Whether the campaign had this very lever, whatever became of it. Another anchor makes another lever of it.
fn was_had(story: &Story, lever: &Lever) -> bool {
    story.levers.values().map(|it| &it.lever).any(|it| {
        it.title == lever.title
            && it.change == lever.change
            && it.anchor == lever.anchor
            && it.kind == lever.kind
    })
}
