//! Hooks of the configuration: each kind at its moment and in its place (config.md, "POSIX-platform Hooks").
//!
//! | kind | runs in | when |
//! |---|---|---|
//! | prestart, createRuntime | the runtime's namespaces | the container's are made and mounted, its root is not yet `/` |
//! | createContainer | the container's namespaces | after those, paths still being the host's |
//! | startContainer | the container | after `start`, before the program |
//! | poststart, poststop | the runtime's namespaces | the program runs; the container is deleted |
//!
//! The working directory, of which the specification says nothing, is what other runtimes make it: the bundle in the runtime's
//! namespaces, the root filesystem for createContainer, the payload's for startContainer.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use oci_runtime_init::op::{List, Op};

use super::text::c;
use crate::error::Result;
use crate::hooks::Hook;
use crate::plan::{ParentOp, Plan};
use crate::pointer::pointer;
use crate::spec::{self, Spec};

/// Lists of one kind as the parent runs them.
pub(super) fn of_parent(kind: &str, hooks: &[spec::Hook<'_>]) -> Vec<Hook> {
    let texts = |list: &[spec::Str<'_>]| list.iter().map(|text| text.to_string()).collect();
    let hook = |(index, hook): (usize, &spec::Hook<'_>)| Hook {
        origin: pointer(&["hooks".into(), kind.into(), index.into()]),
        path: hook.path.to_string(),
        args: texts(&hook.args),
        env: texts(&hook.env),
        timeout: seconds(hook).map(Duration::from_secs),
    };
    hooks.iter().enumerate().map(hook).collect()
}

/// Checked to be above 0.
fn seconds(hook: &spec::Hook<'_>) -> Option<u64> {
    hook.timeout.and_then(|seconds| u64::try_from(seconds).ok())
}

/// Where the hooks between mounts and pivot look for the container's root; empty when there are none.
pub(super) fn place_of_root(spec: &Spec<'_>, rootfs: &Path) -> Result<CString> {
    let hooks = &spec.hooks;
    let any = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
    ]
    .iter()
    .any(|list| !list.is_empty());
    c(
        "/root/path",
        if any {
            rootfs.as_os_str().as_bytes()
        } else {
            b""
        },
    )
}

/// The hooks between mounts and pivot.
pub(super) fn create(plan: &mut Plan, spec: &Spec<'_>, id: &str, bundle: &Path) -> Result<()> {
    let mut runtime = of_parent("prestart", &spec.hooks.prestart);
    runtime.extend(of_parent("createRuntime", &spec.hooks.create_runtime));
    if !runtime.is_empty() {
        plan.inner("/hooks", Op::Yield {});
        plan.parent("/hooks", ParentOp::Hooks { hooks: runtime });
    }
    inner(
        plan,
        spec,
        id,
        bundle,
        Kind {
            name: "createContainer",
            status: "creating",
            hooks: &spec.hooks.create_container,
        },
    )
}

/// The hooks after the gate.
pub(super) fn start(plan: &mut Plan, spec: &Spec<'_>, id: &str, bundle: &Path) -> Result<()> {
    inner(
        plan,
        spec,
        id,
        bundle,
        Kind {
            name: "startContainer",
            status: "created",
            hooks: &spec.hooks.start_container,
        },
    )
}

struct Kind<'k, 'a> {
    name: &'static str,
    status: &'static str,
    hooks: &'k [spec::Hook<'a>],
}

fn inner(
    plan: &mut Plan,
    spec: &Spec<'_>,
    id: &str,
    bundle: &Path,
    kind: Kind<'_, '_>,
) -> Result<()> {
    if kind.hooks.is_empty() {
        return Ok(());
    }
    let [before_pid, after_pid] = state(spec, id, bundle, kind.status)?;
    for (index, hook) in kind.hooks.iter().enumerate() {
        let origin = pointer(&["hooks".into(), kind.name.into(), index.into()]);
        let path = c(&origin, &*hook.path)?;
        let (mut args, env) = (strings(&origin, &hook.args)?, strings(&origin, &hook.env)?);
        if args.is_empty() {
            // A program without even a name is refused by some and confuses others.
            args.push(path.clone());
        }
        let (args, env) = (borrow(&args), borrow(&env));
        let timeout = seconds(hook).map_or(0, |seconds| {
            u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX)
        });
        plan.inner(
            origin,
            Op::Hook {
                path: &path,
                args: List::Items(&args),
                env: List::Items(&env),
                timeout,
                before_pid: &before_pid,
                after_pid: &after_pid,
            },
        );
    }
    Ok(())
}

/// The state as JSON, in two parts: the pid is known to the process itself.
fn state(spec: &Spec<'_>, id: &str, bundle: &Path, status: &str) -> Result<[CString; 2]> {
    let version = json(&*spec.oci_version);
    let before = format!(
        "{{\"ociVersion\":{version},\"id\":{},\"status\":\"{status}\",\"pid\":",
        json(id)
    );
    let after = format!(
        ",\"bundle\":{},\"annotations\":{}}}",
        json(bundle),
        json(&spec.annotations)
    );
    Ok([c("/ociVersion", before)?, c("/annotations", after)?])
}

/// Strings and maps of strings always have a JSON form; a path that is not UTF-8 has none.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn strings(origin: &str, list: &[spec::Str<'_>]) -> Result<Vec<CString>> {
    list.iter().map(|text| c(origin, &**text)).collect()
}

fn borrow(list: &[CString]) -> Vec<&CStr> {
    list.iter().map(CString::as_c_str).collect()
}
