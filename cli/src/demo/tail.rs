//! The last line of a running attempt's log.

use crate::client::Client;
use crate::render::text::{LogText, neutral};
use tonic::Streaming;
use windlass_proto::v1::{ReadLogRequest, ReadLogResponse};
use windlass_shared::id::AttemptId;

/// Follows one attempt's log at a time.
#[derive(Debug, Default)]
pub struct Tail {
    attempt: Option<AttemptId>,
    stream: Option<Streaming<ReadLogResponse>>,
    text: LogText,
    line: String,
    last: String,
}

impl Tail {
    /// The last whole line, safe to show.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Turns to another attempt. A log that cannot be read yet is no problem of the campaign: it is
    /// asked for again at the next turn.
    pub async fn turn_to(&mut self, client: &Client, attempt: Option<&AttemptId>) {
        let is_same = self.attempt.as_ref() == attempt;
        if is_same && (self.stream.is_some() || attempt.is_none()) {
            return;
        }
        if !is_same {
            *self = Self { attempt: attempt.cloned(), ..Self::default() };
        }
        let Some(attempt) = attempt else { return };
        let request = ReadLogRequest {
            campaign: attempt.campaign.to_string(),
            iteration: attempt.iteration.0,
            attempt: attempt.number,
            tail_lines: 1,
            follow: true,
            ..ReadLogRequest::default()
        };
        self.stream = client.logs().read_log(request).await.map(tonic::Response::into_inner).ok();
    }

    /// Waits for more; never ends while there is nothing to read. May be dropped and called again.
    pub async fn more(&mut self) {
        let Some(stream) = &mut self.stream else { return std::future::pending().await };
        match stream.message().await {
            Ok(Some(piece)) => self.take(&piece.data),
            // Whole, or cut: either way this stream has no more.
            Ok(None) | Err(_) => self.stream = None,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for c in self.text.push(bytes).chars() {
            if c != '\n' {
                // A line of ten million characters is shown as its beginning.
                if self.line.len() < 400 {
                    self.line.push(c);
                }
                continue;
            }
            let line = neutral(self.line.trim_end());
            if !line.is_empty() {
                self.last = line;
            }
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_is_shown() {
        let mut tail = Tail::default();
        tail.take(b"epoch 1\nepo");
        assert_eq!(tail.last(), "epoch 1");
        tail.take(b"ch 2\x1b[2J\n\n");
        assert_eq!(tail.last(), "epoch 2␛[2J");
    }
}
