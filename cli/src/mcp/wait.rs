//! Waiting in steps that every host endures: at most 50 seconds a call, since many end a call after 60.

use super::input::Wait;
use super::output::{encode, invalid};
use crate::client::Client;
use crate::command::{status, wait};
use crate::error::Error;
use crate::render::views;
use crate::session::Session;
use serde_json::{Value, json};
use windlass_shared::time::Span;

/// The longest wait of one call, seconds.
const SECONDS_MAX: u32 = 50;
/// How long when nothing is said, seconds.
const SECONDS_DEFAULT: u32 = 25;

/// Until an iteration is decided, or nothing is left to do, or the time is over.
pub async fn wait(input: Wait, session: &Session) -> Result<Value, Error> {
    let seconds = input.seconds.unwrap_or(SECONDS_DEFAULT);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        let message = format!("a call waits 1 to {SECONDS_MAX} seconds");
        return Err(invalid(message, "ask for fewer, and call again while `done` is false"));
    }
    let args = wait::Args {
        campaign: input.campaign,
        iteration: input.iteration,
        timeout: Some(Span { ms: u64::from(seconds) * 1_000 }),
    };
    match wait::wait(&args, session).await {
        Ok(waited) => {
            let mut value = encode(&waited)?;
            if let Some(map) = value.as_object_mut() {
                map.insert("done".to_owned(), Value::Bool(true));
            }
            Ok(value)
        }
        Err(Error::WaitEnded { why }) => {
            let view = status::get(&Client::connect(session).await?, &args.campaign).await?;
            let (state, waits_for) = (views::state(&view), &view.waits_for);
            encode(&json!({
                "campaign": view.campaign,
                "iteration": args.iteration,
                "done": false,
                "why": why,
                "state": state,
                "waits_for": waits_for,
            }))
        }
        Err(problem) => Err(problem),
    }
}
