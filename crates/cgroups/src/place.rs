//! Where a process is: its cgroup in each hierarchy, by /proc/PID/cgroup.

use crate::error::Result;
use crate::files::read_value;
use crate::layout::Layout;
use crate::paths::Paths;
use std::path::Path;

/// The directories that the process `pid` is in, in the hierarchies of `layout`. One outside of a mount is left out.
pub fn paths_of(layout: &Layout, pid: i32) -> Result<Paths> {
    let text = read_value(Path::new(&format!("/proc/{pid}/cgroup")))?;
    Ok(parse(layout, &text))
}

/// Lines of the form `ID:CONTROLLERS:PATH`; see cgroups(7).
fn parse(layout: &Layout, text: &str) -> Paths {
    let mut paths = Paths::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        for name in names.split(',') {
            let hierarchy = layout.hierarchies.iter().find(|hierarchy| match name {
                "" => hierarchy.v2,
                _ => hierarchy.controllers.iter().any(|c| c == name) && !hierarchy.v2,
            });
            let Some(hierarchy) = hierarchy else { continue };
            // A cgroup namespace shows what is outside of it by `..`.
            if let Ok(below) = Path::new(path).strip_prefix(&hierarchy.root)
                && !path.split('/').any(|part| part == "..")
            {
                paths
                    .0
                    .insert(name.to_owned(), hierarchy.mount_point.join(below));
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_in_every_hierarchy_that_is_mounted() {
        let mountinfo = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             37 31 0:34 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             38 31 0:35 /top /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "3:cpu,cpuacct:/\n2:memory:/\n0::/top\n";
        let layout = Layout::parse(mountinfo, own, "").unwrap();
        let text = "9:pids:/x\n3:cpu,cpuacct:/a:b\n2:memory:/../x\n0::/top/c\n";
        let found = parse(&layout, text).0;
        let expected = [
            ("", "/sys/fs/cgroup/unified/c"),
            ("cpu", "/sys/fs/cgroup/cpu,cpuacct/a:b"),
            ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a:b"),
        ];
        let expected = expected.map(|(name, dir)| (name.to_owned(), dir.into()));
        assert_eq!(found, expected.into_iter().collect());
    }
}
