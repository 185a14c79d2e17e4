//! `create`, and what `run` shares with it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_runtime::spec::Spec;
use oci_runtime::{Bundle, Create, own_stdio};

use crate::call::Call;
use crate::console::{Console, console};
use crate::failure::Failure;

/// `create ID`.
pub(crate) fn create(call: &Call) -> Result<u8, Failure> {
    let bundle = Bundle::open(call.bundle())?;
    let spec = bundle.spec()?;
    let preserved = call.preserved_fds()?;
    let console = console(terminal(&spec), true, call.arguments.text("console-socket"))?;
    let options = options(call, &bundle, &spec, &preserved, &console);
    oci_runtime::create(&call.root, &call.arguments.id(), &options)?;
    Ok(0)
}

/// What the library is told.
pub(crate) fn options<'a>(
    call: &'a Call,
    bundle: &'a Bundle,
    spec: &'a Spec<'a>,
    preserve_fds: &'a [BorrowedFd<'a>],
    console: &'a Console,
) -> Create<'a> {
    Create {
        console: console.socket(),
        preserve_fds,
        keyring: !call.arguments.switch("no-new-keyring"),
        pid_file: call.arguments.text("pid-file").map(Path::new),
        cgroup_manager: call.cgroup_manager,
        trace: call.debug,
        ..Create::new(bundle, spec, own_stdio())
    }
}

/// Whether the configuration asks for a terminal.
pub(crate) fn terminal(spec: &Spec<'_>) -> bool {
    spec.process
        .as_ref()
        .is_some_and(|process| process.terminal)
}
