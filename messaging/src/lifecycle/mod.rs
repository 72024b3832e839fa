//! What happens to a message: the statuses ([`status`]), and how each event moves it from one to the next ([`state`]).
//!
//! Providers report in any order, repeatedly, and sometimes contradict themselves. The statuses are therefore totally
//! ordered by how much they settle, and evidence is merged by taking the greater one: any permutation and repetition of
//! the same reports ends in the same status. Acceptance is not delivery, so no two statuses are ever shown as one.

pub mod state;
pub mod status;

pub use state::{LifecycleEvent, MessageState, TimelineEntry};
pub use status::MessageStatus;
