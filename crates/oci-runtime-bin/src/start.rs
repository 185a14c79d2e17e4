//! `start`.

use crate::call::Call;
use crate::failure::Failure;
use crate::notify::Notify;

/// `start ID`. With `NOTIFY_SOCKET` it waits until the program says that it is ready.
pub(crate) fn start(call: &Call) -> Result<u8, Failure> {
    let id = call.arguments.id();
    let notify = Notify::of_created(&call.root, &id);
    let listener = notify.map(|notify| notify.listen()).transpose()?.flatten();
    oci_runtime::start(&call.root, &id)?;
    if let Some(listener) = listener {
        let pid = oci_runtime::state(&call.root, &id)?.pid;
        listener.pass_on(&call.root, &id, pid);
    }
    Ok(0)
}
