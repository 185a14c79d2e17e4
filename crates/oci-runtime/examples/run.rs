//! Runs the container of a bundle, waits for it and deletes it: `run BUNDLE ID`, as root.

use std::path::Path;
use std::process::ExitCode;

use oci_runtime::{Bundle, Create, Error, StateRoot, delete, own_stdio, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(bundle), Some(id)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: run BUNDLE ID");
        return ExitCode::FAILURE;
    };
    match container(Path::new(&bundle), &id) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn container(bundle: &Path, id: &str) -> Result<i32, Error> {
    let root = StateRoot::new("/run/oci-runtime-example");
    let bundle = Bundle::open(bundle)?;
    let spec = bundle.spec()?;
    let process = run(&root, id, &Create::new(&bundle, &spec, own_stdio()))?;
    let exit = process.wait()?;
    delete(&root, id, false)?;
    Ok(exit.code())
}
