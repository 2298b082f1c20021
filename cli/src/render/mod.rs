//! How things look. Text that came from a run or a lever is neutralised here before it is shown.

pub mod chart;
pub mod event;
pub mod fold;
pub mod iteration;
pub mod page;
pub mod style;
pub mod svg;
pub mod table;
pub mod text;
pub mod units;
pub mod views;
