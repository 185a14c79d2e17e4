//! Compiles the freestanding program in `stage/` with the same compiler that builds this package.
//!
//! It calls the compiler directly: a nested cargo would need a manifest of its own, which `cargo package` leaves out.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Small, self-contained, at a fixed address: nothing to load, to link or to relocate at run time.
const CODEGEN: &[&str] = &[
    "opt-level=z",
    "panic=abort",
    "lto=fat",
    "codegen-units=1",
    "relocation-model=static",
    "target-feature=+crt-static",
    "overflow-checks=off",
    "force-unwind-tables=no",
    "strip=symbols",
    "debuginfo=0",
    "default-linker-libraries=no",
    "link-arg=-nostartfiles",
    "link-arg=-nostdlib",
    "link-arg=-static",
    "link-arg=-Wl,--no-eh-frame-hdr,-T,stage/sections.ld",
    "link-arg=-Wl,--build-id=none,-z,noexecstack,-z,norelro,-z,noseparate-code,--gc-sections",
];

fn main() {
    println!("cargo::rerun-if-changed=stage");
    println!("cargo::rerun-if-changed=src");
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    assert!(
        matches!(architecture.as_str(), "x86_64" | "aarch64"),
        "init has no system-call layer for {architecture}; it is one file, see stage/arch_x86_64.rs",
    );
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args([
        "stage/main.rs",
        "--crate-name",
        "init",
        "--crate-type",
        "bin",
        "--edition",
        "2024",
    ]);
    rustc.arg("--target").arg(variable("TARGET"));
    rustc
        .arg("-o")
        .arg(PathBuf::from(variable("OUT_DIR")).join("init"));
    for option in CODEGEN {
        rustc.args(["-C", option]);
    }
    // Where the compiler brings a C library's start files along, they are not wanted either.
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        rustc.args(["-C", "link-self-contained=no"]);
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    let status = rustc
        .status()
        .expect("the compiler that cargo named can be run");
    assert!(status.success(), "stage/main.rs does not compile: {status}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo sets {name}: {error}"))
}
