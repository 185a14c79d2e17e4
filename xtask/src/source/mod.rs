//! Two rules about the workspace's own source files that no compiler checks: how long a file may be, and that no file
//! imports in a circle. Both look at Rust text from which comments, literals and tests were blanked out.

mod blank;
mod circles;
mod files;
mod lengths;
mod modules;
mod paths;

pub use circles::circles;
pub use lengths::too_long;
