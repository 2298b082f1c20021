//! The Model Context Protocol over stdio: the commands as tools for agents' hosts. Each tool calls what its
//! command calls, answers within a bound, and answers a refusal as a result with rule, reason and remedy. It
//! decides nothing, and prints nothing beside the protocol.

mod act;
mod catalogue;
mod guide;
mod host;
mod input;
mod output;
mod parts;
mod read;
mod server;
mod text;
mod wait;

#[cfg(test)]
mod tests;

pub use host::{Host, config};
pub use server::serve;
