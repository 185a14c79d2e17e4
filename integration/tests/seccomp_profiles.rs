//! `seccomp explain` and `seccomp lint`, on files of every form a profile comes in.

use std::fs;

use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::runtime::{Finished, only_ocirun};
use serde_json::{Value, json};

fn seccomp(case: &Case, words: &[&str]) -> Finished {
    case.runtime(&[&["seccomp"], words].concat())
}

/// A case, and a file with a document.
fn with(document: &Value) -> Option<(Case, String)> {
    if !only_ocirun("has no such verb") {
        return None;
    }
    let case = case()?;
    let path = case.path("profile.json");
    fs::write(&path, document.to_string()).expect("write the profile");
    Some((case, text(&path)))
}

fn profile() -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22,
         "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_NE"}]}]})
}

#[test]
fn a_call_and_the_rule_that_decides_it() {
    let Some((case, path)) = with(&profile()) else {
        return;
    };
    let answer = seccomp(&case, &["explain", &path, "mount"]).ok().stdout;
    let by = "  fail with errno 1 (EPERM), by /syscalls/0/names/0\n";
    assert!(answer.ends_with(by), "{answer}");
    let answer = seccomp(&case, &["explain", &path, "personality", "0x8"]);
    let answer = answer.ok().stdout;
    assert!(answer.contains("allow, by /defaultAction"), "{answer}");
    let json = seccomp(
        &case,
        &["explain", "--format", "json", &path, "personality", "9"],
    );
    let json: Value = serde_json::from_str(&json.ok().stdout).expect("JSON");
    let decided = json!({"action": "fail with errno 22", "rule": "/syscalls/1/names/0"});
    assert_eq!(json[0]["decided"], decided);
    seccomp(&case, &["explain", &path, "mouse"]).failed(1, &["mouse"]);
    seccomp(&case, &["explain", &path, "mount", "one"]).failed(1, &["one"]);
}

#[test]
fn a_configuration_and_a_profile_mean_the_same() {
    let Some((case, path)) = with(&profile()) else {
        return;
    };
    let code = seccomp(&case, &["explain", &path]).ok().stdout;
    assert!(
        code.contains("  mount:\n      fail with errno 1 (EPERM)\n"),
        "{code}"
    );
    case.configure(|config| config["linux"]["seccomp"] = profile());
    let bundle = text(&case.bundle().join("config.json"));
    assert_eq!(seccomp(&case, &["explain", &bundle]).ok().stdout, code);
    let answer = seccomp(&case, &["explain", &bundle, "mount"]).ok().stdout;
    assert!(
        answer.contains("by /linux/seccomp/syscalls/0/names/0"),
        "{answer}"
    );
    case.configure(|config| config["linux"]["seccomp"] = Value::Null);
    seccomp(&case, &["explain", &bundle]).failed(1, &["linux.seccomp"]);
}

