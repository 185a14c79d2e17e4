//! The container's cgroup: made and limited by the parent, joined by the new process itself.
//!
//! On v2 the process is born in it (`CLONE_INTO_CGROUP`). On v1 it writes itself into each hierarchy, through files that the
//! outer lane has opened: moving another process would mean to wait for every fork in the system, in each hierarchy anew.

use oci_runtime_cgroups::systemd::{self, Asked, Property, Unit};
use oci_runtime_cgroups::{Bus, DeviceRule, Limits, Paths, Present, Resources, writes_for_update};
use oci_runtime_init::op::{NO_SLOT, Op, Slot};

use super::host_side::later_slot;
use super::namespaces::{self, CGROUP, USER};
use super::text::{c, normal};
use crate::cgroup::CgroupManager;
use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::{ParentOp, Plan, Source};
use crate::spec::{IdMapping, Mount, Spec};

const PATH: &str = "/linux/cgroupsPath";
const RESOURCES: &str = "/linux/resources";

/// Where the container's cgroup is.
pub(super) struct Place {
    /// None where it gets none of its own.
    pub paths: Paths,
    /// What systemd is asked for, if it makes the cgroup.
    ask: Option<(Asked, Vec<Property>)>,
}

impl Place {
    /// The unit that the cgroup is of.
    pub fn unit(&self) -> Option<Unit> {
        self.ask.as_ref().map(|(asked, _)| asked.unit.clone())
    }
}

/// Finds the place.
pub(super) fn place(
    spec: &Spec<'_>,
    host: &Host,
    id: &str,
    manager: CgroupManager,
) -> Result<Place> {
    let asked = (!spec.linux.cgroups_path.is_empty()).then_some(&*spec.linux.cgroups_path);
    let fail = |error| Error::lower(PATH, LowerProblem::Cgroup(error));
    let nowhere = Place {
        paths: Paths::default(),
        ask: None,
    };
    match manager {
        CgroupManager::Disabled => Ok(nowhere),
        // A user to whom nothing is delegated; nobody has asked for a place.
        CgroupManager::Cgroupfs if asked.is_none() && !host.may_make_cgroups => Ok(nowhere),
        CgroupManager::Cgroupfs => Ok(Place {
            paths: oci_runtime_cgroups::resolve(&host.cgroups, asked, id).map_err(fail)?,
            ask: None,
        }),
        CgroupManager::Systemd => {
            let asked = systemd::asked(asked, id, host.bus()).map_err(fail)?;
            let paths = systemd::resolve(&host.cgroups, &asked, host.outer_euid).map_err(fail)?;
            let properties = properties(spec, host, id, &asked)?;
            Ok(Place {
                paths,
                ask: Some((asked, properties)),
            })
        }
    }
}

fn properties(spec: &Spec<'_>, host: &Host, id: &str, asked: &Asked) -> Result<Vec<Property>> {
    let mut properties = systemd::of_unit(asked, id, host.cgroups.mode);
    let annotations = spec.annotations.iter();
    let annotations = annotations.map(|(name, value)| (&**name, &**value));
    let named = systemd::from_annotations(annotations)
        .map_err(|error| Error::lower("/annotations", LowerProblem::Cgroup(error)))?;
    systemd::merge(&mut properties, named);
    Ok(properties)
}

/// The parent's steps that make it, limit it and give it away.
pub(super) fn make(
    plan: &mut Plan,
    spec: &Spec<'_>,
    host: &Host,
    place: &Place,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let nothing = Resources::default();
    let resources = spec.linux.resources.as_ref().unwrap_or(&nothing);
    if place.paths.0.is_empty() {
        return refuse_limits(resources, host, warnings);
    }
    let limits = limits(resources, host, &place.paths, warnings)?;
    let warning = |warning: &oci_runtime_cgroups::Warning| {
        format!("{RESOURCES}{}: {}", warning.origin, warning.reason)
    };
    warnings.extend(limits.warnings.iter().map(warning));
    let limits = create(plan, place, limits);
    plan.parent(RESOURCES, ParentOp::ApplyLimits { limits });
    if let (Some((uid, gid)), Some(directory)) = (owner(spec), place.paths.unified())
        && place.paths.is_v2_only()
    {
        let directory = directory.to_owned();
        plan.parent(
            PATH,
            ParentOp::DelegateCgroup {
                directory,
                uid,
                gid,
            },
        );
    }
    Ok(())
}

/// A user has no say about devices, root of a user namespace neither: the kernel wants the machine's root. That every configuration denies all to
/// begin with is no loss: what devices there are is what the caller may use, and the container has those that it is given.
fn limits(
    resources: &Resources,
    host: &Host,
    paths: &Paths,
    warnings: &mut Vec<String>,
) -> Result<Limits> {
    let lower = match host.rules_devices() {
        true => oci_runtime_cgroups::writes,
        false => oci_runtime_cgroups::writes_but_devices,
    };
    let named = |rule: &DeviceRule| !rule.allow && (rule.major.is_some() || rule.minor.is_some());
    let mut rules = resources.devices.iter().flatten();
    if !host.rules_devices() && rules.any(named) {
        warnings.push(format!(
            "{RESOURCES}/devices: only the machine's root can deny devices: the container may use those in it that the caller may"
        ));
    }
    lower(resources, &host.cgroups, paths).map_err(|error| {
        let pointer = format!("{RESOURCES}{}", error.pointer().unwrap_or_default());
        Error::lower(pointer, LowerProblem::Cgroup(error))
    })
}

