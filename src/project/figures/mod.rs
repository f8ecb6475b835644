//! Uses of results: the files of figures, locks, the page, and the comparison with the paper.

mod absent;
mod commit;
pub mod committed;
mod explored;
pub mod export;
pub mod judged;
pub mod listings;
pub mod locking;
mod packing;
pub mod page;
pub mod phases;
pub mod published;
pub mod rebuilding;
