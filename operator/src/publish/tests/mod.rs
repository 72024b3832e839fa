//! Promises about publishing as a whole.

mod model;
