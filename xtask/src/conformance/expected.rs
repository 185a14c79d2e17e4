//! What is expected of ocirun: every program of the suite passes but those in this table, each for a reason that
//! docs/spec-conformance.md explains. A program that passes against the table makes it stale, which is a failure too.

use std::fs;
use std::path::Path;

use super::program::Verdict;

/// Why a program fails.
enum Because {
    /// It asks for something that the specification does not ask for, or does not work itself.
    TheSuite,
    /// The suite races with the container that it looks at: the program may pass, and may not.
    ARace,
    /// The specification asks for it, and there is a reason not to do it.
    WeDiffer,
    /// It needs something that not every machine has. Where the function says that this one has it, the program has to pass.
    TheMachine(fn() -> bool),
}

const FAILING: &[(&str, Because)] = &[
    ("delete", Because::WeDiffer),
    ("hooks", Because::TheSuite),
    ("hooks_stdin", Because::TheSuite),
    ("linux_cgroups_blkio", Because::TheMachine(has_leaf_weight)),
    (
        "linux_cgroups_hugetlb",
        Because::TheMachine(|| has_v1("hugetlb")),
    ),
    (
        "linux_cgroups_memory",
        Because::TheMachine(has_kernel_memory),
    ),
    (
        "linux_cgroups_network",
        Because::TheMachine(|| has_v1("net_cls")),
    ),
    (
        "linux_cgroups_relative_blkio",
        Because::TheMachine(has_leaf_weight),
    ),
    (
        "linux_cgroups_relative_hugetlb",
        Because::TheMachine(|| has_v1("hugetlb")),
    ),
    (
        "linux_cgroups_relative_memory",
        Because::TheMachine(has_kernel_memory),
    ),
    (
        "linux_cgroups_relative_network",
        Because::TheMachine(|| has_v1("net_cls")),
    ),
    ("linux_mount_label", Because::TheMachine(has_selinux)),
    ("linux_ns_itype", Because::WeDiffer),
    (
        "linux_process_apparmor_profile",
        Because::TheMachine(has_apparmor),
    ),
    ("misc_props", Because::TheSuite),
    ("mounts", Because::TheSuite),
    ("pidfile", Because::ARace),
    ("poststart", Because::ARace),
    ("prestart", Because::TheSuite),
    (
        "process_capabilities",
        Because::TheMachine(has_every_capability),
    ),
    ("process_capabilities_fail", Because::TheSuite),
    ("process_rlimits", Because::TheSuite),
    ("start", Because::TheSuite),
];

/// How many programs there are. Fewer are not the whole suite; of others nobody has looked at the reasons.
const PROGRAMS: usize = 58;

/// What is not as expected, a line each.
pub fn compare(names: &[String], verdicts: &[Verdict]) -> Vec<String> {
    let mut problems = Vec::new();
    if names.len() != PROGRAMS {
        problems.push(format!(
            "the suite has {} programs, and {PROGRAMS} are expected",
            names.len()
        ));
    }
    for (name, verdict) in names.iter().zip(verdicts) {
        let may_fail = skipped(std::slice::from_ref(name)).len() == 1;
        match (verdict, may_fail) {
            _ if races(name) => {}
            (Verdict::Failed(why), false) => problems.push(format!("{name} has to pass: {why}")),
            (Verdict::Passed, true) => problems.push(format!(
                "{name} passes, and is expected to fail: the table of expectations is stale"
            )),
            _ => {}
        }
    }
    problems
}

fn races(name: &str) -> bool {
    let row = FAILING.iter().find(|(program, _)| *program == name);
    matches!(row, Some((_, Because::ARace)))
}

/// The programs that are expected to fail on this machine, or may.
pub fn skipped(names: &[String]) -> Vec<&'static str> {
    let fails = |because: &Because| match because {
        Because::TheSuite | Because::ARace | Because::WeDiffer => true,
        Because::TheMachine(has) => !has(),
    };
    FAILING
        .iter()
        .filter(|(name, because)| names.iter().any(|other| other == name) && fails(because))
        .map(|(name, _)| *name)
        .collect()
}

/// Whether a controller of v1 is mounted.
fn has_v1(controller: &str) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        matches!(fields[..], [_, _, "cgroup", options, ..] if options.split(',').any(|option| option == controller))
    })
}

/// Kernels from 5.0 on have no weights of leaves.
fn has_leaf_weight() -> bool {
    Path::new("/sys/fs/cgroup/blkio/blkio.leaf_weight").exists()
}

/// Kernels from 5.16 on take no limit of kernel memory; those from 6.1 on have no file for it that is a limit.
fn has_kernel_memory() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().ok());
    let version = (numbers.next().flatten(), numbers.next().flatten());
    has_v1("memory") && version < (Some(5), Some(16))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'))
}

/// Whether we may give all capabilities that the kernel has.
fn has_every_capability() -> bool {
    let number = |path: &str, after: &str, radix: u32| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(after))?;
        u64::from_str_radix(line.trim(), radix).ok()
    };
    let last = number("/proc/sys/kernel/cap_last_cap", "", 10);
    let bounding = number("/proc/self/status", "CapBnd:", 16);
    matches!((last, bounding), (Some(last @ 0..63), Some(set)) if set == (1 << (last + 1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_fails_against_the_table_is_a_problem() {
        let names: Vec<String> = (0..PROGRAMS - 2).map(|number| number.to_string()).collect();
        let names: Vec<String> = [names, vec!["hooks".into(), "kill".into()]].concat();
        let mut verdicts: Vec<Verdict> = names.iter().map(|_| Verdict::Passed).collect();
        let failed = || Verdict::Failed(String::new());
        verdicts[PROGRAMS - 2] = failed();
        assert_eq!(compare(&names, &verdicts), [""; 0]);
        verdicts[PROGRAMS - 2] = Verdict::Passed;
        verdicts[PROGRAMS - 1] = failed();
        let problems = compare(&names, &verdicts);
        assert!(problems[0].contains("stale") && problems[1].starts_with("kill has to pass"));
        assert_eq!(compare(&names[1..], &verdicts[1..]).len(), 3);
    }

    #[test]
    fn every_reason_is_explained() {
        let document = crate::workspace::root().join("docs/spec-conformance.md");
        let text = fs::read_to_string(document).unwrap_or_default();
        let section = text
            .split("\n## ")
            .find(|section| section.starts_with("The validation suite"));
        let section =
            section.expect("docs/spec-conformance.md has a section `The validation suite`");
        for (name, _) in FAILING {
            let short = name.replace("relative_", "");
            assert!(
                section.contains(&format!("`{short}`")),
                "{short} is not explained"
            );
        }
    }
}
