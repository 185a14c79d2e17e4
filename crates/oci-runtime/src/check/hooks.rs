//! Hooks: programs of the host's or of the container's, by absolute paths.

use super::{Fault, Problems};
use crate::pointer::at;
use crate::spec::{Hook, Spec};

/// The kinds of hooks, in the order of their moments.
pub const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    let hooks = &spec.hooks;
    let lists: [&[Hook<'_>]; 6] = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    for (kind, list) in KINDS.into_iter().zip(lists) {
        for (index, hook) in list.iter().enumerate() {
            check_one(problems, kind, index, hook);
        }
    }
}

fn check_one(problems: &mut Problems, kind: &str, index: usize, hook: &Hook<'_>) {
    if !hook.path.starts_with('/') {
        let fault = Fault::RelativePath(hook.path.to_string());
        problems.error(at!["hooks", kind, index, "path"], fault);
    }
    problems.no_nul(at!["hooks", kind, index, "path"], &hook.path);
    for (place, argument) in hook.args.iter().enumerate() {
        problems.no_nul(at!["hooks", kind, index, "args", place], argument);
    }
    if hook.timeout.is_some_and(|seconds| seconds <= 0) {
        problems.error(
            at!["hooks", kind, index, "timeout"],
            Fault::Timeout(hook.timeout.unwrap_or(0)),
        );
    }
    for (place, entry) in hook.env.iter().enumerate() {
        if !entry.contains('=') {
            let fault = Fault::EnvWithoutValue(entry.to_string());
            problems.error(at!["hooks", kind, index, "env", place], fault);
        }
        problems.no_nul(at!["hooks", kind, index, "env", place], entry);
    }
}
