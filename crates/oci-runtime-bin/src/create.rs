//! `create`, and what `run` shares with it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_runtime::spec::Spec;
use oci_runtime::{Bundle, Create, Process, StateRoot, delete_of, own_stdio};

use crate::activation;
use crate::call::Call;
use crate::console::{Console, console};
use crate::failure::Failure;
use crate::interruption::Interruption;
use crate::notify::{self, Notify};
use crate::pidfd::{hand_over, pidfd_socket};

/// `create ID`.
pub(crate) fn create(call: &Call) -> Result<u8, Failure> {
    let id = call.arguments.id();
    let bundle = call.open_bundle()?;
    let mut spec = bundle.spec()?;
    let preserved = call.handed_fds()?;
    let console = console(terminal(&spec), true, call.arguments.text("console-socket"))?;
    let pidfd = pidfd_socket(&call.arguments)?;
    // What came before has made nothing that would have to be taken back.
    let interruption = Interruption::hold()?;
    activation::tell(&mut spec);
    let notify = Notify::of_new(&call.root, &id);
    if let Some(notify) = &notify {
        notify.prepare(&mut spec)?;
    }
    let options = Create {
        interrupt: Some(interruption.as_fd()),
        ..options(call, &bundle, &spec, &preserved, &console)
    };
    let made = oci_runtime::create(&call.root, &id, &options);
    let made = made.map_err(|error| interruption.explain(error));
    let handed = made.and_then(|process| {
        hand_over(pidfd, &process, "standard", || {
            unmake(&process, &call.root, &id, &interruption)
        })
    });
    if let (Err(failure), Some(_)) = (&handed, &notify) {
        notify::give_up(failure, &call.root, &id);
    }
    handed.map(|()| 0)
}

/// Ends and removes a container that is not to be after all.
pub(crate) fn unmake(process: &Process, root: &StateRoot, id: &str, interruption: &Interruption) {
    match delete_of(root, id, process, true, Some(interruption.as_fd())) {
        // Whoever inherits our children need not wait for it. That it was somebody else who did is as good.
        Ok(()) => drop(process.wait()),
        Err(error) => log::warn!("cannot delete the container again: {error}"),
    }
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
