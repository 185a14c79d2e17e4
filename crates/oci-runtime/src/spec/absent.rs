//! Absence. To the programs that write `config.json`, a member that is left out, that is `null` and that is empty are
//! one and the same, so they are here too: each reads as its type's default, and the default is not written.

use serde::{Deserialize, Deserializer};

/// Reads a value for which `null` means its default.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object that says something: one without any value in it asks for nothing.
pub(crate) fn said<T: Default + PartialEq>(value: &Option<T>) -> Option<&T> {
    value.as_ref().filter(|value| **value != T::default())
}

/// Whether a value says nothing and need not be written.
pub(super) fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
