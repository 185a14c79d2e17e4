//! Compiles the freestanding program in `stage/` with the same compiler that builds this package.
//!
//! It calls the compiler directly: a nested cargo would need a manifest of its own, which `cargo package` leaves out.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=stage");
    println!("cargo::rerun-if-changed=src");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the architecture");
    assert!(
        matches!(architecture.as_str(), "x86_64" | "aarch64"),
        "init has no system-call layer for {architecture}; it is one file, see stage/arch_x86_64.rs",
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("init");
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    rustc
        .args([
            "stage/main.rs",
            "--crate-name",
            "init",
            "--crate-type",
            "bin",
            "--edition",
            "2024",
        ])
        .args(["--target", &target, "-o"])
        .arg(&out)
        .args([
            "-C",
            "opt-level=s",
            "-C",
            "panic=abort",
            "-C",
            "lto=fat",
            "-C",
            "codegen-units=1",
        ])
        .args([
            "-C",
            "relocation-model=static",
            "-C",
            "strip=symbols",
            "-C",
            "debuginfo=0",
        ])
        .args([
            "-C",
            "target-feature=+crt-static",
            "-C",
            "force-unwind-tables=no",
        ])
        .args([
            "-C",
            "overflow-checks=off",
            "-C",
            "default-linker-libraries=no",
        ])
        .args([
            "-C",
            "link-arg=-nostartfiles",
            "-C",
            "link-arg=-nostdlib",
            "-C",
            "link-arg=-static",
        ])
        .args([
            "-C",
            "link-arg=-Wl,--build-id=none,-z,noexecstack,-z,norelro,--gc-sections",
        ]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc
            .arg("-C")
            .arg(format!("linker={}", linker.to_string_lossy()));
    }
    let status = rustc
        .status()
        .expect("the compiler that cargo named can be run");
    assert!(status.success(), "stage/main.rs does not compile: {status}");
}
