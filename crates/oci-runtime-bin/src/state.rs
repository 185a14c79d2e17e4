//! `state`.

use crate::call::Call;
use crate::failure::Failure;
use crate::stdout::print;

/// `state ID`.
pub(crate) fn state(call: &Call) -> Result<u8, Failure> {
    let container = oci_runtime::state(&call.root, &call.arguments.id())?;
    print(&serde_json::to_string_pretty(&container)?)?;
    Ok(0)
}
