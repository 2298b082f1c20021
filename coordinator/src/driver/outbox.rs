//! What waits to leave: nothing goes before everything it rests on is durable.

use super::event::Reply;
use std::collections::VecDeque;
use windlass_shared::refusal::Refusal;

/// Answers in the order in which they were found, each with the record it rests on.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(u64, Departure)>,
}

/// Sends an answer, or a refusal in its place.
type Departure = Box<dyn FnOnce(Option<Refusal>) + Send>;

impl Outbox {
    /// Lets `answer` leave once record `rests_on` is durable. Calls come with a growing `rests_on`.
    pub fn push<T: Send + 'static>(&mut self, rests_on: u64, reply: Reply<T>, answer: Result<T, Refusal>) {
        self.waiting.push_back((
            rests_on,
            Box::new(move |refused| {
                // The caller may have gone meanwhile; its records stand, and a retry finds them (I4).
                let _ = reply.send(refused.map_or(answer, Err));
            }),
        ));
    }

    /// Lets everything leave that rests on records up to `durable`.
    pub fn release(&mut self, durable: u64) {
        while self.waiting.front().is_some_and(|(rests_on, _)| *rests_on <= durable) {
            if let Some((_, depart)) = self.waiting.pop_front() {
                depart(None);
            }
        }
    }

    /// What waits rests on records that never became durable: everybody is refused instead (I17).
    pub fn refuse(&mut self, refusal: &Refusal) {
        for (_, depart) in self.waiting.drain(..) {
            depart(Some(refusal.clone()));
        }
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn nothing_leaves_before_what_it_rests_on_is_durable() {
        let mut outbox = Outbox::default();
        let (reply, mut answer) = oneshot::channel();
        outbox.push(7, reply, Ok(1));
        outbox.release(6);
        assert!(answer.try_recv().is_err());
        outbox.release(7);
        assert_eq!(answer.try_recv().expect("it left"), Ok(1));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn i17_what_rests_on_a_failed_append_is_refused_and_never_answered() {
        let mut outbox = Outbox::default();
        let (reply, mut answer) = oneshot::channel();
        outbox.push(7, reply, Ok(1));
        let refusal = Refusal::ReadOnly { problem: "full".to_owned(), waits_for_room: true };
        outbox.refuse(&refusal);
        assert_eq!(answer.try_recv().expect("it left"), Err(refusal));
        assert_eq!(outbox.len(), 0);
    }
}
