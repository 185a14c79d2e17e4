//! Labels of security modules, which are nothing where the module is off.

use super::Fault;
use super::problem::Problems;
use crate::host::Host;
use crate::pointer::at;
use crate::spec::Process;

/// The profile of those that no profile confines: without AppArmor, everybody's.
const UNCONFINED: &str = "unconfined";

pub(super) fn check(problems: &mut Problems, process: &Process<'_>, host: &Host) {
    let (profile, label) = (&process.apparmor_profile, &process.selinux_label);
    if !profile.is_empty() && profile != UNCONFINED && !host.modules.apparmor {
        problems.error(at!["apparmorProfile"], Fault::ModuleOff("AppArmor"));
    }
    if !label.is_empty() && !host.modules.selinux {
        problems.error(at!["selinuxLabel"], Fault::ModuleOff("SELinux"));
    }
    problems.no_nul(at!["apparmorProfile"], profile);
    problems.no_nul(at!["selinuxLabel"], label);
}
