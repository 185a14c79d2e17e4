//! `annotations`: handed on to `state` and hooks, and otherwise inert but for those that `features` lists.

use oci_runtime_integration::case::{case, text};
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

/// What other runtimes take orders by.
const OF_OTHERS: [(&str, &str); 8] = [
    ("run.oci.keep_original_groups", "1"),
    ("run.oci.hooks.stdout", "/tmp/stdout"),
    ("run.oci.handler", "krun"),
    ("run.oci.seccomp_bpf_data", "AAAA"),
    ("run.oci.systemd.subgroup", "sub"),
    ("org.criu.config", "/etc/shadow"),
    ("module.wasm.image/variant", "compat"),
    ("io.kubernetes.cri.container-type", "sandbox"),
];

/// A plan says all that is done: with such annotations it is the same as without.
#[test]
fn annotations_mean_nothing_unless_features_lists_them() {
    let Some(case) = case() else { return };
    if !only_ocirun("has no plan") {
        return;
    }
    let bundle = text(&case.bundle());
    let plan = || {
        case.runtime(&["plan", "--bundle", &bundle, &case.id])
            .ok()
            .stdout
    };
    let before = plan();
    case.configure(|c| {
        for (name, value) in OF_OTHERS {
            c["annotations"][name] = json!(value);
        }
    });
    assert_eq!(plan(), before);
    case.create();
    let state = case.state();
    for (name, value) in OF_OTHERS {
        assert_eq!(state["annotations"][name], value, "{name}");
    }
    let features: Value =
        serde_json::from_str(&case.runtime(&["features"]).ok().stdout).expect("JSON");
    let listed = json!(["org.systemd.property."]);
    assert_eq!(features["potentiallyUnsafeConfigAnnotations"], listed);
}
