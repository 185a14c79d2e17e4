//! Reading and writing single files of the kernel, each with as few system calls as its kind of file allows.
//!
//! A file of one record (most of cgroupfs) is whole after one read(2) that leaves room in the buffer. A file of many
//! records (`cgroup.procs`, `mountinfo`) is only over when a read gives nothing: the kernel ends each read where the
//! next record does not fit into its own buffer of a page, whatever room the reader has. See seq_file.rst of the kernel.

use crate::error::{Error, Result, errno_of};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// open(2), close-on-exec. By openat(2): after its open(2), musl sets that flag by a system call of its own.
pub(crate) fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    loop {
        match openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(file) => return Ok(file.into()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The text of a file of one record, without the final line feed.
pub(crate) fn read_value(file: &Path) -> Result<String> {
    let fail = |e: io::Error| Error::io("read", file, &e);
    let mut opened = open(file, OFlag::O_RDONLY).map_err(fail)?;
    let mut page = [0; 4096];
    let length = uninterrupted(|| opened.read(&mut page)).map_err(fail)?;
    let mut bytes = page[..length].to_vec();
    if length == page.len() {
        opened.read_to_end(&mut bytes).map_err(fail)?;
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// The text of a file of many records. What is no UTF-8 is replaced: such lines are of no interest here.
pub(crate) fn read_records(file: &Path) -> Result<String> {
    let fail = |e: io::Error| Error::io("read", file, &e);
    let opened = open(file, OFlag::O_RDONLY).map_err(fail)?;
    let mut bytes = Vec::with_capacity(16 * 1024);
    // A File would ask for its size first, which the kernel does not know; a Take only reads.
    let mut unsized_file = opened.take(u64::MAX);
    unsized_file.read_to_end(&mut bytes).map_err(fail)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The one number in a file.
pub(crate) fn read_number(file: &Path) -> Result<u64> {
    let text = read_value(file)?;
    text.parse().map_err(|_| Error::Format {
        path: file.to_path_buf(),
        text,
    })
}

/// One write(2) that no setting of the configuration asked for.
pub(crate) fn write_text(file: &Path, value: &str) -> Result<()> {
    let opened = open(file, OFlag::O_WRONLY);
    opened
        .and_then(|mut opened| write_once(&mut opened, value))
        .map_err(|e| Error::Write {
            file: file.to_path_buf(),
            value: value.to_owned(),
            pointer: String::new(),
            errno: errno_of(&e),
        })
}

/// The whole value in one write(2), because the kernel takes each write for a value of its own.
pub(crate) fn write_once(file: &mut File, value: &str) -> io::Result<()> {
    let written = uninterrupted(|| file.write(value.as_bytes()))?;
    match written == value.len() {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EIO)),
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether `error` only says that the cgroup went away: ENOENT for its path, ENODEV for a file opened before.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_the_buffer_is_read_whole() {
        let file = std::env::temp_dir().join(format!("oci-cgroups-files-{}", std::process::id()));
        for length in [0, 1, 4095, 4096, 4097, 16 * 1024, 100_000] {
            let text: String = (b'a'..=b'z').cycle().take(length).map(char::from).collect();
            std::fs::write(&file, text.clone() + "\n").expect("write");
            let read = (read_value(&file), read_records(&file));
            std::fs::remove_file(&file).expect("remove");
            assert_eq!(read, (Ok(text.clone()), Ok(text + "\n")), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_gone() {
        let file = Path::new("/sys/fs/cgroup/none/at-all");
        assert!(read_value(file).is_err_and(|e| is_gone(&e)));
        assert!(read_records(file).is_err_and(|e| is_gone(&e)));
    }
}
