//! What the kernel tells of cgroups, and the path that a configuration asks for. The input is mountinfo, the caller's
//! cgroups, `cgroup.controllers` and the path, with an empty line between them. Any texts are a layout or are refused, and
//! the directories of a container lie below the mounts of their hierarchies.

#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use oci_runtime_cgroups::{Layout, resolve};

fuzz_target!(|text: &str| {
    let mut texts = text.split("\n\n");
    let mut next = || texts.next().unwrap_or_default();
    let Ok(layout) = Layout::parse(next(), next(), next()) else {
        return;
    };
    assert!(!layout.hierarchies.is_empty());
    let own: Vec<_> = layout
        .hierarchies
        .iter()
        .map(|each| each.own_dir())
        .collect();
    assert!(
        own.iter()
            .flatten()
            .all(|dir| is_below_a_mount(&layout, dir))
    );
    if let Ok(paths) = resolve(&layout, Some(next().trim_end()), "id") {
        assert!(
            paths
                .dirs()
                .iter()
                .all(|dir| is_below_a_mount(&layout, dir))
        );
    }
});

fn is_below_a_mount(layout: &Layout, dir: &Path) -> bool {
    let below = |mount: &Path| {
        dir.strip_prefix(mount).is_ok_and(|rest| {
            rest.components()
                .all(|part| matches!(part, Component::Normal(_)))
        })
    };
    layout
        .hierarchies
        .iter()
        .any(|each| below(&each.mount_point))
}
