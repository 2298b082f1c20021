//! How things look. Text that came from a run or a lever is neutralised here before it is shown.

pub mod best;
pub mod certs;
pub mod chart;
pub mod event;
pub mod files;
pub mod findings;
pub mod fleet;
pub mod fold;
pub mod gate;
pub mod iteration;
pub mod lever;
pub mod page;
pub mod quota;
pub mod report;
pub mod spark;
pub mod status;
pub mod style;
pub mod svg;
pub mod table;
pub mod text;
pub mod units;
pub mod usage;
pub mod views;
