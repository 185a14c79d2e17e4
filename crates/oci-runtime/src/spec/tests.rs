mod wrong_types;

use serde_json::{Value, json};

use super::*;

const DOCKER: &str = include_str!("fixtures/docker.json");
const CONTAINERD: &str = include_str!("fixtures/containerd.json");
const PODMAN: &str = include_str!("fixtures/podman.json");
const EVERYTHING: &str = include_str!("fixtures/everything.json");
const ALL: [&str; 4] = [DOCKER, CONTAINERD, PODMAN, EVERYTHING];

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Leaves out what both readings take for absent, so that two spellings of one thing compare equal.
fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) => {
            let kept: serde_json::Map<_, _> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, pruned(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => (!items.is_empty()).then(|| {
            Value::Array(
                items
                    .into_iter()
                    .map(|item| pruned(item).unwrap_or(Value::Null))
                    .collect(),
            )
        }),
        Value::Null => None,
        Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Number(number) if number.as_u64() == Some(0) => None,
        other => Some(other),
    }
}

/// The leaves, with their pointers, that are in one document and not in the other.
fn differences(one: Value, other: Value) -> Vec<String> {
    let leaves = |value| {
        let mut all = std::collections::BTreeSet::new();
        collect_leaves(&mut all, String::new(), &pruned(value).unwrap());
        all
    };
    leaves(one)
        .symmetric_difference(&leaves(other))
        .cloned()
        .collect()
}

fn collect_leaves(all: &mut std::collections::BTreeSet<String>, at: String, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect_leaves(all, format!("{at}/{name}"), value);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect_leaves(all, format!("{at}/{index}"), value);
            }
        }
        leaf => {
            all.insert(format!("{at} = {leaf}"));
        }
    }
}

#[test]
fn configurations_of_engines_survive_a_round_trip() {
    for json in ALL {
        let spec = parse(json.as_bytes()).unwrap();
        let written = serde_json::to_string(&spec).unwrap();
        assert_eq!(differences(value(&written), value(json)), [""; 0]);
        assert_eq!(parse(written.as_bytes()).unwrap(), spec);
    }
}

#[test]
fn text_of_a_configuration_is_borrowed_but_for_escapes() {
    let spec = parse(DOCKER.as_bytes()).unwrap();
    let process = spec.process.unwrap();
    assert!(process.args.iter().all(Str::is_borrowed));
    assert!(
        spec.annotations
            .iter()
            .all(|(key, value)| key.is_borrowed() && value.is_borrowed())
    );
    let escaped: Vec<_> = process
        .env
        .iter()
        .filter(|variable| !variable.is_borrowed())
        .collect();
    assert_eq!(escaped, [&Str::from("PS1=\\u@\\h \t$ ")]);
}

/// The independent types of oci-spec read what we write, and we read what they write.
#[test]
fn oci_spec_reads_the_same() {
    for json in ALL {
        let ours = serde_json::to_string(&parse(json.as_bytes()).unwrap()).unwrap();
        let theirs: oci_spec::runtime::Spec = serde_json::from_str(&ours).unwrap();
        let theirs_json = serde_json::to_string(&theirs).unwrap();
        let back = serde_json::to_string(&parse(theirs_json.as_bytes()).unwrap()).unwrap();
        let sorted = |json: &str| sort_capabilities(value(json));
        let mut differences = differences(sorted(&back), sorted(json));
        // Versions before 1.3 had these.
        differences.retain(|line| !line.contains("/enableCMT") && !line.contains("/enableMBM"));
        assert_eq!(differences, [""; 0]);
    }
}

/// oci-spec keeps capabilities as sets.
fn sort_capabilities(mut spec: Value) -> Value {
    let sets = spec
        .pointer_mut("/process/capabilities")
        .and_then(Value::as_object_mut)
        .unwrap();
    for set in sets.values_mut() {
        set.as_array_mut()
            .unwrap()
            .sort_by_key(|name| name.as_str().unwrap().to_owned());
    }
    spec
}

