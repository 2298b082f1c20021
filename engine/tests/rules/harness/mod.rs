//! One coordinator core with fake workers around it, driven input by input. After each input everything
//! that the core wants is carried out until it is quiet; what a test does not take fails it, and so does a
//! replay that gives other bytes.

mod fake;
mod legal;
mod make;
mod replayed;
mod sight;
mod world;

pub use fake::{Fake, Said};
pub use legal::Legal;
pub use make::*;
pub use world::World;
