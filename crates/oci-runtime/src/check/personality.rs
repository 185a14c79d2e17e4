//! Checks of the execution domain.

use super::Fault;
use super::problem::Problems;
use crate::personality::{DOMAINS, FLAGS};
use crate::pointer::at;
use crate::spec::{Linux, said};

pub(super) fn check(problems: &mut Problems, linux: &Linux<'_>) {
    let Some(personality) = said(&linux.personality) else {
        return;
    };
    let (place, domain) = (at!["linux", "personality", "domain"], &personality.domain);
    if domain.is_empty() {
        problems.error(place, Fault::Missing);
    } else if !DOMAINS.iter().any(|(name, _)| domain == name) {
        let fault = Fault::NoSuch("execution domain", domain.to_string());
        problems.error(place, fault);
    }
    for (index, flag) in personality.flags.iter().enumerate() {
        if !FLAGS.iter().any(|(name, _)| flag == name) {
            let fault = Fault::NoSuch("flag of an execution domain", flag.to_string());
            problems.error(at!["linux", "personality", "flags", index], fault);
        }
    }
}
