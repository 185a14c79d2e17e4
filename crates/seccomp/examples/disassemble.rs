//! Compiles a profile for this machine and prints the program: `disassemble seccomp.json`.

use std::error::Error;

use oci_runtime_seccomp::{Arch, Profile, compile, disassemble};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: disassemble PROFILE.json")?;
    let native = Arch::native().ok_or("profiles have no name for this machine's architecture")?;
    let text = std::fs::read_to_string(path)?;
    let profile: Profile = serde_json::from_str(&text)?;
    let filter = compile(&profile, native)?;
    for warning in &filter.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", disassemble(&filter.program));
    println!("flags: {:?}", filter.flags);
    Ok(())
}