/// The step that makes it; answers the limits that are still to be written then.
fn create(plan: &mut Plan, place: &Place, limits: Limits) -> Limits {
    let paths = place.paths.clone();
    let Some((asked, properties)) = &place.ask else {
        plan.parent(PATH, ParentOp::CreateCgroup { paths });
        return limits;
    };
    let (known, rest) = systemd::divide(&limits, &paths);
    // A user's systemd takes limits of controllers that the user has not, and does nothing. Then their files are not there.
    let rest = match asked.unit.bus {
        Bus::User => limits,
        Bus::System => rest,
    };
    // What the configuration says by annotation was said on purpose.
    let said = |property: &Property| properties.iter().any(|p| p.name == property.name);
    let known = known.into_iter().filter(|property| !said(property));
    let properties = properties.iter().cloned().chain(known).collect();
    let unit = asked.unit.clone();
    plan.parent(
        PATH,
        ParentOp::StartUnit {
            unit,
            properties,
            paths,
        },
    );
    rest
}

/// Without a cgroup nothing is limited. Device rules are the exception: every configuration has some, to be narrower than
/// what the caller's own cgroup allows; without them that is what holds.
fn refuse_limits(resources: &Resources, host: &Host, warnings: &mut Vec<String>) -> Result<()> {
    // Any place does to see what would be written there.
    let others = Resources {
        devices: None,
        ..resources.clone()
    };
    let limits = oci_runtime_cgroups::resolve(&host.cgroups, Some("/none"), "none")
        .and_then(|paths| writes_for_update(&others, &host.cgroups, &paths, &Present::default()));
    let unlimited = |value: &str| matches!(value, "max" | "-1");
    match limits {
        Ok(limits) if limits.writes.iter().all(|write| unlimited(&write.value)) => {}
        _ => return Err(Error::lower(RESOURCES, LowerProblem::NoCgroup)),
    }
    let denies = |rules: &Vec<DeviceRule>| rules.iter().any(|rule| !rule.allow);
    if resources.devices.as_ref().is_some_and(denies) {
        warnings.push(format!(
            "{RESOURCES}/devices: without a cgroup of its own the container may use the devices that the caller may"
        ));
    }
    Ok(())
}

/// The user and group who are to own the cgroup, in the caller's ids: those that the program runs as, where the container has a
/// cgroup namespace and a writable cgroup mount of its own (config-linux.md, "Cgroup ownership"). None where that is root already.
fn owner(spec: &Spec<'_>) -> Option<(u32, u32)> {
    let own = namespaces::read(&spec.linux);
    if own.new & CGROUP == 0 || !spec.mounts.iter().any(is_writable_view) {
        return None;
    }
    let user = &spec.process.as_ref()?.user;
    let (uid, gid) = match own.all() & USER {
        0 => (user.uid, user.gid),
        // What a namespace that is joined maps is not known here.
        _ if own.new & USER == 0 => return None,
        _ => (
            mapped(&spec.linux.uid_mappings, user.uid)?,
            mapped(&spec.linux.gid_mappings, user.gid)?,
        ),
    };
    (uid != 0).then_some((uid, gid))
}

fn is_writable_view(mount: &Mount<'_>) -> bool {
    &*mount.kind == "cgroup"
        && normal(&mount.destination) == "/sys/fs/cgroup"
        && !mount.options.iter().any(|option| &**option == "ro")
}

fn mapped(maps: &[IdMapping], inside: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = inside.checked_sub(map.container_id)?;
        (offset < map.size).then(|| map.host_id.checked_add(offset))?
    })
}

/// A slot for the v2 directory, if there is one.
pub(super) fn birthplace(plan: &mut Plan, paths: &Paths) -> Slot {
    match paths.unified() {
        Some(_) => plan.slot(PATH, Source::CgroupDirectory),
        None => NO_SLOT,
    }
}

/// Steps of the outer lane that open what the process joins v1 directories by. Answers the slots.
pub(super) fn open(plan: &mut Plan, paths: &Paths) -> Result<Vec<Slot>> {
    use std::os::unix::ffi::OsStrExt;
    let v1 = paths
        .dirs()
        .into_iter()
        .filter(|directory| Some(*directory) != paths.unified());
    v1.map(|directory| {
        let path = c(PATH, directory.join("tasks").as_os_str().as_bytes())?;
        let slot = later_slot(plan, PATH)?;
        plan.outer(PATH, Op::OpenCgroup { path: &path, slot });
        Ok(slot)
    })
    .collect()
}

/// Steps of the inner lane that join them.
pub(super) fn join(plan: &mut Plan, slots: &[Slot]) {
    for slot in slots {
        plan.inner(PATH, Op::JoinCgroup { slot: *slot });
    }
}
