//! `spec`: a configuration to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write};

use nix::unistd::{getegid, geteuid};
use oci_runtime::spec::Spec;

use crate::call::Call;
use crate::failure::Failure;

/// `spec [--bundle DIR] [--rootless]`. A file that is there already stays.
pub(crate) fn spec(call: &Call) -> Result<u8, Failure> {
    let path = call.bundle().join("config.json");
    let example = if call.arguments.switch("rootless") {
        Spec::rootless_example(geteuid().as_raw(), getegid().as_raw())
    } else {
        Spec::example()
    };
    let mut text = serde_json::to_vec_pretty(&example)?;
    text.push(b'\n');
    let made = OpenOptions::new().write(true).create_new(true).open(&path);
    match made.and_then(|mut file| file.write_all(&text)) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::Exists(path)),
        Err(source) => Err(Failure::File {
            action: "write",
            path,
            source,
        }),
    }
}
