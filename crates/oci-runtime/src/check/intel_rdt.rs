//! Checks of what is asked of resctrl (config-linux.md, "IntelRdt").

use super::Fault;
use super::problem::Problems;
use crate::host::Host;
use crate::pointer::at;
use crate::spec::Spec;

/// Directories that are there already and no classes.
const RESERVED: &[&str] = &["info", "mon_data", "mon_groups"];

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>, host: &Host) {
    let Some(asked) = &spec.linux.intel_rdt else {
        return;
    };
    if host.resctrl.is_none() {
        problems.error(at!["linux", "intelRdt"], Fault::NoResctrl);
    }
    let name = &*asked.clos_id;
    let inside = name != "/" && (name.contains(['/', '\n', '\0']) || matches!(name, "." | ".."));
    if inside || RESERVED.contains(&name) {
        let fault = Fault::NotAClass(name.to_owned());
        problems.error(at!["linux", "intelRdt", "closID"], fault);
    }
    let bandwidth = &*asked.mem_bw_schema;
    if !bandwidth.is_empty() && (!bandwidth.starts_with("MB:") || bandwidth.contains('\n')) {
        let fault = Fault::BandwidthSchema(bandwidth.to_owned());
        problems.error(at!["linux", "intelRdt", "memBwSchema"], fault);
    }
}
