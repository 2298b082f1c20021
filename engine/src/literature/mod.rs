//! The literature of a campaign (P33 to P38): which findings may be built on, which levers rest on them, what
//! became of them. It judges by text and by decisions; it looks at no file and fetches no paper.

mod add;
mod basis;
mod corpus;
mod evidence;
mod outcome;
mod rows;
mod tell;

pub use add::add;
pub use basis::Basis;
pub use corpus::{Failed, Kept, Literature, Over};
