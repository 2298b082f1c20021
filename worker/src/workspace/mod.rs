//! Folders made of trees, and trees read back from folders.

mod lay_out;
mod read_back;
mod results;

pub use lay_out::{Access, lay_out};
pub use read_back::read_back;
pub use results::{Gathered, gather};
