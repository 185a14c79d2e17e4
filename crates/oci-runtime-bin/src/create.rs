//! `create`, and what `run` shares with it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_runtime::spec::ConsoleSize;
use oci_runtime::{Create, own_stdio};

use crate::console::{Console, console};
use crate::failure::{Failure, Misuse};
use crate::parse::Arguments;
use crate::{Call, sys};

/// `create ID`.
pub(crate) fn create(call: &Call) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let preserved = preserved(arguments)?;
    let console = console(
        terminal(bundle(arguments)).wanted,
        true,
        arguments.text("console-socket"),
    )?;
    oci_runtime::create(
        &call.root,
        &arguments.id(),
        &options(call, &preserved, &console),
    )?;
    Ok(0)
}

/// What the library is told.
pub(crate) fn options<'a>(
    call: &'a Call,
    preserve_fds: &'a [BorrowedFd<'a>],
    console: &'a Console,
) -> Create<'a> {
    let arguments = &call.arguments;
    Create {
        console: console.socket(),
        preserve_fds,
        keyring: !arguments.switch("no-new-keyring"),
        pid_file: arguments.text("pid-file").map(Path::new),
        trace: call.debug,
        ..Create::new(bundle(arguments), own_stdio())
    }
}

/// The bundle: the current directory without a word.
pub(crate) fn bundle(arguments: &Arguments) -> &Path {
    Path::new(arguments.text("bundle").unwrap_or(".".as_ref()))
}

/// The fds that the process keeps: as many as asked for, from 3 on.
pub(crate) fn preserved(arguments: &Arguments) -> Result<Vec<BorrowedFd<'static>>, Failure> {
    let Some(text) = arguments.text("preserve-fds") else {
        return Ok(Vec::new());
    };
    let bad = || {
        Misuse::bad(
            "preserve-fds",
            text,
            "it is not a number of file descriptors",
        )
    };
    let digits = text
        .to_str()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let count: u16 = digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(bad)?;
    let fds = 3..3 + i32::from(count);
    fds.map(|fd| {
        sys::inherited(fd).map_err(|_| Failure::PreservedFd {
            fd,
            count: count.into(),
        })
    })
    .collect()
}

/// What a configuration says of a terminal.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Terminal {
    /// Whether there is to be one.
    pub wanted: bool,
    /// Its size, where it is not the caller's.
    pub size: Option<ConsoleSize>,
}

/// Looks ahead. A configuration that cannot be read has no terminal; the library says what is wrong with it.
pub(crate) fn terminal(bundle: &Path) -> Terminal {
    let bytes = std::fs::read(bundle.join("config.json")).unwrap_or_default();
    let process = oci_runtime::spec::parse(&bytes)
        .ok()
        .and_then(|spec| spec.process);
    process
        .map(|process| Terminal {
            wanted: process.terminal,
            size: process.console_size,
        })
        .unwrap_or_default()
}