#[test]
fn null_and_unknown_members_are_absent_ones() {
    let nulls = json!({
        "ociVersion": "1.3.0", "newInVersion9": {"x": [1]}, "mounts": null, "hooks": null, "annotations": null,
        "root": null, "hostname": null, "windows": {"layerFolders": []}, "vm": null,
        "process": {
            "terminal": null, "consoleSize": null, "user": null, "args": null, "env": null, "cwd": "/",
            "capabilities": {"bounding": null, "future": ["CAP_X"]}, "rlimits": null, "noNewPrivileges": null,
            "oomScoreAdj": null, "scheduler": null, "ioPriority": null, "execCPUAffinity": null, "commandLine": "x"
        },
        "linux": {
            "uidMappings": null, "gidMappings": null, "sysctl": null, "resources": null, "cgroupsPath": null,
            "namespaces": null, "devices": null, "netDevices": null, "seccomp": null, "rootfsPropagation": null,
            "maskedPaths": null, "readonlyPaths": null, "mountLabel": null, "intelRdt": null, "personality": null,
            "memoryPolicy": null, "timeOffsets": null
        }
    });
    let expected = Spec {
        oci_version: "1.3.0".into(),
        process: Some(Process {
            cwd: "/".into(),
            capabilities: Some(Capabilities::default()),
            ..Process::default()
        }),
        ..Spec::default()
    };
    assert_eq!(parse(nulls.to_string().as_bytes()).unwrap(), expected);
    assert_eq!(
        parse(br#"{"linux": null, "process": null}"#).unwrap(),
        Spec::default()
    );
}

#[test]
fn an_error_names_the_place() {
    let cases: [(&str, &str, usize, usize, &str); 8] = [
        (
            "{\n \"process\": {\"args\": [\"a\", 7]}}",
            "/process/args/1",
            2,
            28,
            "invalid type: integer `7`",
        ),
        (
            "{\"process\": {\"user\": {\"uid\": -1}}}",
            "/process/user/uid",
            1,
            31,
            "invalid value: integer `-1`",
        ),
        (
            "{\"linux\": {\"sysctl\": {\"a/b\": 1}}}",
            "/linux/sysctl/a~1b",
            1,
            30,
            "invalid type: integer `1`",
        ),
        (
            "{\"mounts\": [{}, {\"options\": \"ro\"}]}",
            "/mounts/1/options",
            1,
            32,
            "expected a sequence",
        ),
        (
            "{\n\n  \"mounts\": [",
            "/mounts",
            3,
            13,
            "EOF while parsing a list",
        ),
        ("", "", 1, 0, "EOF while parsing a value"),
        ("{} x", "", 1, 4, "trailing characters"),
        (
            "{\"root\": {\"path\": \"a\", \"path\": \"b\"}}",
            "/root",
            1,
            29,
            "duplicate field `path`",
        ),
    ];
    for (json, pointer, line, column, message) in cases {
        let error = parse(json.as_bytes()).unwrap_err();
        assert_eq!(
            (error.pointer.as_str(), error.line, error.column),
            (pointer, line, column),
            "{json}: {error}"
        );
        assert!(error.message.contains(message), "{json}: {error}");
        assert!(!error.message.contains(" at line "), "{error}");
    }
    let error = parse(b"{\"hostname\": \"\xff\"}").unwrap_err();
    assert_eq!((error.pointer.as_str(), error.line), ("/hostname", 1));
}

/// Derived code would take a list of members, in the order of the source text, for any object.
#[test]
fn a_list_is_not_an_object() {
    let places = [
        "",
        "/process",
        "/process/user",
        "/process/consoleSize",
        "/process/capabilities",
        "/process/rlimits/0",
        "/process/scheduler",
        "/process/ioPriority",
        "/process/execCPUAffinity",
        "/root",
        "/mounts/0",
        "/mounts/0/uidMappings/0",
        "/hooks",
        "/hooks/prestart/0",
        "/linux",
        "/linux/namespaces/0",
        "/linux/devices/0",
        "/linux/uidMappings/0",
        "/linux/timeOffsets/boottime",
        "/linux/resources",
        "/linux/resources/memory",
        "/linux/resources/devices/0",
        "/linux/seccomp",
        "/linux/seccomp/syscalls/0",
        "/linux/personality",
        "/linux/memoryPolicy",
        "/linux/intelRdt",
    ];
    let everything = include_str!("fixtures/everything.json");
    parse(everything.as_bytes()).unwrap();
    for place in places {
        let mut changed = value(everything);
        *changed
            .pointer_mut(place)
            .unwrap_or_else(|| panic!("{place}")) = serde_json::json!([]);
        let text = changed.to_string();
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, place, "{error}");
        assert!(
            error.message.starts_with("invalid type: sequence"),
            "{error}"
        );
    }
}

#[test]
fn deeply_nested_input_is_an_error() {
    let json = format!("{{\"x\": {}", "[".repeat(100_000));
    let error = parse(json.as_bytes()).unwrap_err();
    assert!(error.message.contains("EOF"), "{error}");
}

#[test]
fn the_example_says_what_it_should() {
    let json = serde_json::to_value(Spec::example()).unwrap();
    let expected = [
        ("/ociVersion", json!("1.3.0")),
        ("/process/args", json!(["sh"])),
        ("/process/terminal", json!(true)),
        ("/process/noNewPrivileges", json!(true)),
        ("/process/capabilities/bounding/0", json!("CAP_AUDIT_WRITE")),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]),
        ),
        ("/root", json!({"path": "rootfs", "readonly": true})),
        (
            "/mounts/0",
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        ),
        ("/linux/namespaces/0", json!({"type": "pid"})),
        (
            "/linux/resources",
            json!({"devices": [{"allow": false, "access": "rwm"}]}),
        ),
    ];
    for (pointer, expected) in expected {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(json.pointer("/process/capabilities/inheritable"), None);
    assert_eq!(json["mounts"].as_array().unwrap().len(), 7);
    serde_json::from_value::<oci_spec::runtime::Spec>(json).unwrap();
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = String> {
        let names = [
            "process", "args", "user", "uid", "mounts", "options", "linux", "type", "hooks", "x",
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            ".{0,4}".prop_map(|text| Value::String(text).to_string()),
        ];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let member = (prop::sample::select(names.to_vec()), inner.clone())
                .prop_map(|(name, value)| format!("\"{name}\":{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..5)
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        /// Whatever the file, there is a result, and what is read is written back the same.
        #[test]
        fn document_is_read_or_refused(json in json(), cut in 0usize..200) {
            for json in [json.as_str(), json.get(..cut).unwrap_or(&json)] {
                if let Ok(spec) = parse(json.as_bytes()) {
                    let written = serde_json::to_string(&spec).unwrap();
                    prop_assert_eq!(parse(written.as_bytes()).unwrap(), spec);
                }
            }
        }
    }
}
