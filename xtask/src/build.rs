//! `cargo xtask build`: the release binary, static and non-PIE, because neither a dynamic loader nor relocations have
//! anything to do in a program that lives for a millisecond. The result's ELF header is read back.
//!
//! The C library is musl where Rust has that target: glibc's start-up asks the processor for its caches with instructions
//! that cost a quarter of a millisecond in a virtual machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::command::{check, read};
use crate::error::{Error, Result, io_error};
use crate::workspace;

pub const HELP: &str = "\
Usage: cargo xtask build

Builds the release binary with the C library linked in and at a fixed address, and checks that it is so.
The binary is target/release/ocirun. Needs gcc, and Rust's target for musl, which is installed by rustup if it is missing;
where that cannot be, the C library is glibc, and libc6-dev (its static libc.a) is needed.
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
    cargo.args(["rustc", "-p", "oci-runtime-bin", "--bin", "ocirun"]);
    cargo.arg("--release");
    let musl = musl();
    if let Some(target) = &musl {
        cargo.args(["--target", target]);
    }
    cargo.args(["--", "-C", "target-feature=+crt-static"]);
    cargo.args(["-C", "relocation-model=static"]);
    check(&mut cargo)?;
    let binary = workspace::ocirun();
    if let Some(target) = &musl {
        let built = workspace::target().join(target).join("release/ocirun");
        replace(&binary, &built)?;
    }
    let image = fs::read(&binary).map_err(io_error("read", &binary))?;
    match defect(&image) {
        None => Ok(binary),
        Some(reason) => Err(Error::NotStatic {
            path: binary,
            reason,
        }),
    }
}

/// The target for musl, if there is one or rustup can get it.
fn musl() -> Option<String> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let installed = || {
        let mut rustc = Command::new("rustc");
        rustc.current_dir(workspace::root());
        rustc.args(["--print", "target-libdir", "--target", &target]);
        read(&mut rustc).is_ok_and(|directory| Path::new(directory.trim_end()).is_dir())
    };
    let add = || {
        let mut rustup = Command::new("rustup");
        rustup.current_dir(workspace::root());
        read(rustup.args(["target", "add", &target])).is_ok()
    };
    if installed() || (add() && installed()) {
        return Some(target);
    }
    eprintln!("Rust has no target {target} here (rustup target add {target}): glibc it is");
    None
}

/// Puts `built` at `place` in one step: what runs from there goes on.
fn replace(place: &Path, built: &Path) -> Result<()> {
    let new = place.with_extension("new");
    fs::create_dir_all(place.parent().unwrap_or(place)).map_err(io_error("make", place))?;
    fs::copy(built, &new).map_err(io_error("copy", built))?;
    fs::rename(&new, place).map_err(io_error("replace", place))
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
