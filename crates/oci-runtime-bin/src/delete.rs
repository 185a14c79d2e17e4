//! `delete`.

use crate::call::Call;
use crate::failure::Failure;
use crate::notify;
use crate::selection::{for_each, selected};

/// `delete [--force] ID`.
pub(crate) fn delete(call: &Call) -> Result<u8, Failure> {
    for_each(&selected(call)?, |id| {
        oci_runtime::delete(&call.root, id, call.arguments.switch("force"))?;
        notify::clear_away(&call.root, id);
        Ok(())
    })
}
