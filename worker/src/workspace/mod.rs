//! Folders made of trees, and trees read back from folders.

mod artifacts;
mod guard;
mod lay_out;
mod layers;
mod read_back;
mod results;
mod trees;

pub use artifacts::artifacts;
pub use guard::{frozen_changed_below, frozen_touched};
pub use lay_out::{Access, lay_out, lay_over};
pub use layers::{Below, Layers, is_hiding};
pub use read_back::read_back;
pub use results::{Gathered, gather};
pub use trees::{Standing, Trees};
pub(crate) use trees::{age, note_use};
