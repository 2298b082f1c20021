//! Who may speak: the data folder's token on loopback TCP, certificates of the coordinator's own CA beyond this
//! machine. It never reads a campaign.

mod authority;
mod connections;
mod error;
mod office;
mod registry;
mod strangers;
pub(crate) mod tls;
mod token;

pub(crate) use connections::Peer;
pub use error::Error;
pub(crate) use office::{Failure, Issued, Joiner, Office, Terms};
pub(crate) use strangers::site;
pub use token::{Token, file_in};
