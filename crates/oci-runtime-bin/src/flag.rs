//! A flag of the command line, as data.

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its name without dashes.
    pub name: &'static str,
    /// A letter for it; empty without one.
    pub short: &'static str,
    /// What its value is called in the help; empty for a switch.
    pub value: &'static str,
    /// What becomes of it.
    pub role: Role,
    /// What it does.
    pub help: &'static str,
}

/// What becomes of a flag that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It works.
    Works,
    /// It works, and is not shown.
    Hidden,
    /// It is taken, and has no effect here.
    Ignored,
}
