//! `update`: what it changes, what it leaves, what it says when the kernel refuses.

use std::fs;
use std::process::Stdio;

use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::cgroup::{self, v1_value};
use oci_runtime_integration::runtime::{only_ocirun, read, spawn};
use serde_json::{Value, json};

/// The value of a setting in the container's cgroup, by the names of v1 (controller, file) or of v2.
#[track_caller]
fn value(case: &Case, v1: (&str, &str), v2: &str) -> String {
    match cgroup::v1(v1.0, "/") {
        Some(_) => v1_value(v1.0, &case.cgroup, v1.1),
        None => cgroup::v2_value(&case.cgroup, v2),
    }
}

fn memory(case: &Case) -> String {
    value(case, ("memory", "memory.limit_in_bytes"), "memory.max")
}

fn pids(case: &Case) -> String {
    value(case, ("pids", "pids.max"), "pids.max")
}

fn has(controllers: &[&str]) -> bool {
    let missing = controllers.iter().find(|name| !cgroup::has(name));
    if let Some(name) = missing {
        eprintln!("not run: this host has no controller {name}");
    }
    missing.is_none()
}

fn limited() -> Option<Case> {
    if !has(&["memory", "pids", "cpu", "cpuset"]) {
        return None;
    }
    case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        c["linux"]["resources"]["pids"] = json!({"limit": 20});
        c["linux"]["resources"]["cpu"] = json!({"quota": 50_000, "period": 100_000, "shares": 512});
    })
}

/// `update` with a file on standard input.
#[track_caller]
fn update_from_stdin(case: &Case, flag: &[&str], json: &Value) {
    let file = case.path("resources.json");
    fs::write(&file, json.to_string()).expect("write the resources");
    let stdin = Stdio::from(fs::File::open(&file).expect("open the resources"));
    let command = case.command(&[&["update"], flag, &[&case.id]].concat());
    spawn(command, &case.path("output"), stdin).wait().ok();
}

