//! Device rules in systemd's words. It enforces them by itself and anew at every reload, beside what is enforced here: on v2 by
//! a second program, and both have to allow; on v1 through the same files. So what it is told allows at least what the
//! rules allow, and on v1, where it has the last word, that and no more as far as its words go.

use super::unit::Property;
use crate::dbus::Value;
use crate::device_rule::{ALL, Kind, MKNOD, READ, Rule, WRITE};
use crate::limits::write::Limits;

/// The properties for the device rules of `limits`; none where these say nothing of devices.
pub(super) fn allowed(limits: &Limits) -> Vec<Property> {
    let rules: Vec<Rule> = match &limits.device_program {
        Some(program) => program.rules.clone(),
        None => limits
            .writes
            .iter()
            .filter_map(|write| {
                let allow = write.file.ends_with("devices.allow");
                (allow || write.file.ends_with("devices.deny"))
                    .then(|| v1_rule(allow, &write.value))?
            })
            .collect(),
    };
    let Some(first) = rules.first() else {
        return Vec::new();
    };
    // What was allowed before goes.
    let mut properties = vec![property("DeviceAllow", pairs(&[]))];
    // systemd has no exceptions from a rule that allows.
    if first.allow {
        properties.push(property("DevicePolicy", Value::text("auto")));
        return properties;
    }
    properties.push(property("DevicePolicy", Value::text("strict")));
    let mut entries: Vec<(String, u8)> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.allow) {
        for name in names(rule) {
            // One entry has to cover all the access of an open.
            match entries.iter_mut().find(|(other, _)| *other == name) {
                Some((_, access)) => *access |= rule.access,
                None => entries.push((name, rule.access)),
            }
        }
    }
    properties.push(property("DeviceAllow", pairs(&entries)));
    properties
}

fn property(name: &str, value: Value) -> Property {
    Property {
        name: name.to_owned(),
        value,
    }
}

fn pairs(entries: &[(String, u8)]) -> Value {
    let pair = |(name, access): &(String, u8)| {
        let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
        let set = letters.iter().filter(|(bit, _)| access & bit != 0);
        let letters: String = set.map(|(_, letter)| letter).collect();
        Value::Struct(vec![Value::text(name), Value::text(letters)])
    };
    Value::Array("(ss)".to_owned(), entries.iter().map(pair).collect())
}

/// systemd knows one device, all of a major number, and all of a type. See DeviceAllow= of systemd.resource-control(5).
fn names(rule: &Rule) -> Vec<String> {
    let kinds: &[&str] = match rule.kind {
        Kind::All => &["char", "block"],
        Kind::Char => &["char"],
        Kind::Block => &["block"],
    };
    let name = |kind: &&str| match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    };
    kinds.iter().map(name).collect()
}

/// A line of `devices.allow` or `devices.deny`.
fn v1_rule(allow: bool, line: &str) -> Option<Rule> {
    let everything = Rule {
        allow,
        kind: Kind::All,
        major: None,
        minor: None,
        access: ALL,
    };
    if line == "a" {
        return Some(everything);
    }
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "a" => Kind::All,
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = words.next()?.chars().fold(0, |bits, letter| match letter {
        'r' => bits | READ,
        'w' => bits | WRITE,
        'm' => bits | MKNOD,
        _ => bits,
    });
    Some(Rule {
        kind,
        major: major.parse().ok(),
        minor: minor.parse().ok(),
        access,
        ..everything
    })
}
