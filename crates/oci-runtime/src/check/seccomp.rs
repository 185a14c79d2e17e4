//! The agent of a filter: who is asked about calls with `SCMP_ACT_NOTIFY`. The rules themselves are judged by their compiler.

use super::{Fault, Problems};
use crate::pointer::at;
use crate::spec::{Profile, Spec};

/// What `sun_path` holds besides its NUL (unix(7)).
const LONGEST: usize = 107;

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    let Some(profile) = &spec.linux.seccomp else {
        return;
    };
    let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    let listens = given(profile.listener_path.as_deref());
    if given(profile.listener_metadata.as_deref()) && !listens {
        problems.error(
            at!["linux", "seccomp", "listenerMetadata"],
            Fault::MetadataWithoutListener,
        );
    }
    // Without such a rule the path is ignored (config-linux.md, "Seccomp").
    if notifies(profile) {
        let path = profile.listener_path.as_deref().unwrap_or_default();
        if let Some(fault) = fault_of(path) {
            problems.error(at!["linux", "seccomp", "listenerPath"], fault);
        }
    }
}

fn notifies(profile: &Profile<'_>) -> bool {
    let mut rules = profile.syscalls.iter();
    rules.any(|rule| &*rule.action == "SCMP_ACT_NOTIFY")
}

fn fault_of(path: &str) -> Option<Fault> {
    match path {
        "" => Some(Fault::NoListener),
        _ if !path.starts_with('/') => Some(Fault::RelativePath(path.to_owned())),
        _ if path.len() > LONGEST => Some(Fault::SocketPathTooLong(path.len())),
        _ if path.contains('\0') => Some(Fault::Nul),
        _ => None,
    }
}
