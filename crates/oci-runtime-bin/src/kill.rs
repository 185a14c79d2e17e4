//! `kill`.

use oci_runtime::Kind;

use crate::call::Call;
use crate::failure::Failure;
use crate::signals;

/// `kill [--all] ID [SIGNAL]`. With `--all`, SIGKILL goes to every process, and a container that has stopped is no error:
/// engines clean up with it.
pub(crate) fn kill(call: &Call) -> Result<u8, Failure> {
    let id = call.arguments.id();
    let name = call
        .arguments
        .rest
        .get(1)
        .map(|word| word.to_string_lossy())
        .unwrap_or("SIGTERM".into());
    let signal = signals::number(&name).ok_or_else(|| Failure::UnknownSignal(name.into_owned()))?;
    let all = call.arguments.switch("all");
    if all && signal == libc::SIGKILL {
        oci_runtime::kill_all(&call.root, &id)?;
        return Ok(0);
    }
    match oci_runtime::kill(&call.root, &id, signal) {
        Err(error) if all && error.kind() == Kind::NotRunning => Ok(0),
        other => Ok(other.map(|()| 0)?),
    }
}
