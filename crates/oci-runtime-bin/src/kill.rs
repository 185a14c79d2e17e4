//! `kill`.

use crate::call::Call;
use crate::failure::Failure;
use crate::selection::{for_each, selected};
use crate::signals;

/// `kill [--all] ID [SIGNAL]`. With `--all` the signal goes to every process, and a container that has stopped is no error:
/// engines clean up with it.
pub(crate) fn kill(call: &Call) -> Result<u8, Failure> {
    let word = call
        .arguments
        .rest
        .get(1)
        .map(|word| word.to_string_lossy());
    let name = word
        .filter(|word| !word.is_empty())
        .unwrap_or("SIGTERM".into());
    let signal = signals::number(&name).ok_or_else(|| Failure::UnknownSignal(name.into_owned()))?;
    let all = call.arguments.switch("all");
    for_each(&selected(call)?, |id| {
        match all {
            true => oci_runtime::kill_all(&call.root, id, signal)?,
            false => oci_runtime::kill(&call.root, id, signal)?,
        }
        Ok(())
    })
}
