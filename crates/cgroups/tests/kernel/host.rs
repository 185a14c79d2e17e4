//! The host, and cgroups of the tests' own on it.

use oci_runtime_cgroups::*;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The layout of this host, or None (said aloud) where these tests cannot run.
pub(crate) fn host() -> Option<Layout> {
    let root =
        fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    match Layout::read() {
        Ok(layout) if root => Some(layout),
        Ok(_) => {
            eprintln!("skipped: not root");
            None
        }
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// The v2 hierarchy taken for itself, without controllers, so that nothing above the test's cgroups is changed.
pub(crate) fn v2_alone() -> Option<Layout> {
    let layout = host()?;
    let Some(unified) = layout.unified() else {
        eprintln!("skipped: no v2 hierarchy");
        return None;
    };
    let mut unified = unified.clone();
    unified.controllers.clear();
    Some(Layout {
        mode: Mode::V2,
        hierarchies: vec![unified],
    })
}

pub(crate) fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("oci-cgroups-test-{}-{next}", std::process::id())
}

/// A cgroup with a sleeping process in it, both gone on drop.
pub(crate) struct Cgroup {
    pub(crate) paths: Paths,
    pub(crate) child: Child,
}

impl Cgroup {
    pub(crate) fn new(layout: &Layout) -> (Self, Created) {
        let paths = resolve(layout, Some(&format!("/{}", name())), "unused").expect("paths");
        let created = create(layout, &paths).expect("create");
        let child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let cgroup = Cgroup { paths, child };
        attach(&cgroup.paths, cgroup.pid()).expect("attach");
        (cgroup, created)
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn wait_until_killed(&mut self) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                assert_eq!(status.signal(), Some(9));
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "it lives on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = thaw(&self.paths);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove(&self.paths);
    }
}

pub(crate) fn for_update(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let present = Present::read(resources, paths)?;
    writes_for_update(resources, layout, paths, &present)
}

pub(crate) fn read(file: &Path) -> String {
    fs::read_to_string(file)
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        .trim()
        .to_owned()
}
