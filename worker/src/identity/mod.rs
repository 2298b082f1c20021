//! How a machine is known to a coordinator beyond it: its key, which never leaves it, the certificate for that key,
//! and the TLS that shows it. Clients use it too. It knows no campaign.

mod error;
mod joining;
mod kept;
mod plain;
mod tls;

pub use error::Error;
pub use joining::{Wanted, is_due, join, renew};
pub use kept::{Identity, file_in};
pub use plain::{connect_plain, plain_channel};
pub use tls::{channel, refused_certificate, unknown_channel};
