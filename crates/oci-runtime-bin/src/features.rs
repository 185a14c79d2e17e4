//! `features`: what this build can do.

use crate::call::Call;
use crate::failure::Failure;
use crate::stdout::print;

/// `features`.
pub(crate) fn features(_: &Call) -> Result<u8, Failure> {
    print(&(serde_json::to_string_pretty(&oci_runtime::features())? + "\n"))?;
    Ok(0)
}
