//! Limits as data: what to write to which file, and why.
//!
//! [`writes`] lowers `linux.resources` to an ordered list of [`Write`]s, a few [`Check`]s to make before, and for v2 a
//! device program. It is a pure function of the configuration, the layout and the directories, so that a dry run shows
//! exactly what [`crate::apply`] will do. A setting that a mode cannot express becomes a warning where nothing is
//! weakened by leaving it out (or where every kernel of today lacks it), and an error otherwise.

mod cpu;
mod io;
mod memory;
mod rest;

use crate::device_program::DeviceProgram;
use crate::devices;
use crate::error::{Error, Result};
use crate::layout::{Layout, Mode};
use crate::paths::Paths;
use crate::resources::Resources;
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

pub use cpu::weight_from_shares;
pub use io::io_weight;

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

/// The limits of a new cgroup: all of `resources`, and the device rules even where there are none, because a container
/// reaches no device that is not allowed.
pub fn writes(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let mut lowering = Lowering::new(layout, paths);
    devices::lower(
        &mut lowering,
        resources.devices.as_deref().unwrap_or_default(),
    )?;
    lowering.all_but_devices(resources)?;
    Ok(lowering.limits)
}

/// The limits to change of a running cgroup: all of `resources` but the devices, which stay as they are.
pub fn writes_for_update(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let mut lowering = Lowering::new(layout, paths);
    lowering.all_but_devices(resources)?;
    Ok(lowering.limits)
}

/// Which generation holds a controller, and the container's directory there.
#[derive(Clone, Copy)]
pub(crate) enum Home<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

/// The list under construction.
pub(crate) struct Lowering<'a> {
    layout: &'a Layout,
    paths: &'a Paths,
    pub(crate) limits: Limits,
    enabled: Vec<&'static str>,
}

impl<'a> Lowering<'a> {
    fn new(layout: &'a Layout, paths: &'a Paths) -> Self {
        Lowering {
            layout,
            paths,
            limits: Limits::default(),
            enabled: Vec::new(),
        }
    }

    fn all_but_devices(&mut self, resources: &Resources) -> Result<()> {
        if let Some(memory) = &resources.memory {
            memory::lower(self, memory)?;
        }
        if let Some(cpu) = &resources.cpu {
            cpu::lower(self, cpu)?;
        }
        if let Some(pids) = &resources.pids {
            rest::pids(self, pids)?;
        }
        if let Some(block_io) = &resources.block_io {
            io::lower(self, block_io)?;
        }
        if let Some(limits) = &resources.hugepage_limits {
            rest::hugepages(self, limits)?;
        }
        if let Some(network) = &resources.network {
            rest::network(self, network)?;
        }
        if let Some(rdma) = &resources.rdma {
            rest::rdma(self, rdma)?;
        }
        if let Some(unified) = &resources.unified {
            rest::unified(self, unified)?;
        }
        Ok(())
    }

    /// The directory where controller `v1` (of the name `v2` there) takes its settings; `origin` wants to know.
    pub(crate) fn home(
        &mut self,
        v1: &'static str,
        v2: &'static str,
        origin: impl Into<Origin>,
    ) -> Result<Home<'a>> {
        if let Some(dir) = self.paths.dir(v1) {
            return Ok(Home::V1(dir));
        }
        let origin = origin.into();
        let unified = self.layout.unified().zip(self.paths.unified());
        match unified {
            Some((hierarchy, dir)) if hierarchy.controllers.iter().any(|c| c == v2) => {
                if self.layout.mode == Mode::Hybrid {
                    self.enable(v2, &hierarchy.mount_point, dir, &origin);
                }
                Ok(Home::V2(dir))
            }
            _ => Err(Error::Controller {
                pointer: origin.into_owned(),
                controller: if self.layout.mode == Mode::V2 { v2 } else { v1 },
            }),
        }
    }

    /// The v2 directory, whatever controllers it has.
    pub(crate) fn unified_dir(&self) -> Option<&'a Path> {
        self.paths.unified()
    }

    pub(crate) fn v1_dir(&self, controller: &str) -> Option<&'a Path> {
        self.paths.dir(controller)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.layout.mode
    }

    /// On hybrid, a v2 controller is handed down only where a limit needs it; on v2, `create` hands down all.
    fn enable(&mut self, controller: &'static str, top: &Path, dir: &Path, origin: &Origin) {
        if self.enabled.contains(&controller) {
            return;
        }
        self.enabled.push(controller);
        let above = dir.ancestors().skip(1).take_while(|a| a.starts_with(top));
        let above: Vec<&Path> = above.collect();
        for parent in above.into_iter().rev() {
            self.push(
                parent,
                "cgroup.subtree_control",
                format!("+{controller}"),
                origin.clone(),
            );
        }
    }

    pub(crate) fn push(
        &mut self,
        dir: &Path,
        file: &str,
        value: impl ToString,
        origin: impl Into<Origin>,
    ) {
        self.push_or(dir, file, value, origin, OnRefusal::Fail);
    }

    pub(crate) fn push_or(
        &mut self,
        dir: &Path,
        file: &str,
        value: impl ToString,
        origin: impl Into<Origin>,
        on_refusal: OnRefusal,
    ) {
        self.limits.writes.push(Write {
            file: dir.join(file),
            value: value.to_string(),
            origin: origin.into(),
            on_refusal,
        });
    }

    pub(crate) fn warn(&mut self, origin: impl Into<Origin>, reason: &'static str) {
        self.limits.warnings.push(Warning {
            origin: origin.into(),
            reason,
        });
    }
}

/// A value of 0 is the same as none: engines fill structures with zeros for what they do not set.
pub(crate) fn set<T: Default + PartialEq + Copy>(value: Option<T>) -> Option<T> {
    value.filter(|v| *v != T::default())
}

#[cfg(test)]
mod tests;
