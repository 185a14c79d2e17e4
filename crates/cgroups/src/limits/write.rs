//! What lowering gives: values for files, each with the setting that asks for it and with what a refusal means.

use crate::device_program::DeviceProgram;
use serde::Serialize;
use std::borrow::Cow;
use std::path::PathBuf;

/// A JSON pointer below `/linux/resources`.
pub type Origin = Cow<'static, str>;

/// One value for one file of cgroupfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Write {
    /// Absolute path of the file.
    pub file: PathBuf,
    /// What is written, in one write(2).
    pub value: String,
    /// JSON pointer below `/linux/resources` of the setting that asks for it.
    pub origin: Origin,
    /// What a refusal means.
    #[serde(skip_serializing_if = "OnRefusal::is_fail")]
    pub on_refusal: OnRefusal,
}

/// What a refused [`Write`] means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    /// The whole operation fails.
    #[default]
    Fail,
    /// On EINVAL the write is made again after all others, and fails then: the kernel compares pairs of settings, and
    /// which of the two must go first depends on what was there before.
    RetryLast,
    /// ENOENT is success: there is no such file on some kernels, and nothing to limit then.
    SkipIfMissing,
    /// On ENOENT this file gets this value instead.
    Instead {
        /// Absolute path of the other file.
        file: PathBuf,
        /// Its value.
        value: String,
    },
}

impl OnRefusal {
    fn is_fail(&self) -> bool {
        *self == OnRefusal::Fail
    }
}

/// A number in a file that must not be above `at_most` before anything is written (`memory.checkBeforeUpdate`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Absolute path of the file that holds the usage.
    pub file: PathBuf,
    /// Bytes.
    pub at_most: u64,
    /// JSON pointer below `/linux/resources` of the limit.
    pub origin: Origin,
}

/// A setting without effect here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// JSON pointer below `/linux/resources`.
    pub origin: Origin,
    /// Why it has none.
    pub reason: &'static str,
}

/// Everything to do to a cgroup so that it limits as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// To be made first.
    pub checks: Vec<Check>,
    /// In order.
    pub writes: Vec<Write>,
    /// To be loaded and attached to the v2 directory, after the writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_program: Option<DeviceProgram>,
    /// Settings without effect.
    pub warnings: Vec<Warning>,
}
