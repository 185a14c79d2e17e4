//! Steps that decide who the payload is. What was set is read back, and a difference is fatal.

use crate::op::CapSet;
use crate::report::Part;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Fd};
use crate::wire::List;
use core::ffi::CStr;

/// Takes the ids 0 of the user namespace. Its maps are written, so they exist.
pub fn become_root() -> Done {
    sys::setresgid(0).at(Part::Setresgid)?;
    sys::setresuid(0).at(Part::Setresuid)?;
    // Changing ids may have made us dumpable as a file would; nobody may look in before the payload is there.
    sys::prctl(4, 0, 0).at(Part::PrctlDumpable).map(drop)
}

/// Joins a session keyring of the payload's own; a kernel or filter without keys leaves nothing to share.
pub fn keyring(name: &CStr) -> Done {
    match sys::keyctl_join_session(name) {
        Ok(_) | Err(sys::ENOSYS) => Ok(()),
        Err(errno) => fail(Part::Keyctl, errno, 0),
    }
}

/// Sets supplementary groups, group and user, in the order that keeps the right to do so.
pub fn ids(uid: u32, gid: u32, groups: List<'_, u32>) -> Done {
    const PR_SET_KEEPCAPS: u32 = 8;
    sys::prctl(PR_SET_KEEPCAPS, 1, 0).at(Part::PrctlKeepcaps)?;
    set_groups(groups)?;
    sys::setresgid(gid).at(Part::Setresgid)?;
    sys::setresuid(uid).at(Part::Setresuid)?;
    sys::prctl(PR_SET_KEEPCAPS, 0, 0).at(Part::PrctlKeepcaps)?;
    sys::prctl(4, 0, 0).at(Part::PrctlDumpable)?;
    if sys::getresuid().at(Part::ReadBack)? != [uid; 3]
        || sys::getresgid().at(Part::ReadBack)? != [gid; 3]
    {
        return fail(Part::ReadBack, sys::EPERM, u64::from(uid));
    }
    Ok(())
}

fn set_groups(groups: List<'_, u32>) -> Done {
    let bytes = match groups {
        List::Packed { bytes, .. } => bytes,
        List::Items(_) => &[],
    };
    match sys::setgroups(groups.len(), bytes) {
        // Denied in this user namespace for good; whether that matters, reading back tells.
        Err(sys::EPERM) if groups.is_empty() => {}
        other => other.at(Part::Setgroups).map(drop)?,
    }
    // The kernel keeps them sorted.
    let found = sys::words(groups.len() + 1).at(Part::Mmap)?;
    let count = sys::getgroups(found).at(Part::ReadBack)?;
    let set = &found[..count];
    let same =
        count == groups.len() && groups.iter().all(|group| set.binary_search(&group).is_ok());
    if same {
        Ok(())
    } else {
        fail(Part::ReadBack, sys::EPERM, count as u64)
    }
}

/// The five sets.
#[derive(Clone, Copy)]
pub struct Sets {
    /// Limits what execve(2) can give.
    pub bounding: CapSet,
    /// In force.
    pub effective: CapSet,
    /// Kept over execve(2) with file capabilities.
    pub inheritable: CapSet,
    /// May be made effective.
    pub permitted: CapSet,
    /// Kept over execve(2) without file capabilities.
    pub ambient: CapSet,
}

const PR_CAPBSET_READ: u32 = 23;
const PR_CAPBSET_DROP: u32 = 24;
const PR_CAP_AMBIENT: u32 = 47;
const AMBIENT_IS_SET: u64 = 1;
const AMBIENT_RAISE: u64 = 2;
const AMBIENT_CLEAR_ALL: u64 = 4;

/// Sets all five: bounding first, while it may still be dropped; ambient last, because it needs permitted and inheritable.
pub fn capabilities(sets: Sets, last: u32) -> Done {
    let [_, permitted, inheritable] = sys::capget().at(Part::Capget)?;
    sys::capset([permitted, permitted, inheritable]).at(Part::Capset)?;
    for capability in (0..=last).filter(|capability| sets.bounding.0 >> capability & 1 == 0) {
        sys::prctl(PR_CAPBSET_DROP, u64::from(capability), 0).at(Part::PrctlBounding)?;
    }
    let wanted = [sets.effective.0, sets.permitted.0, sets.inheritable.0];
    if let Err(errno) = sys::capset(wanted) {
        return fail(Part::Capset, errno, sets.permitted.0 & !permitted);
    }
    sys::prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL, 0).at(Part::PrctlAmbient)?;
    for capability in (0..=last).filter(|capability| sets.ambient.0 >> capability & 1 == 1) {
        let raised = sys::prctl(PR_CAP_AMBIENT, AMBIENT_RAISE, u64::from(capability));
        if let Err(errno) = raised {
            return fail(Part::PrctlAmbient, errno, 1 << capability);
        }
    }
    read_back(sets, wanted, last)
}

fn read_back(sets: Sets, wanted: [u64; 3], last: u32) -> Done {
    if sys::capget().at(Part::Capget)? != wanted {
        return fail(Part::ReadBack, sys::EPERM, sets.effective.0);
    }
    for capability in 0..=last {
        let bit = |set: CapSet| (set.0 >> capability & 1) as usize;
        let capability = u64::from(capability);
        let bounding = sys::prctl(PR_CAPBSET_READ, capability, 0).at(Part::ReadBack)?;
        let ambient = sys::prctl(PR_CAP_AMBIENT, AMBIENT_IS_SET, capability).at(Part::ReadBack)?;
        // What the caller itself is not bounded to cannot be given; that is less than asked, never more.
        if bounding > bit(sets.bounding) || ambient != bit(sets.ambient) {
            return fail(Part::ReadBack, sys::EPERM, 1 << capability);
        }
    }
    Ok(())
}

/// Sets no_new_privs, from which there is no way back.
pub fn no_new_privs() -> Done {
    const PR_SET_NO_NEW_PRIVS: u32 = 38;
    const PR_GET_NO_NEW_PRIVS: u32 = 39;
    sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0).at(Part::PrctlNoNewPrivs)?;
    match sys::prctl(PR_GET_NO_NEW_PRIVS, 0, 0).at(Part::ReadBack)? {
        1 => Ok(()),
        other => fail(Part::ReadBack, sys::EPERM, other as u64),
    }
}

/// Installs a filter. Its listener, close-on-exec at birth, is for whoever the next yield tells of it. Where it takes a privilege
/// that is only permitted, execve(2), the one call that comes after it, takes that back: it computes the permitted and
/// effective sets from the other three.
pub fn seccomp(init: &mut Init, program: &[u8], flags: u32, privileged: bool) -> Done {
    const NEW_LISTENER: u32 = 1 << 3;
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    if privileged {
        let [effective, permitted, inheritable] = sys::capget().at(Part::Capget)?;
        sys::capset([effective | CAP_SYS_ADMIN, permitted, inheritable]).at(Part::Capset)?;
    }
    let answer = sys::seccomp_filter(program, flags).at(Part::Seccomp)?;
    if flags & NEW_LISTENER != 0 {
        init.listener = answer as Fd;
    }
    Ok(())
}