#[test]
fn flags_change_what_they_name_and_nothing_else() {
    let Some(case) = limited() else { return };
    case.start();
    case.runtime(&["update", "--memory", "96m", &case.id]).ok();
    assert_eq!(
        (memory(&case), pids(&case)),
        ((96 << 20).to_string(), "20".into())
    );
    case.runtime(&["update", "--pids-limit", "31", &case.id])
        .ok();
    assert_eq!(
        (memory(&case), pids(&case)),
        ((96 << 20).to_string(), "31".into())
    );
    case.runtime(&["update", "--pids-limit", "-1", &case.id])
        .ok();
    assert_eq!(pids(&case), "max");

    let shares = |case: &Case| value(case, ("cpu", "cpu.shares"), "cpu.weight");
    case.runtime(&["update", "--cpu-share", "1024", &case.id])
        .ok();
    assert!(["1024", "100"].contains(&shares(&case).as_str()));
    let bandwidth = |case: &Case| match cgroup::v1("cpu", "/") {
        Some(_) => ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            .map(|file| v1_value("cpu", &case.cgroup, file))
            .join(" "),
        None => cgroup::v2_value(&case.cgroup, "cpu.max"),
    };
    for (flag, amount, expected) in [
        ("--cpu-quota", "30000", "30000 100000"),
        ("--cpu-period", "50000", "30000 50000"),
        ("--cpu-burst", "10000", "30000 50000"),
    ] {
        case.runtime(&["update", flag, amount, &case.id]).ok();
        assert_eq!(bandwidth(&case), expected, "{flag}");
    }
    if only_ocirun("older ones have no such flag") {
        assert_eq!(
            value(&case, ("cpu", "cpu.cfs_burst_us"), "cpu.max.burst"),
            "10000"
        );
        case.runtime(&["update", "--cpu-idle", "1", &case.id]).ok();
        assert_eq!(value(&case, ("cpu", "cpu.idle"), "cpu.idle"), "1");
    }
    case.runtime(&["update", "--cpuset-cpus", "0", "--cpuset-mems=0", &case.id])
        .ok();
    assert_eq!(value(&case, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
}

/// The kernel gives a cgroup that is idle no longer the default.
#[test]
fn a_container_that_is_idle_no_longer_has_its_weight_again() {
    let Some(case) = limited() else { return };
    if !only_ocirun("has the default") {
        return;
    }
    case.start();
    let weight = || value(&case, ("cpu", "cpu.shares"), "cpu.weight");
    let idle = |value: &str| {
        case.runtime(&["update", "--cpu-idle", value, &case.id])
            .ok();
    };
    let first = weight();
    idle("1");
    assert_ne!(weight(), first);
    idle("0");
    assert_eq!(weight(), first);
    case.runtime(&["update", "--cpu-share", "300", &case.id])
        .ok();
    let second = weight();
    assert_ne!(second, first);
    idle("1");
    idle("0");
    assert_eq!(weight(), second);
    idle("1");
    case.runtime(&["update", "--cpu-idle=0", "--cpu-share=512", &case.id])
        .ok();
    assert_eq!(weight(), first);
    // One that is not idle keeps what somebody else has given it.
    case.runtime(&["update", "--cpu-share", "300", &case.id])
        .ok();
    match cgroup::v1("cpu", &case.cgroup) {
        Some(directory) => fs::write(directory.join("cpu.shares"), "400").expect("other shares"),
        None => return,
    }
    idle("0");
    assert_eq!(weight(), "400");
}

#[test]
fn resources_come_from_a_file_or_from_standard_input() {
    let Some(case) = limited() else { return };
    case.create();
    let file = case.path("given.json");
    fs::write(
        &file,
        json!({"memory": {"limit": 80 << 20}, "pids": {"limit": 21}}).to_string(),
    )
    .expect("write");
    case.runtime(&["update", "--resources", &text(&file), &case.id])
        .ok();
    assert_eq!(
        (memory(&case), pids(&case)),
        ((80 << 20).to_string(), "21".into())
    );
    for (flag, limit) in [
        (&["-r", "-"][..], 22),
        (&["--resources=-"], 23),
        (&["--resources", "-"], 24),
    ] {
        update_from_stdin(&case, flag, &json!({"pids": {"limit": limit}}));
        assert_eq!(pids(&case), limit.to_string());
    }
    // What engines send for all that they do not set.
    let zeros = json!({"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": null},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0}, "devices": null});
    update_from_stdin(&case, &["-r", "-"], &zeros);
    assert_eq!(
        (memory(&case), pids(&case)),
        ((80 << 20).to_string(), "24".into())
    );
    case.runtime(&["update", "-r", "/no/such/file", &case.id])
        .failed(1, &["/no/such/file", "no such file"]);
}

#[test]
fn memory_and_swap_go_up_and_down_together() {
    if !has(&["memory"]) {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 64 << 20});
    }) else {
        return;
    };
    let file = cgroup::v1("memory", "/").map(|root| root.join("memory.memsw.limit_in_bytes"));
    if file.is_some_and(|file| !file.exists()) {
        eprintln!("not run: this host does not account swap");
        return;
    }
    case.start();
    for (limit, both) in [(128u64, 160u64), (40, 40), (300, 400), (50, 100)] {
        let (memory_flag, swap_flag) = (format!("{limit}m"), format!("{both}M"));
        case.runtime(&[
            "update",
            "--memory",
            &memory_flag,
            "--memory-swap",
            &swap_flag,
            &case.id,
        ])
        .ok();
        assert_eq!(memory(&case), (limit << 20).to_string());
        let v1 = ("memory", "memory.memsw.limit_in_bytes");
        let swap = value(&case, v1, "memory.swap.max");
        let expected = [(both << 20).to_string(), ((both - limit) << 20).to_string()];
        assert!(expected.contains(&swap), "{swap}: {expected:?}");
    }
    case.runtime(&["update", "--memory-swap", "200m", &case.id])
        .ok();
    assert_eq!(memory(&case), (50 << 20).to_string());
    case.runtime(&["update", "--memory", "-1", &case.id]).ok();
    assert!(memory(&case) == "max" || memory(&case).len() > 15);
}

