//! Device rules: which device nodes the processes of a container may open and make.
//!
//! The rules of the configuration stand between "deny everything" and the short list of devices that every container
//! has. For each kind of access the last rule that matches decides. v2 compiles the list as it is. The v1 controller
//! knows only one default and exceptions from it, so the list is folded to that form; where the fold would lose a
//! meaning, it is an error. See cgroup-v1/devices.rst of the kernel.

use super::lowering::Lowering;
use super::write::Origin;
use crate::device_program::DeviceProgram;
use crate::device_rule::{ALL, Kind, MKNOD, READ, Rule, WRITE};
use crate::error::{Error, Result};
use crate::resources::DeviceRule;
use std::path::Path;

/// What every container may do, after the rules of its configuration: make any node, and use the harmless ones.
///
/// The console of the host, 5:1, is not among them: a container's /dev/console is a pseudo-terminal.
pub const DEFAULT: [Rule; 10] = [
    allow(Kind::Char, None, None, MKNOD),
    allow(Kind::Block, None, None, MKNOD),
    allow(Kind::Char, Some(1), Some(3), ALL), // null
    allow(Kind::Char, Some(1), Some(5), ALL), // zero
    allow(Kind::Char, Some(1), Some(7), ALL), // full
    allow(Kind::Char, Some(1), Some(8), ALL), // random
    allow(Kind::Char, Some(1), Some(9), ALL), // urandom
    allow(Kind::Char, Some(5), Some(0), ALL), // tty
    allow(Kind::Char, Some(5), Some(2), ALL), // ptmx
    allow(Kind::Char, Some(136), None, ALL),  // pts
];

/// Network tunnels, /dev/net/tun. Programs make the node themselves and rely on what runc allows; so it is allowed where no
/// rule of the configuration is about using it, but for one that is about everything.
const TUN: Rule = allow(Kind::Char, Some(10), Some(200), ALL);

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
    Rule {
        allow: true,
        kind,
        major,
        minor,
        access,
    }
}

const DENY_EVERYTHING: Rule = Rule {
    allow: false,
    ..allow(Kind::All, None, None, ALL)
};

pub(super) fn lower(lowering: &mut Lowering<'_>, configured: &[DeviceRule]) -> Result<()> {
    let rules = effective(configured)?;
    if let Some(dir) = lowering.v1_dir("devices") {
        return lower_v1(lowering, dir, &rules);
    }
    let Some(dir) = lowering.unified_dir() else {
        return Err(Error::Controller {
            pointer: "/devices".to_owned(),
            controller: "devices",
        });
    };
    lowering.limits.device_program = Some(DeviceProgram {
        dir: dir.to_path_buf(),
        rules: rules.into_iter().map(|(rule, _)| rule).collect(),
        replaces: lowering.present.is_some(),
    });
    Ok(())
}

/// The same for a running cgroup. On v1 no device that stays allowed is refused in between: entries that are missing come
/// first, then those go that are too many. Only between a list of what is allowed and one of what is denied there is no such way.
pub(super) fn lower_update(lowering: &mut Lowering<'_>, configured: &[DeviceRule]) -> Result<()> {
    let present = lowering.present.and_then(|p| p.devices.as_deref());
    let (Some(dir), Some(present)) = (lowering.v1_dir("devices"), present) else {
        return lower(lowering, configured);
    };
    let rules = effective(configured)?;
    let default = rules.first().is_some_and(|(rule, _)| rule.allow);
    if default || present.iter().any(|rule| rule.kind == Kind::All) {
        return lower_v1(lowering, dir, &rules);
    }
    let wanted = exceptions(false, rules.get(1..).unwrap_or_default())?;
    let access_in = |list: &mut dyn Iterator<Item = &Rule>, rule: &Rule| {
        let same = list.filter(|other| other.same_devices(rule));
        same.fold(0, |bits, other| bits | other.access)
    };
    for (rule, origin) in &wanted {
        let missing = rule.access & !access_in(&mut present.iter(), rule);
        if missing != 0 {
            let rule = with_access(rule, missing);
            lowering.push(dir, "devices.allow", rule, origin.clone());
        }
    }
    for rule in present {
        let excess = rule.access & !access_in(&mut wanted.iter().map(|(rule, _)| rule), rule);
        if excess != 0 {
            lowering.push(dir, "devices.deny", with_access(rule, excess), "/devices");
        }
    }
    Ok(())
}

fn with_access(rule: &Rule, access: u8) -> Rule {
    Rule { access, ..*rule }
}

