//! A bundle on disk: a directory with `config.json` in it (runtime-spec, bundle.md).

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Cause, Error, Result};
use crate::spec::{self, Spec};

/// A bundle whose configuration has been read, once for all that is done with it.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    file: PathBuf,
    config: Vec<u8>,
}

impl Bundle {
    /// Reads the configuration of the bundle at `path`.
    ///
    /// # Errors
    /// There is no such directory, or no `config.json` in it that can be read.
    pub fn open(path: &Path) -> Result<Bundle> {
        Bundle::with_config(path, &path.join("config.json"))
    }

    /// The bundle at `path` with another file for its configuration.
    ///
    /// # Errors
    /// There is no such directory, or no such file that can be read.
    pub fn with_config(path: &Path, file: &Path) -> Result<Bundle> {
        let path = path
            .canonicalize()
            .map_err(|error| Error::file("open the bundle", path, error))?;
        let config = fs::read(file).map_err(|error| Error::file("read", file, error))?;
        Ok(Bundle {
            path,
            file: file.to_owned(),
            config,
        })
    }

    /// Its directory: an absolute path without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration, which borrows its text from the bundle.
    ///
    /// # Errors
    /// `config.json` is no JSON, or not of the form that the specification gives.
    pub fn spec(&self) -> Result<Spec<'_>> {
        spec::parse(&self.config).map_err(|source| {
            let path = self.file.clone();
            Cause::Parse { path, source }.into()
        })
    }

    /// `config.json` as it was read.
    pub(crate) fn config(&self) -> &[u8] {
        &self.config
    }
}
