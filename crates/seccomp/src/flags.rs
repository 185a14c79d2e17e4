//! The flags a filter is installed with (seccomp(2), `SECCOMP_SET_MODE_FILTER`).

use crate::error::{Error, ErrorKind, Warning, WarningKind};
use crate::profile::Profile;

bitflags::bitflags! {
    /// `SECCOMP_FILTER_FLAG_*`; the bits are the kernel's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct FilterFlags: u32 {
        /// All threads of the process get the filter.
        const TSYNC = 1 << 0;
        /// Everything but allowed calls is logged.
        const LOG = 1 << 1;
        /// Speculative store bypass is not turned off.
        const SPEC_ALLOW = 1 << 2;
        /// The call returns a listener for `SCMP_ACT_NOTIFY`.
        const NEW_LISTENER = 1 << 3;
        /// Failure of `TSYNC` is `ESRCH`; needed to have both a listener and `TSYNC`.
        const TSYNC_ESRCH = 1 << 4;
        /// While the listener works on a call, only fatal signals interrupt it.
        const WAIT_KILLABLE_RECV = 1 << 5;
    }
}

const NAMES: &[(&str, FilterFlags)] = &[
    ("SECCOMP_FILTER_FLAG_TSYNC", FilterFlags::TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", FilterFlags::LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", FilterFlags::SPEC_ALLOW),
    (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        FilterFlags::WAIT_KILLABLE_RECV,
    ),
];

/// The flags a profile may use.
pub fn flag_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// The flags of a profile in a combination the kernel accepts. Where the profile has no list, not even an empty one,
/// it is `SPEC_ALLOW`: the kernel would otherwise slow the program down, on kernels before 5.16.
pub(crate) fn read(
    profile: &Profile<'_>,
    notifies: bool,
    warnings: &mut Vec<Warning>,
) -> Result<FilterFlags, Error> {
    let Some(names) = &profile.flags else {
        return Ok(FilterFlags::SPEC_ALLOW | listener(notifies, FilterFlags::empty()));
    };
    let mut flags = FilterFlags::empty();
    for (index, name) in names.iter().enumerate() {
        let known = NAMES.iter().find(|(known, _)| **known == **name);
        let (_, flag) = known.ok_or_else(|| {
            Error::new(
                format!("/flags/{index}"),
                ErrorKind::UnknownFlag(name.to_string()),
            )
        })?;
        if *flag == FilterFlags::WAIT_KILLABLE_RECV && !notifies {
            warnings.push(Warning {
                pointer: format!("/flags/{index}"),
                kind: WarningKind::WaitWithoutNotify,
            });
            continue;
        }
        flags |= *flag;
    }
    Ok(flags | listener(notifies, flags))
}

fn listener(notifies: bool, flags: FilterFlags) -> FilterFlags {
    match (notifies, flags.contains(FilterFlags::TSYNC)) {
        (false, _) => FilterFlags::empty(),
        (true, false) => FilterFlags::NEW_LISTENER,
        (true, true) => FilterFlags::NEW_LISTENER | FilterFlags::TSYNC_ESRCH,
    }
}
