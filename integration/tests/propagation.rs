//! Propagation of mounts that are inside of others, or several: each has what its own options ask for.

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::case;
use oci_runtime_integration::host;
use serde_json::json;

/// A mount of type cgroup is several on v1: what is asked for holds for all of them.
#[test]
fn propagation_of_a_cgroup_mount_is_that_of_all_its_hierarchies() {
    let Some(case) = case() else { return };
    for (option, expected) in [("rshared", "shared"), ("unbindable", "unbindable")] {
        for own_view in [false, true] {
            case.configure(|c| {
                let mount = json!({"destination": "/mnt", "type": "cgroup", "source": "cgroup", "options": ["ro", option]});
                push(c, "/mounts", mount);
                if !own_view {
                    let all = c["linux"]["namespaces"].as_array_mut();
                    all.expect("namespaces").retain(|of| of["type"] != "cgroup");
                }
            });
            let init = case.create();
            let below: Vec<_> = host::mounts(init)
                .into_iter()
                .filter(|mount| mount.point.starts_with("/mnt"))
                .collect();
            assert!(!below.is_empty());
            for mount in below {
                let kind = mount
                    .propagation
                    .first()
                    .map(|field| field.split(':').next());
                assert_eq!(kind.flatten(), Some(expected), "{mount:?}");
                assert!(mount.has("ro"), "{mount:?}");
            }
            case.destroy();
        }
    }
}

/// What is attached in a shared mount becomes shared, as the kernel has it, unless its own options say otherwise: a volume that
/// the host shall not see into can be inside of one that it sees into.
#[test]
fn propagation_of_a_mount_in_a_shared_one_is_its_own() {
    let Some(case) = case() else { return };
    let rows: [(&[&str], &str); 9] = [
        (&[], "shared"),
        (&["private"], ""),
        (&["rprivate"], ""),
        (&["slave"], ""),
        (&["rslave"], ""),
        (&["shared"], "shared"),
        (&["unbindable"], "unbindable"),
        (&["runbindable"], "unbindable"),
        (&["unbindable", "private"], ""),
    ];
    for (kind, plain) in [("tmpfs", &["rw"]), ("bind", &["bind"])] {
        case.configure(|c| {
            let shared = json!({"destination": "/mnt", "type": "tmpfs", "options": ["shared"]});
            push(c, "/mounts", shared);
            for (index, (options, _)) in rows.iter().enumerate() {
                let mount = json!({
                    "destination": format!("/mnt/{index}"), "type": kind, "source": case.path("output"), "options": ([plain, *options].concat()),
                });
                push(c, "/mounts", mount);
            }
        });
        let init = case.create();
        for (index, (options, expected)) in rows.iter().enumerate() {
            let mount = host::mount(init, &format!("/mnt/{index}"));
            let found = mount
                .propagation
                .iter()
                .filter(|of| !of.starts_with("master"));
            let found = found.filter_map(|of| of.split(':').next());
            assert_eq!(
                found.collect::<String>(),
                *expected,
                "{kind} {options:?}: {mount:?}"
            );
        }
        case.destroy();
    }
}