#[test]
fn a_refused_limit_names_file_value_and_pointer_and_changes_nothing() {
    if !only_ocirun("says less") {
        return;
    }
    let Some(case) = limited() else { return };
    case.start();
    let before = memory(&case);
    case.runtime(&["update", "--memory", "200m", "--cpu-period", "1", &case.id])
        .failed(
            1,
            &[
                "write",
                "cpu.",
                "(/linux/resources/cpu/period)",
                "EINVAL",
                "no limit was changed",
            ],
        );
    assert_eq!(memory(&case), before);
    let kept = kept(&case);
    assert_eq!(kept["memory"]["limit"], 64 << 20);
    for (flag, bad) in [
        ("--memory", "lots"),
        ("--cpu-quota", "1.5"),
        ("--pids-limit", "x"),
        ("--memory", "-5"),
    ] {
        case.runtime(&["update", flag, bad, &case.id])
            .failed(1, &[flag, bad]);
    }
    case.runtime(&["update", "--cpu-idle", "2", &case.id])
        .failed(1, &["/cpu/idle"]);
}

#[test]
fn a_limit_below_what_is_in_use_can_be_refused() {
    let Some(case) = limited() else { return };
    case.start();
    let below = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}});
    let file = case.path("below.json");
    fs::write(&file, below.to_string()).expect("write");
    let refused = case.runtime(&["update", "-r", &text(&file), &case.id]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(memory(&case), (64 << 20).to_string());
}

fn kept(case: &Case) -> Value {
    let text = read(case.path("state").join(&case.id).join("config.json"));
    let config: Value = serde_json::from_str(&text).expect("JSON");
    config["linux"]["resources"].clone()
}

#[test]
fn later_commands_see_the_new_limits() {
    if !only_ocirun("keeps them otherwise") {
        return;
    }
    let Some(case) = limited() else { return };
    case.start();
    case.runtime(&[
        "update",
        "--memory",
        "70m",
        "--memory-reservation",
        "10m",
        &case.id,
    ])
    .ok();
    let kept = kept(&case);
    assert_eq!(
        kept["memory"],
        json!({"limit": 70 << 20, "reservation": 10 << 20})
    );
    assert_eq!(kept["pids"], json!({"limit": 20}));
    assert_eq!(kept["devices"], json!([{"allow": false, "access": "rwm"}]));
    case.exec(&[], &["true"]).ok();
}

#[test]
fn devices_are_replaced() {
    if !only_ocirun("leaves them") {
        return;
    }
    let rule = json!({"allow": true, "type": "c", "major": 240, "minor": 11, "access": "r"});
    let Some(case) = case_with(|c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/odd", "type": "c", "major": 240, "minor": 11, "fileMode": 0o666},
            {"path": "/dev/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666}
        ]);
    }) else {
        return;
    };
    case.start();
    // No driver has this number, so that an open that is allowed finds nothing behind it.
    let opens = |device: &str| {
        let script = format!("(exec 3< /dev/{device}) 2>&1");
        let said = case.exec(&[], &["sh", "-c", &script]).stdout;
        !said.contains("Operation not permitted")
    };
    assert!(!opens("odd") && opens("null"));
    update_from_stdin(&case, &["-r", "-"], &json!({"devices": [rule]}));
    assert!(opens("odd") && opens("null") && !opens("mem"));
    update_from_stdin(&case, &["-r", "-"], &json!({"devices": []}));
    assert!(!opens("odd") && opens("null") && opens("zero"));
}

#[test]
fn only_a_container_that_lives_is_updated() {
    let Some(case) = limited() else { return };
    case.runtime(&["update", "--pids-limit", "5", "no-such-id"])
        .failed(1, &["container does not exist"]);
    let init = case.start();
    case.runtime(&["pause", &case.id]).ok();
    case.runtime(&["update", "--pids-limit", "5", &case.id])
        .ok();
    assert_eq!(
        (pids(&case).as_str(), case.status().as_str()),
        ("5", "paused")
    );
    case.runtime(&["resume", &case.id]).ok();
    case.kill(init);
    case.runtime(&["update", "--pids-limit", "6", &case.id])
        .failed(1, &["container not running"]);
}

#[test]
fn an_update_of_nothing_changes_nothing() {
    let Some(case) = case() else { return };
    case.start();
    case.runtime(&["update", &case.id]).ok();
    update_from_stdin(&case, &["-r", "-"], &json!({}));
}
