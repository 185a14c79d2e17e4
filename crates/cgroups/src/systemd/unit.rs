//! A unit by its name, and one of its properties.

use serde::{Deserialize, Serialize};

use crate::dbus::{Bus, Value};

/// A unit of one of systemd's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its full name, such as `ocirun-web.scope`.
    pub name: String,
    /// The bus at which its systemd is found.
    pub bus: Bus,
}

/// A property of a unit, of the name and type that systemd gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Unit {
    /// Whether it is a slice: then it holds no process of its own by what systemd knows.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }
}
