//! `pause` and `resume`.

use crate::call::Call;
use crate::failure::Failure;

/// `pause ID`.
pub(crate) fn pause(call: &Call) -> Result<u8, Failure> {
    oci_runtime::pause(&call.root, &call.arguments.id())?;
    Ok(0)
}

/// `resume ID`.
pub(crate) fn resume(call: &Call) -> Result<u8, Failure> {
    oci_runtime::resume(&call.root, &call.arguments.id())?;
    Ok(0)
}
