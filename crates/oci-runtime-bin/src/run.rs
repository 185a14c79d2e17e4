//! `run`: create and start in one, and in the foreground to its end.

use nix::sys::prctl::set_child_subreaper;
use oci_runtime::delete;

use crate::Call;
use crate::console::{Console, console};
use crate::create::{Terminal, bundle, options, preserved, terminal};
use crate::failure::Failure;
use crate::foreground::{Orphans, attend, block_signals};

/// `run ID`.
pub(crate) fn run(call: &Call) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let detached = arguments.switch("detach");
    let terminal = terminal(bundle(arguments));
    let console = console(terminal.wanted, detached, arguments.text("console-socket"))?;
    if detached {
        let preserved = preserved(arguments)?;
        oci_runtime::run(
            &call.root,
            &arguments.id(),
            &options(call, &preserved, &console),
        )?;
        return Ok(0);
    }
    stay(call, &terminal, console)
}

fn stay(call: &Call, terminal: &Terminal, console: Console) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let id = arguments.id();
    let preserved = preserved(arguments)?;
    let signals = block_signals()?;
    let orphans = if arguments.switch("no-subreaper") {
        Orphans::Leave
    } else {
        Orphans::Reap
    };
    if orphans == Orphans::Reap {
        set_child_subreaper(true).map_err(|errno| Failure::Os {
            action: "become a subreaper",
            errno,
        })?;
    }
    let process = oci_runtime::run(&call.root, &id, &options(call, &preserved, &console))?;
    let attended = attend(
        &process,
        &signals,
        console,
        terminal.size.is_some(),
        orphans,
    );
    if !arguments.switch("keep") {
        // Somebody else may have been faster: what is gone already is no error.
        let deleted = delete(&call.root, &id, true);
        let status = attended?;
        deleted?;
        return Ok(status);
    }
    attended
}
