//! Tools that change something: each goes through what its command goes through, under its own key.

use super::input::{Analyze, Conclude, Fix, Propose, Verdict as Said};
use super::output::{encode, invalid};
use super::parts::{self, Folder};
use crate::args::Dry;
use crate::client::Client;
use crate::command::{analyze, conclude, fix, propose};
use crate::error::Error;
use crate::session::Session;
use serde_json::{Value, json};
use std::path::PathBuf;
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::{Anchor, Comparison};
use windlass_shared::path::TreePath;

/// The session of one change.
pub fn keyed(session: &Session, request_id: Option<String>, dry_run: bool) -> Session {
    session.keyed(request_id).asking(Dry { dry_run })
}

/// An answer, and whether nothing was changed.
pub fn done(session: &Session, mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut().filter(|_| session.is_dry) {
        map.insert("dry_run".to_owned(), Value::Bool(true));
    }
    value
}

/// Gates a lever and queues it.
pub async fn propose(input: Propose, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    // Held until the files were read: it removes them.
    let (_folder, path) = match (&input.lever, input.file) {
        (Some(text), None) => {
            let (folder, path) = parts::lever(text, &input.parts)?;
            (Some(folder), path)
        }
        (None, Some(file)) => (None, PathBuf::from(file)),
        _ => {
            return Err(invalid("a proposal needs `lever` or `file`".to_owned(), "give exactly one of them"));
        }
    };
    let client = Client::connect(session).await?;
    let queued = propose::one(&client, session, &input.campaign, &path).await?;
    let answer = json!({"lever": queued.lever, "title": queued.title, "warnings": queued.warnings});
    Ok(done(session, encode(&answer)?))
}

/// Puts a fix on a failed run.
pub async fn fix(input: Fix, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    let folder = Folder::new()?;
    let patch = folder.write("fix.patch", &input.patch)?;
    let Fix { campaign, iteration, .. } = input;
    let dry = Dry { dry_run: input.dry_run };
    let args = fix::Args { campaign, iteration, file: None, patch: Some(patch), tree: None, dry };
    let put = fix::put(args, session).await?;
    Ok(done(session, encode(&put)?))
}

/// Puts a repaired script in the place of one that failed.
pub async fn analyze(input: Analyze, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    let is_builtin = input.script.starts_with("builtin:");
    let (_folder, script) = match input.text {
        None if is_builtin => (None, PathBuf::from(&input.script)),
        Some(text) if !is_builtin => {
            let folder = Folder::new()?;
            let path = folder.write(&input.script, &text)?;
            (Some(folder), path)
        }
        _ => {
            let message = "a script needs `text`, and a builtin one has none".to_owned();
            return Err(invalid(message, "give the script's text, or builtin:log without one"));
        }
    };
    let args = analyze::Args {
        campaign: input.campaign,
        iteration: input.iteration,
        script,
        result: path(&input.result)?,
        dimension: input.dimension,
        question: input.question,
        if_helped: input.if_helped,
        if_not: input.if_not,
        dry: Dry { dry_run: input.dry_run },
    };
    let put = analyze::put(args, session).await?;
    Ok(done(session, encode(&put)?))
}

/// Writes a conclusion.
pub async fn conclude(input: Conclude, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    let verdict = |(output, said): (String, Said)| {
        let verdict = match said {
            Said::AsHelped => Verdict::AsHelped,
            Said::AsNot => Verdict::AsNot,
            Said::Neither => Verdict::Neither,
        };
        Ok((path(&output)?, verdict))
    };
    let anchor = input.anchor.map(|anchor| {
        let figure = |text: String| {
            let remedy = "write one like `< -0.01`";
            Comparison::parse(&text).ok_or_else(|| invalid(format!("{text:?} is no comparison"), remedy))
        };
        Ok::<Anchor, Error>(Anchor {
            file: path(&anchor.file)?,
            pattern: anchor.pattern,
            compare: anchor.compare.map(figure).transpose()?,
            iteration: anchor.iteration.map(IterationNumber),
        })
    });
    let conclusion = Conclusion {
        finding: input.finding,
        bullets: input.bullets,
        deliverables: input.deliverables.into_iter().map(verdict).collect::<Result<_, Error>>()?,
        automatic: false,
        examined: input.examined,
        ceiling_near: input.ceiling_near,
        anchor: anchor.transpose()?,
    };
    let written = conclude::write(session, &input.campaign, input.iteration, &conclusion).await?;
    Ok(done(session, encode(&written)?))
}

fn path(text: &str) -> Result<TreePath, Error> {
    TreePath::parse(text).map_err(|problem| invalid(problem.to_string(), "name a file under results/"))
}
