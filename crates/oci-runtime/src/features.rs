//! `features`: what this build can do (features.md of the runtime specification). Every list is made from the table that the
//! implementation itself walks, so it cannot promise what is refused.

use oci_runtime_cgroups::systemd::ANNOTATION_PREFIX;
use oci_runtime_seccomp::{Action, Arch, flag_names, operator_names};
use serde_json::{Value, json};

use crate::spec::OCI_VERSION;
use crate::{capabilities, check, lower, memory_policy, mount_options};

/// The oldest version of the specification whose configurations are accepted.
const OLDEST_VERSION: &str = "1.0.0";

/// The features document.
pub fn features() -> Value {
    json!({
        "ociVersionMin": OLDEST_VERSION,
        "ociVersionMax": OCI_VERSION,
        "hooks": check::HOOK_KINDS,
        "mountOptions": mount_options::names().collect::<Vec<_>>(),
        "linux": {
            "namespaces": lower::namespace_names().collect::<Vec<_>>(),
            "capabilities": capabilities::names(),
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {
                "modes": memory_policy::MODES.iter().map(|mode| mode.name).collect::<Vec<_>>(),
                "flags": memory_policy::FLAGS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            },
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {},
        // All others are handed on and mean nothing here.
        "potentiallyUnsafeConfigAnnotations": [ANNOTATION_PREFIX],
    })
}

fn seccomp() -> Value {
    json!({
        "enabled": true,
        "actions": Action::names().collect::<Vec<_>>(),
        "operators": operator_names().collect::<Vec<_>>(),
        "archs": Arch::ALL.iter().map(|arch| arch.name()).collect::<Vec<_>>(),
        "knownFlags": flag_names().collect::<Vec<_>>(),
        "supportedFlags": flag_names().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, check};
    use crate::host::Host;
    use crate::spec;

    fn texts(value: &Value) -> Vec<&str> {
        let list = value.as_array().expect("a list");
        list.iter()
            .map(|text| text.as_str().expect("a text"))
            .collect()
    }

    /// Every promised mount option passes the checks, and every one that is refused is not promised.
    #[test]
    fn options_are_promised_if_and_only_if_they_are_accepted() {
        let features = features();
        let promised = texts(&features["mountOptions"]);
        let Ok(host) = Host::read() else {
            eprintln!("not run: this machine cannot be read");
            return;
        };
        for option in mount_options::names() {
            let kind = if option == "tmpcopyup" {
                "tmpfs"
            } else {
                "bind"
            };
            let json = format!(
                r#"{{"ociVersion":"1.3.0","process":{{"args":["x"],"cwd":"/"}},"root":{{"path":"r"}},
                "mounts":[{{"destination":"/d","type":{kind:?},"source":"/s","options":[{option:?}]}}],
                "linux":{{"namespaces":[{{"type":"mount"}},{{"type":"user","path":"/u"}}]}}}}"#
            );
            let spec = spec::parse(json.as_bytes()).expect("it parses");
            let refused = check(&spec, &host)
                .iter()
                .any(|problem| problem.severity == Severity::Error);
            assert_eq!(promised.contains(&option), !refused, "{option}");
        }
    }

    #[test]
    fn the_lists_are_those_of_the_specification() {
        let features = features();
        let namespaces = texts(&features["linux"]["namespaces"]);
        for name in [
            "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
        ] {
            assert!(namespaces.contains(&name), "{name}");
        }
        assert_eq!(texts(&features["hooks"]).len(), 6);
        assert!(texts(&features["mountOptions"]).contains(&"rro"));
        assert!(texts(&features["linux"]["seccomp"]["actions"]).contains(&"SCMP_ACT_NOTIFY"));
    }
}
