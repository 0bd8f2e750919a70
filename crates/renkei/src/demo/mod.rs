//! The demo: one coherent simulated town that a person may break without harm.

pub mod town;
