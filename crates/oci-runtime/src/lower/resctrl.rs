//! The container's class of service: made by the parent before there is a process, joined when there is one.

use oci_runtime_init::op::Op;

use crate::host::Host;
use crate::plan::{ParentOp, Plan};
use crate::resctrl::ResctrlClass;
use crate::spec::{IntelRdt, Linux};

const ORIGIN: &str = "/linux/intelRdt";

/// The parent's step that makes the class.
pub(super) fn make(plan: &mut Plan, linux: &Linux<'_>, host: &Host, id: &str) {
    if let (Some(asked), Some(root)) = (&linux.intel_rdt, &host.resctrl) {
        let class = class(asked, root, id);
        plan.parent(ORIGIN, ParentOp::MakeClass { class });
    }
}

/// The new process joins it, before it starts anything.
pub(super) fn join(plan: &mut Plan) {
    plan.inner(ORIGIN, Op::Yield {});
    plan.parent(ORIGIN, ParentOp::JoinClass);
}

fn class(asked: &IntelRdt<'_>, root: &std::path::Path, id: &str) -> ResctrlClass {
    let own = asked.clos_id.is_empty();
    let directory = match &*asked.clos_id {
        "" => root.join(id),
        "/" => root.to_owned(),
        name => root.join(name),
    };
    let monitoring = asked.enable_monitoring || asked.enable_cmt || asked.enable_mbm;
    ResctrlClass {
        root: root.to_owned(),
        monitoring: monitoring.then(|| directory.join("mon_groups").join(id)),
        directory,
        own,
        schemas: schemas(asked),
        schemata: asked.schemata.iter().map(|line| line.to_string()).collect(),
    }
}

/// The lines of both; those of the cache's that speak of bandwidth give way to the bandwidth's own.
fn schemas(asked: &IntelRdt<'_>) -> Vec<String> {
    let bandwidth = (!asked.mem_bw_schema.is_empty()).then(|| asked.mem_bw_schema.to_string());
    let gives_way = |line: &&str| bandwidth.is_none() || !line.trim_start().starts_with("MB:");
    let cache = asked.l3_cache_schema.lines().filter(gives_way);
    cache.map(str::to_owned).chain(bandwidth.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_has_one_say() {
        let asked = |cache: &'static str, bandwidth: &'static str| IntelRdt {
            l3_cache_schema: cache.into(),
            mem_bw_schema: bandwidth.into(),
            ..IntelRdt::default()
        };
        let cases = [
            ("L3:0=f", "MB:0=20", &["L3:0=f", "MB:0=20"][..]),
            (
                "L3:0=f\nMB:0=50\nL3CODE:0=1",
                "MB:0=20",
                &["L3:0=f", "L3CODE:0=1", "MB:0=20"],
            ),
            ("L3:0=f\nMB:0=50", "", &["L3:0=f", "MB:0=50"]),
            ("", "MB:0=20", &["MB:0=20"]),
            ("", "", &[]),
        ];
        for (cache, bandwidth, expected) in cases {
            assert_eq!(
                schemas(&asked(cache, bandwidth)),
                expected,
                "{cache:?} {bandwidth:?}"
            );
        }
    }

    #[test]
    fn older_switches_ask_for_a_group_too() {
        let root = std::path::Path::new("/r");
        for (cmt, mbm, any) in [
            (true, false, true),
            (false, true, true),
            (false, false, false),
        ] {
            let asked = IntelRdt {
                enable_cmt: cmt,
                enable_mbm: mbm,
                ..IntelRdt::default()
            };
            assert_eq!(class(&asked, root, "id").monitoring.is_some(), any);
        }
    }

    #[test]
    fn the_class_is_named_or_the_container_s_own() {
        let root = std::path::Path::new("/r");
        let place = |clos_id: &'static str| {
            let asked = IntelRdt {
                clos_id: clos_id.into(),
                enable_monitoring: true,
                ..IntelRdt::default()
            };
            let class = class(&asked, root, "id");
            (class.directory, class.own, class.monitoring)
        };
        let expected = [
            ("", "/r/id", true),
            ("gold", "/r/gold", false),
            ("/", "/r", false),
        ];
        for (name, directory, own) in expected {
            let group = std::path::Path::new(directory).join("mon_groups/id");
            assert_eq!(place(name), (directory.into(), own, Some(group)));
        }
    }
}
