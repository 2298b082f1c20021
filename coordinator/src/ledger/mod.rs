//! The ledger: an append-only, hash-chained sequence of records in SQLite. It never interprets what a
//! record means; that is the engine's `apply`, live and in replay.

mod error;
mod export;
mod lock;
mod naming;
mod open;
mod place;
mod reader;
mod row;
mod schema;
mod verify;
mod writer;

pub use error::{Damage, DamageKind, Error};
pub use export::{ExportError, Exported, export};
pub use lock::DataLock;
pub(crate) use naming::{Naming, Stretch, Used};
pub(crate) use open::walk;
pub use open::{Chain, Ledger, Opening, file_in, open};
pub(crate) use place::refuse_network;
pub use reader::{Page, Readers, Written};
pub use row::Head;
pub use verify::{Found, Verified, VerifyError, verify};
pub(crate) use verify::{head_of, open_read_only};
pub use writer::{Batch, Blob, BlobWriter, Durable, Writer};
