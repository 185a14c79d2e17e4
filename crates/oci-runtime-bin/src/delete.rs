//! `delete`.

use crate::call::Call;
use crate::failure::Failure;

/// `delete [--force] ID`.
pub(crate) fn delete(call: &Call) -> Result<u8, Failure> {
    oci_runtime::delete(
        &call.root,
        &call.arguments.id(),
        call.arguments.switch("force"),
    )?;
    Ok(0)
}
