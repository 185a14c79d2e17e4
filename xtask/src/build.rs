//! `cargo xtask build`: the release binary, static and non-PIE, because neither a dynamic loader nor relocations have
//! anything to do in a program that lives for a millisecond. The result's ELF header is read back.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::command::check;
use crate::error::{Error, Result, io_error};
use crate::workspace;

pub const HELP: &str = "\
Usage: cargo xtask build

Builds the release binary with the C library linked in and at a fixed address, and checks that it is so.
The binary is target/release/ocirun. Needs gcc and libc6-dev (the static libc.a).
";

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    if let Some(argument) = lexopt::Parser::from_args(arguments).next()? {
        return Err(argument.unexpected().into());
    }
    let binary = build()?;
    let size = fs::metadata(&binary)
        .map_err(io_error("look at", &binary))?
        .len();
    println!("{}: static, non-PIE, {} kB", binary.display(), size / 1024);
    Ok(ExitCode::SUCCESS)
}

/// Builds and checks the binary; gives its path.
pub fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root());
    cargo.args([
        "rustc",
        "-p",
        "oci-runtime-bin",
        "--bin",
        "ocirun",
        "--release",
        "--",
    ]);
    cargo.args([
        "-C",
        "target-feature=+crt-static",
        "-C",
        "relocation-model=static",
    ]);
    check(&mut cargo)?;
    let binary = workspace::ocirun();
    let image = fs::read(&binary).map_err(io_error("read", &binary))?;
    match defect(&image) {
        None => Ok(binary),
        Some(reason) => Err(Error::NotStatic {
            path: binary,
            reason,
        }),
    }
}

/// Fails with the build command when the binary was not built yet.
pub fn need_built(binary: &Path) -> Result<()> {
    fs::metadata(binary)
        .map(drop)
        .map_err(io_error("find (cargo xtask build makes it)", binary))
}

/// Why this ELF image is not a static executable at a fixed address; see elf(5).
fn defect(image: &[u8]) -> Option<&'static str> {
    const ET_EXEC: u64 = 2;
    const PT_DYNAMIC: u64 = 2;
    const PT_INTERP: u64 = 3;
    let field = |offset: usize, size: usize| -> Option<u64> {
        let bytes = image.get(offset..offset.checked_add(size)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    if image.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Some("is no little-endian 64-bit ELF file");
    }
    let headers = || -> Option<Vec<u64>> {
        let (table, size, count) = (
            field(32, 8)? as usize,
            field(54, 2)? as usize,
            field(56, 2)? as usize,
        );
        (0..count)
            .map(|index| field(table.checked_add(index * size)?, 4))
            .collect()
    };
    let Some(types) = headers() else {
        return Some("has a broken program header table");
    };
    if types.contains(&PT_INTERP) {
        Some("asks for a dynamic loader")
    } else if types.contains(&PT_DYNAMIC) || field(16, 2) != Some(ET_EXEC) {
        Some("is position-independent")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-byte ELF header with program headers of these types behind it.
    fn elf(kind: u8, types: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 64];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[16] = kind;
        image[32] = 64;
        image[54] = 56;
        image[56] = types.len() as u8;
        for kind in types {
            image.push(*kind);
            image.extend([0; 55]);
        }
        image
    }

    #[test]
    fn only_a_fixed_address_without_loader_passes() {
        assert_eq!(defect(&elf(2, &[1, 1])), None);
        assert_eq!(defect(&elf(3, &[1])), Some("is position-independent"));
        assert_eq!(defect(&elf(2, &[1, 2])), Some("is position-independent"));
        assert_eq!(
            defect(&elf(3, &[1, 2, 3])),
            Some("asks for a dynamic loader")
        );
        assert_eq!(
            defect(b"#!/bin/sh"),
            Some("is no little-endian 64-bit ELF file")
        );
        assert_eq!(
            defect(&elf(2, &[1, 1])[..100]),
            Some("has a broken program header table")
        );
    }
}
