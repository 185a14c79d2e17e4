//! `start`.

use crate::call::Call;
use crate::failure::Failure;

/// `start ID`.
pub(crate) fn start(call: &Call) -> Result<u8, Failure> {
    oci_runtime::start(&call.root, &call.arguments.id())?;
    Ok(0)
}
