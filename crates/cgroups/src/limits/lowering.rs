//! The list of limits under construction: where each controller takes its settings, and what was written so far.

use super::present::Present;
use super::write::{Limits, OnRefusal, Origin, Warning, Write};
use crate::error::{Error, Result};
use crate::layout::{Layout, Mode};
use crate::paths::Paths;
use std::path::Path;

/// Which generation holds a controller, and the container's directory there.
#[derive(Clone, Copy)]
pub(super) enum Home<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

/// The list under construction.
pub(super) struct Lowering<'a> {
    layout: &'a Layout,
    paths: &'a Paths,
    /// What a running cgroup has; a new one has nothing yet.
    pub(super) present: Option<&'a Present>,
    pub(super) limits: Limits,
    enabled: Vec<&'static str>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(layout: &'a Layout, paths: &'a Paths) -> Self {
        Lowering {
            layout,
            paths,
            present: None,
            limits: Limits::default(),
            enabled: Vec::new(),
        }
    }

    /// The directory where controller `v1` (of the name `v2` there) takes its settings; `origin` wants to know.
    pub(super) fn home(
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
    pub(super) fn unified_dir(&self) -> Option<&'a Path> {
        self.paths.unified()
    }

    pub(super) fn v1_dir(&self, controller: &str) -> Option<&'a Path> {
        self.paths.dir(controller)
    }

    pub(super) fn mode(&self) -> Mode {
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

    pub(super) fn push(
        &mut self,
        dir: &Path,
        file: &str,
        value: impl ToString,
        origin: impl Into<Origin>,
    ) {
        self.push_or(dir, file, value, origin, OnRefusal::Fail);
    }

    pub(super) fn push_or(
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

    pub(super) fn warn(&mut self, origin: impl Into<Origin>, reason: &'static str) {
        self.limits.warnings.push(Warning {
            origin: origin.into(),
            reason,
        });
    }
}

/// A value of 0 is the same as none: engines fill structures with zeros for what they do not set.
pub(super) fn set<T: Default + PartialEq + Copy>(value: Option<T>) -> Option<T> {
    value.filter(|v| *v != T::default())
}