/// All rules that count, each with its origin: the first one matches everything.
fn effective(configured: &[DeviceRule]) -> Result<Vec<(Rule, Origin)>> {
    let mut rules: Vec<(Rule, Origin)> = Vec::with_capacity(2 + configured.len() + DEFAULT.len());
    rules.push((DENY_EVERYTHING, "/devices".into()));
    for (index, rule) in configured.iter().enumerate() {
        let rule = checked(rule, index)?;
        if rule.is_everything() {
            rules.clear();
        }
        rules.push((rule, format!("/devices/{index}").into()));
    }
    let spoken_of = |rule: &Rule| rule.access & !MKNOD != 0 && rule.covers(&TUN);
    if !rules.iter().skip(1).any(|(rule, _)| spoken_of(rule)) {
        rules.push((TUN, "/devices".into()));
    }
    rules.extend(DEFAULT.map(|rule| (rule, "/devices".into())));
    Ok(rules)
}

fn checked(rule: &DeviceRule, index: usize) -> Result<Rule> {
    let at = |field: &str| format!("/devices/{index}/{field}");
    let kind = match rule.kind.as_deref() {
        None | Some("" | "a") => Kind::All,
        Some("c" | "u") => Kind::Char,
        Some("b") => Kind::Block,
        Some(other) => {
            let reason = "a device type is a, c, u or b";
            return Err(Error::invalid(at("type"), other, reason));
        }
    };
    let number = |value: Option<i64>, field| match value {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| Error::invalid(at(field), number, "this is no device number")),
    };
    let mut access = 0;
    for letter in rule.access.as_deref().unwrap_or_default().chars() {
        access |= match letter {
            'm' => MKNOD,
            'r' => READ,
            'w' => WRITE,
            other => {
                let reason = "access is made of the letters r, w and m";
                return Err(Error::invalid(at("access"), other, reason));
            }
        };
    }
    if access == 0 {
        let reason = "a rule names at least one of r, w and m";
        return Err(Error::invalid(at("access"), "\"\"", reason));
    }
    Ok(Rule {
        allow: rule.allow,
        kind,
        major: number(rule.major, "major")?,
        minor: number(rule.minor, "minor")?,
        access,
    })
}

fn lower_v1(lowering: &mut Lowering<'_>, dir: &Path, rules: &[(Rule, Origin)]) -> Result<()> {
    let [(first, first_origin), others @ ..] = rules else {
        return Ok(());
    };
    let (same, opposite) = match first.allow {
        true => ("devices.allow", "devices.deny"),
        false => ("devices.deny", "devices.allow"),
    };
    lowering.push(dir, same, "a", first_origin.clone());
    for (rule, origin) in exceptions(first.allow, others)? {
        lowering.push(dir, opposite, rule, origin);
    }
    Ok(())
}

/// What differs from `default`, as the kernel can hold it.
fn exceptions(default: bool, rules: &[(Rule, Origin)]) -> Result<Vec<(Rule, Origin)>> {
    let mut exceptions: Vec<(Rule, Origin)> = Vec::with_capacity(rules.len());
    let one_kind = rules.iter().flat_map(|(rule, origin)| {
        let kinds: &[Kind] = match rule.kind {
            Kind::All => &[Kind::Char, Kind::Block],
            Kind::Char => &[Kind::Char],
            Kind::Block => &[Kind::Block],
        };
        kinds.iter().map(move |kind| {
            (
                Rule {
                    kind: *kind,
                    ..*rule
                },
                origin,
            )
        })
    });
    for (rule, origin) in one_kind {
        if rule.allow == default {
            take_away(&mut exceptions, &rule, origin)?;
        } else if let Some((same, _)) = exceptions.iter_mut().find(|(e, _)| e.same_devices(&rule)) {
            same.access |= rule.access;
        } else {
            exceptions.push((rule, origin.clone()));
        }
    }
    if !default {
        widen_nested(&mut exceptions);
    }
    Ok(exceptions)
}

/// Ends what `rule` covers. The kernel cannot cut a piece out of a wider exception.
fn take_away(exceptions: &mut Vec<(Rule, Origin)>, rule: &Rule, origin: &Origin) -> Result<()> {
    for (exception, _) in exceptions.iter_mut() {
        if rule.covers(exception) {
            exception.access &= !rule.access;
        } else if rule.meets(exception) && rule.access & exception.access != 0 {
            let reason = "a v1 device list cannot make an exception from a wider rule before it";
            return Err(Error::unsupported(origin.clone().into_owned(), reason));
        }
    }
    exceptions.retain(|(exception, _)| exception.access != 0);
    Ok(())
}

/// The kernel wants one exception to cover all the access of an open: what a wider one lets be read or written is added to the
/// narrower. mknod(2) asks for itself, so the wider one will do.
fn widen_nested(exceptions: &mut [(Rule, Origin)]) {
    for index in 0..exceptions.len() {
        let narrow = exceptions[index].0;
        let wider = exceptions.iter().filter(|(e, _)| e.covers(&narrow));
        exceptions[index].0.access = wider.fold(narrow.access, |bits, (e, _)| {
            bits | e.access & (READ | WRITE)
        });
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
