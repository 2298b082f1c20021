//! Sessions of workers: who is there, what they have, what they should have. All of it soft, but for the
//! leases, which are the ledger's.

mod answer;
mod fleet;
mod lost;
mod member;
mod offer;
mod report;

pub(crate) use answer::note_told;
pub use answer::{Told, What, answer, is_news};
pub use fleet::{Fleet, LEASE_PERIOD_MS};
pub use lost::{LOST_KEPT_MS, LOST_MAX};
pub use member::{Member, Presence};
pub use offer::{Had, Offer};
pub use report::{Known, known, never_there, records};
