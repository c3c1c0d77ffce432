//! What the operator wants: files → checked [`Settings`], or all faults with their places.

pub mod language;
pub mod settings;

pub use settings::Settings;
