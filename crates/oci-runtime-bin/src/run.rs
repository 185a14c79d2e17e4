//! `run`: create and start in one, and in the foreground to its end.

use nix::sys::prctl::set_child_subreaper;
use oci_runtime::spec::Spec;
use oci_runtime::{Bundle, Kind, StateRoot, delete};

use crate::call::Call;
use crate::console::{Console, console};
use crate::create::{options, terminal};
use crate::failure::Failure;
use crate::foreground::{Orphans, attend, block_signals};

/// `run ID`.
pub(crate) fn run(call: &Call) -> Result<u8, Failure> {
    let bundle = Bundle::open(call.bundle())?;
    let spec = bundle.spec()?;
    let detached = call.arguments.switch("detach");
    let console = console(
        terminal(&spec),
        detached,
        call.arguments.text("console-socket"),
    )?;
    if !detached {
        return stay(call, &bundle, spec, console);
    }
    let preserved = call.preserved_fds()?;
    let options = options(call, &bundle, &spec, &preserved, &console);
    oci_runtime::run(&call.root, &call.arguments.id(), &options)?;
    Ok(0)
}

fn stay(call: &Call, bundle: &Bundle, mut spec: Spec<'_>, console: Console) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let id = arguments.id();
    let preserved = call.preserved_fds()?;
    let orphans = if arguments.switch("no-subreaper") {
        Orphans::Leave
    } else {
        Orphans::Reap
    };
    let signals = block_signals(orphans)?;
    if orphans == Orphans::Reap {
        set_child_subreaper(true).map_err(|errno| Failure::Os {
            action: "become a subreaper",
            errno,
        })?;
    }
    let mut has_size = false;
    if let Some(process) = &mut spec.process {
        has_size = process.console_size.is_some();
        console.give_size(process);
    }
    let options = options(call, bundle, &spec, &preserved, &console);
    let process = oci_runtime::run(&call.root, &id, &options)?;
    let attended = attend(&process, &signals, console, has_size);
    if arguments.switch("keep") {
        return attended;
    }
    let deleted = clear_away(&call.root, &id, attended.is_err());
    let status = attended?;
    deleted?;
    Ok(status)
}

/// Deletes the container, which has ended unless we could not stay to see it. Somebody else may have been faster, and may
/// even have made another one by that id, which then runs: neither is an error, and the other one stays.
fn clear_away(root: &StateRoot, id: &str, force: bool) -> Result<(), Failure> {
    match delete(root, id, force) {
        Err(error) if !force && matches!(error.kind(), Kind::NotFound | Kind::WrongStatus) => {
            Ok(())
        }
        other => Ok(other?),
    }
}
