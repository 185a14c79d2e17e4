//! In which execution domain the payload runs and from which nodes its memory comes, read from the host.

use std::path::Path;

use oci_runtime_integration::bundle::{self, script};
use oci_runtime_integration::case::case_with;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{only_ocirun, read};
use serde_json::{Value, json};

#[test]
fn the_execution_domain_and_its_flags_are_in_force() {
    let table = [
        (json!({"domain": "LINUX"}), 0),
        (json!({"domain": "LINUX32"}), 0x8),
        (json!({"domain": "LINUX", "flags": ["UNAME26"]}), 0x20000),
        (
            json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}),
            0x40000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["FDPIC_FUNCPTRS"]}),
            0x80000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["MMAP_PAGE_ZERO"]}),
            0x10_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["ADDR_COMPAT_LAYOUT"]}),
            0x20_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["ADDR_LIMIT_32BIT"]}),
            0x80_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["SHORT_INODE"]}),
            0x100_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["WHOLE_SECONDS"]}),
            0x200_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["STICKY_TIMEOUTS"]}),
            0x400_0000,
        ),
        (
            json!({"domain": "LINUX", "flags": ["ADDR_LIMIT_3GB"]}),
            0x800_0000,
        ),
        (
            json!({"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE", "UNAME26"]}),
            0x60008,
        ),
    ];
    for (personality, expected) in table {
        if personality["domain"] == "LINUX32" && std::env::consts::ARCH != "x86_64" {
            eprintln!("left out: not every processor can do {personality}");
            continue;
        }
        if personality.get("flags").is_some() && !only_ocirun("no other has flags") {
            continue;
        }
        let Some(case) = case_with(|c| c["linux"]["personality"] = personality.clone()) else {
            return;
        };
        let init = case.start();
        let found = read(host::proc_path(init, "personality"));
        assert_eq!(found, format!("{expected:08x}"), "{personality}");
        let joined = case.exec_detached(&[], &bundle::IDLE);
        let found = read(host::proc_path(joined, "personality"));
        assert_eq!(found, format!("{expected:08x}"), "{personality}, exec");
    }
}

#[test]
fn a_container_of_32_bits_says_so() {
    let Some(case) = case_with(|c| {
        c["linux"]["personality"] = json!({"domain": "LINUX32"});
        script(c, "uname -m");
    }) else {
        return;
    };
    if std::env::consts::ARCH == "x86_64" {
        assert_eq!(case.run().ok().stdout, "i686\n");
    }
}

/// The policy that applies where a mapping has none of its own, as numa_maps(5) names it.
#[track_caller]
fn memory_policy(pid: i32) -> String {
    let maps = read(host::proc_path(pid, "numa_maps"));
    let line = maps.lines().next().expect("a mapping");
    // An address, then the policy, which may have a blank, then what is known of the mapping.
    let (_, rest) = line.split_once(' ').expect("an address");
    let end = [" file=", " anon=", " heap", " stack", " mapped="]
        .iter()
        .filter_map(|field| rest.find(field))
        .min();
    rest[..end.unwrap_or(rest.len())].to_owned()
}

#[test]
fn every_memory_policy_and_flag_is_in_force() {
    let relative = json!(["MPOL_F_RELATIVE_NODES"]);
    let fixed = json!(["MPOL_F_STATIC_NODES"]);
    let balancing = json!(["MPOL_F_NUMA_BALANCING"]);
    let table = [
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_PREFERRED"}), "local"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (
            json!({"mode": "MPOL_INTERLEAVE", "nodes": "0-0"}),
            "interleave:0",
        ),
        (
            json!({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}),
            "prefer (many):0",
        ),
        (
            json!({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}),
            "weighted interleave:0",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": fixed}),
            "bind=static:0",
        ),
        (
            json!({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": relative}),
            "interleave=relative:0",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": balancing}),
            "bind=balancing:0",
        ),
    ];
    if !Path::new("/proc/self/numa_maps").exists() {
        eprintln!("not run: this kernel knows no memory nodes");
        return;
    }
    for (policy, expected) in table {
        let Some(case) = case_with(|c| c["linux"]["memoryPolicy"] = policy.clone()) else {
            return;
        };
        let created = case.try_create(&[]);
        if created.code != 0 && is_newer_than_the_kernel(&policy) {
            created.failed(1, &["/linux/memoryPolicy", "set_mempolicy", "(EINVAL)"]);
            continue;
        }
        created.ok();
        let init = case.init_from_pid_file();
        case.runtime(&["start", &case.id]).ok();
        case.await_payload(init);
        let found = memory_policy(init);
        // Before Linux 6.x numa_maps had no word for balancing.
        let silent = found == "bind:0" && expected == "bind=balancing:0";
        assert!(found == expected || silent, "{policy}: {found}");
        let joined = case.exec_detached(&[], &bundle::IDLE);
        assert_eq!(memory_policy(joined), found, "{policy}, exec");
    }
}

/// What came with Linux 5.15 and 6.9.
fn is_newer_than_the_kernel(policy: &Value) -> bool {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let since = match policy["mode"].as_str() {
        Some("MPOL_PREFERRED_MANY") => (5, 15),
        Some("MPOL_WEIGHTED_INTERLEAVE") => (6, 9),
        _ => (0, 0),
    };
    version < since
}

#[test]
fn a_memory_policy_that_the_kernel_refuses_is_its_error() {
    let Some(case) = case_with(|c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "1023"});
    }) else {
        return;
    };
    if Path::new("/proc/self/numa_maps").exists() {
        case.try_create(&[])
            .failed(1, &["/linux/memoryPolicy", "set_mempolicy", "(EINVAL)"]);
        case.assert_clean();
    }
}
