//! `kill`.

use oci_runtime::Kind;

use crate::call::Call;
use crate::failure::Failure;
use crate::selection::{for_each, selected};
use crate::signals;

/// `kill [--all] ID [SIGNAL]`. With `--all`, SIGKILL goes to every process, and a container that has stopped is no error:
/// engines clean up with it.
pub(crate) fn kill(call: &Call) -> Result<u8, Failure> {
    let name = call
        .arguments
        .rest
        .get(1)
        .map(|word| word.to_string_lossy())
        .unwrap_or("SIGTERM".into());
    let signal = signals::number(&name).ok_or_else(|| Failure::UnknownSignal(name.into_owned()))?;
    for_each(&selected(call)?, |id| one(call, id, signal))
}

fn one(call: &Call, id: &str, signal: i32) -> Result<(), Failure> {
    let all = call.arguments.switch("all");
    if all && signal == libc::SIGKILL {
        return Ok(oci_runtime::kill_all(&call.root, id)?);
    }
    match oci_runtime::kill(&call.root, id, signal) {
        Err(error) if all && error.kind() == Kind::NotRunning => Ok(()),
        other => Ok(other?),
    }
}
