//! What the validation suite of the OCI runtime-tools looks at in a way that cannot tell, or takes to be otherwise than it
//! is: the same questions, asked of the kernel. docs/spec-conformance.md says which program each belongs to.

use std::fs;

use oci_runtime_integration::bundle::{push, script, without_namespace};
use oci_runtime_integration::case::{case, case_with, text};
use oci_runtime_integration::host;
use serde_json::json;

/// Programs `mounts`: mountinfo lists mounts by age, and a bind mount is as old as its source was opened. What order means is
/// that the later one covers the earlier.
#[test]
fn a_later_mount_covers_an_earlier_one_and_is_below_it_in_the_other_order() {
    for tmpfs_last in [true, false] {
        let Some(case) = case() else { return };
        let source = case.path("source");
        fs::create_dir(&source).expect("a directory");
        let mut mounts = [
            json!({"destination": "/tmp/below", "type": "bind", "source": text(&source), "options": ["bind"]}),
            json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}),
        ];
        if !tmpfs_last {
            mounts.reverse();
        }
        case.configure(|c| {
            mounts
                .iter()
                .for_each(|mount| push(c, "/mounts", mount.clone()))
        });
        // A directory to mount on, where /tmp is not mounted before.
        fs::create_dir(case.own_rootfs().join("tmp/below")).expect("a directory");
        let init = case.start();
        assert_eq!(
            host::proc_path(init, "root/tmp/below").exists(),
            !tmpfs_last
        );
    }
}

/// Program `delete`: engines take back what they have created and not started, and they do it without force.
#[test]
fn what_was_never_started_is_deleted_without_force() {
    let Some(case) = case() else { return };
    let init = case.create();
    case.runtime(&["delete", &case.id]).ok();
    case.reap(init);
    case.assert_clean();
}

/// Program `linux_ns_itype`: in the caller's mount namespace, the container's mounts would be the host's, and would stay.
#[test]
fn a_container_in_the_mount_namespace_of_the_host_is_refused() {
    let Some(case) = case_with(|c| without_namespace(c, "mount")) else {
        return;
    };
    let refused = case.try_create(&[]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("/linux/namespaces"),
        "{}",
        refused.stderr
    );
    case.assert_clean();
    // All others are inherited.
    let Some(case) = case_with(|c| {
        for kind in ["pid", "network", "ipc", "uts", "cgroup"] {
            without_namespace(c, kind);
        }
        c.as_object_mut().expect("an object").remove("hostname");
    }) else {
        return;
    };
    let init = case.start();
    for kind in ["pid", "net", "ipc", "uts", "cgroup", "user"] {
        let of = |pid: i32| fs::read_link(host::proc_path(pid, &format!("ns/{kind}"))).expect(kind);
        assert_eq!(of(init), of(std::process::id() as i32), "{kind}");
    }
}

/// Program `misc_props`, with a program that is there.
#[test]
fn annotations_that_nobody_knows_are_no_error() {
    let Some(case) = case_with(|c| {
        c["annotations"]["org.example.nobody.knows"] = json!("");
        c["unknown"] = json!({"property": true});
        script(c, "exit 3");
    }) else {
        return;
    };
    assert_eq!(case.run().code, 3);
}

/// Programs `process_capabilities_fail` and `process_capabilities`: what the kernel does not know is told, and left out.
#[test]
fn a_capability_that_the_kernel_does_not_know_is_a_warning() {
    let Some(case) = case_with(|c| {
        push(c, "/process/capabilities/bounding", json!("CAP_TEST"));
        script(c, "exit 3");
    }) else {
        return;
    };
    let run = case.run();
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("CAP_TEST"), "{}", run.stderr);
}
