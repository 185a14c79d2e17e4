//! The verbs that make and explain a bundle, and the global flags.

use std::fs;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{case, case_with, text};
use oci_runtime_integration::rootfs;
use oci_runtime_integration::runtime::{only_ocirun, read};
use serde_json::Value;

#[test]
fn spec_writes_a_configuration_that_runs() {
    let Some(case) = case() else { return };
    let config = case.bundle().join("config.json");
    fs::remove_file(&config).expect("remove config.json");
    case.runtime(&["spec"]).ok();
    let mut written: Value = serde_json::from_str(&read(&config)).expect("JSON");
    assert_eq!(written["root"]["path"], "rootfs");
    let inheritable = written.pointer("/process/capabilities/inheritable");
    let empty = |sets: &Value| sets.as_array().is_some_and(Vec::is_empty);
    assert!(inheritable.is_none_or(empty), "{inheritable:?}");
    case.runtime(&["spec"]).failed(1, &["config.json"]);

    written["process"]["terminal"] = false.into();
    written["root"]["path"] = text(rootfs::shared()).into();
    written["linux"]["cgroupsPath"] = case.cgroup.clone().into();
    script(&mut written, "echo from spec");
    case.write_config(&written.to_string());
    assert_eq!(case.run().ok().stdout, "from spec\n");
}

#[test]
fn spec_writes_into_the_bundle_it_is_given() {
    let Some(case) = case() else { return };
    let other = case.path("other");
    fs::create_dir(&other).expect("another bundle");
    case.runtime(&["spec", "--bundle", &text(&other)]).ok();
    assert!(other.join("config.json").is_file());
}

#[test]
fn the_version_is_told_in_the_words_that_engines_look_for() {
    let Some(case) = case() else { return };
    let version = case.runtime(&["--version"]).ok().stdout;
    let first = version.lines().next().unwrap_or_default();
    assert!(first.starts_with("runc version "), "{version}");
    assert!(version.contains("\nspec: 1."), "{version}");
}

#[test]
fn plan_prints_every_step_and_touches_nothing() {
    if !only_ocirun("has no such verb") {
        return;
    }
    let Some(case) = case() else { return };
    let bundle = text(&case.bundle());
    let plan = case.runtime(&["plan", "--bundle", &bundle]).ok().stdout;
    let json = case
        .runtime(&["plan", "--format", "json", "--bundle", &bundle])
        .ok()
        .stdout;
    case.assert_clean();
    let parsed: Value = serde_json::from_str(&json).expect("JSON");
    assert!(parsed.is_array() || parsed.is_object());
    for pointer in ["/mounts/0", "/process/args", "/linux/maskedPaths/0"] {
        assert!(plan.contains(pointer), "no {pointer} in the plan: {plan}");
        assert!(json.contains(pointer), "no {pointer} in the JSON: {json}");
    }
}

#[test]
fn flags_that_engines_pass_without_need_are_accepted() {
    let Some(case) = case_with(|c| script(c, "exit 0")) else {
        return;
    };
    for rootless in ["--rootless=false", "--rootless=auto"] {
        case.runtime(&[rootless, "run", "--no-new-keyring", &case.id])
            .ok();
    }
    case.runtime(&["run", "-no-subreaper", &case.id]).ok();
    // By shims of containerd before 1.7.
    case.runtime(&["--criu", "/usr/sbin/criu", "run", &case.id])
        .ok();
    case.runtime(&["--debug", "run", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn the_state_directory_is_for_root_alone() {
    let Some(case) = case() else { return };
    use std::os::unix::fs::PermissionsExt;
    case.create();
    let mode = |path| {
        fs::metadata(path)
            .expect("a directory")
            .permissions()
            .mode()
            & 0o077
    };
    let own = mode(case.path("state").join(&case.id));
    assert_eq!(own & 0o066, 0, "others may read or write: {own:o}");
}

#[test]
fn features_are_told_in_json_and_nowhere_else() {
    let Some(case) = case() else { return };
    if !only_ocirun("not in version 1.1") {
        return;
    }
    let said = case.runtime(&["features"]).ok();
    assert_eq!(said.stderr, "");
    let features: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(
        features["linux"]["mountExtensions"]["idmap"]["enabled"],
        true
    );
    assert!(
        features["mountOptions"]
            .as_array()
            .expect("a list")
            .contains(&"rro".into())
    );
}