#[test]
fn dockers_own_format_is_taken_as_for_this_machine() {
    let docker = json!({"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}]});
    let Some((case, path)) = with(&docker) else {
        return;
    };
    let rule = |call| seccomp(&case, &["explain", &path, call]).ok().stdout;
    assert!(rule("mount").contains("EPERM") || rule("mount").contains("ENOSYS"));
    assert!(rule("ptrace").contains("allow, by /syscalls/1/names/0"));
}

#[test]
fn lint_tells_by_its_status_whether_it_found_anything() {
    let mut odd = profile();
    odd["syscalls"][0]["names"] = json!(["mount", "mouse", "mmap"]);
    let Some((case, path)) = with(&odd) else {
        return;
    };
    let found = seccomp(&case, &["lint", &path]);
    assert_eq!(found.code, 2, "{}", found.stderr);
    assert!(found.stdout.contains("/syscalls/0/names/1: "));
    assert!(found.stdout.contains("\"mmap\" is denied"));
    let json = seccomp(&case, &["lint", "--format", "json", &path]);
    assert_eq!(json.code, 2);
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json[0]["kind"], "unknown-call");
    fs::write(&path, profile().to_string()).expect("write the profile");
    assert_eq!(seccomp(&case, &["lint", &path]).ok().stdout, "");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut wrong = profile();
    wrong["syscalls"][1]["args"][0]["op"] = "EQ".into();
    let Some((case, path)) = with(&wrong) else {
        return;
    };
    for words in [&["explain", &path][..], &["lint", &path]] {
        seccomp(&case, words).failed(1, &["/syscalls/1/args/0/op", "\"EQ\""]);
    }
    wrong["syscalls"][1]["args"][0]["op"] = 7.into();
    fs::write(&path, wrong.to_string()).expect("write the profile");
    seccomp(&case, &["lint", &path]).failed(1, &["/syscalls/1/args/0/op"]);
    seccomp(&case, &["lint", "/nonexistent"]).failed(1, &["/nonexistent"]);
    seccomp(&case, &["erase", &path]).failed(1, &["seccomp erase"]);
}

/// A property, a value that is wrong for it, and where the error says it is, if not there.
fn malformed() -> Vec<(&'static str, Value, &'static str)> {
    let mut cases = Vec::new();
    for (pointer, right) in [
        ("/defaultAction", "SCMP_ACT_LOG"),
        ("/architectures/0", "SCMP_ARCH_X86"),
        ("/flags/0", "SECCOMP_FILTER_FLAG_LOG"),
        ("/syscalls/0/names/0", ""),
        ("/syscalls/0/action", "SCMP_ACT_LOG"),
        ("/syscalls/0/args/0/op", "SCMP_CMP_EQ"),
    ] {
        cases.extend([json!(7), json!({}), json!([]), json!(true)].map(|bad| (pointer, bad, "")));
        if right.is_empty() {
            cases.push((pointer, json!(""), ""));
        } else {
            cases.extend([json!(""), json!(right.to_lowercase())].map(|bad| (pointer, bad, "")));
            cases.push((pointer, json!(format!("{right} ")), ""));
        }
    }
    for pointer in [
        "/defaultErrnoRet",
        "/syscalls/0/errnoRet",
        "/syscalls/0/args/0/index",
        "/syscalls/0/args/0/value",
        "/syscalls/0/args/0/valueTwo",
    ] {
        let wrong = [json!("1"), json!(-1), json!(0.5), json!([]), json!(1e30)];
        cases.extend(wrong.map(|bad| (pointer, bad, "")));
    }
    for pointer in [
        "/architectures",
        "/flags",
        "/syscalls",
        "/syscalls/0/names",
        "/syscalls/0/args",
    ] {
        cases.extend([json!("x"), json!({}), json!(1)].map(|bad| (pointer, bad, "")));
    }
    cases.extend([
        ("/defaultErrnoRet", json!(4096), ""),
        ("/defaultErrnoRet", json!(1_u64 << 32), ""),
        ("/syscalls/0/errnoRet", json!(4096), ""),
        ("/syscalls/0/args/0/index", json!(6), ""),
        ("/syscalls/0/args/0/index", json!(1_u64 << 32), ""),
        (
            "/defaultAction",
            json!("SCMP_ACT_ALLOW"),
            "/defaultErrnoRet",
        ),
        (
            "/syscalls/0/action",
            json!("SCMP_ACT_ALLOW"),
            "/syscalls/0/errnoRet",
        ),
        ("/defaultAction", Value::Null, ""),
        ("/syscalls/0", json!("read"), ""),
        ("/syscalls/0/args/0", json!(0), ""),
    ]);
    cases
}

#[test]
fn every_malformed_property_is_an_error_with_its_pointer() {
    let right = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2,
            "args": [{"index": 1, "value": 2, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]});
    let Some((case, path)) = with(&right) else {
        return;
    };
    seccomp(&case, &["explain", &path]).ok();
    for (pointer, bad, elsewhere) in malformed() {
        let mut wrong = right.clone();
        *wrong.pointer_mut(pointer).expect("a property") = bad;
        let text = wrong.to_string();
        fs::write(&path, &text).expect("write the profile");
        let told = if elsewhere.is_empty() {
            pointer
        } else {
            elsewhere
        };
        let finished = seccomp(&case, &["explain", &path]);
        assert_eq!(finished.code, 1, "{text}");
        let whole = [format!("({told})"), format!(": {told}: ")];
        let said = whole.iter().any(|whole| finished.stderr.contains(whole));
        assert!(said, "{told}: {} {text}", finished.stderr);
    }
}
