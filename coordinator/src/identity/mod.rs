//! Who may speak: for now the data folder's token on loopback TCP. It never reads a campaign.

mod token;

pub use token::{Error, Token, file_in};
