use super::*;
use crate::resources::DeviceRule;
use proptest::prelude::*;

/// The v1 controller, after the kernel's own description: a default and exceptions from it.
#[derive(Default)]
struct Kernel {
    default: bool,
    exceptions: Vec<Rule>,
}

impl Kernel {
    fn write(&mut self, allow: bool, rule: &Rule) {
        if rule.is_everything() {
            self.default = allow;
            self.exceptions.clear();
            return;
        }
        assert_ne!(rule.kind, Kind::All, "the kernel takes a for everything");
        let same =
            |e: &&mut Rule| (e.kind, e.major, e.minor) == (rule.kind, rule.major, rule.minor);
        let found = self.exceptions.iter_mut().find(same);
        match (allow != self.default, found) {
            (true, Some(e)) => e.access |= rule.access,
            (true, None) => self.exceptions.push(*rule),
            (false, Some(e)) => e.access &= !rule.access,
            (false, None) => {}
        }
        self.exceptions.retain(|e| e.access != 0);
    }

    fn allows(&self, device: &Rule) -> bool {
        let mut on_device = self.exceptions.iter().filter(|e| e.covers(device));
        match self.default {
            true => !on_device.any(|e| e.access & device.access != 0),
            false => on_device.any(|e| device.access & !e.access == 0),
        }
    }
}

/// The last rule that matches decides, for each kind of access.
fn means(rules: &[Rule], device: &Rule) -> bool {
    [MKNOD, READ, WRITE]
        .into_iter()
        .filter(|bit| device.access & bit != 0)
        .all(|bit| {
            let last = rules
                .iter()
                .rfind(|r| r.covers(device) && r.access & bit != 0);
            last.is_some_and(|r| r.allow)
        })
}

fn configured() -> impl Strategy<Value = Vec<DeviceRule>> {
    let kind = prop_oneof![
        Just(None),
        Just(Some("a")),
        Just(Some("c")),
        Just(Some("b"))
    ];
    let number = prop_oneof![Just(None), Just(Some(-1)), Just(Some(1)), Just(Some(3))];
    let access = prop_oneof![Just("rwm"), Just("r"), Just("rw"), Just("m"), Just("w")];
    let rule = (any::<bool>(), kind, number.clone(), number, access);
    let rule = rule.prop_map(|(allow, kind, major, minor, access)| DeviceRule {
        allow,
        kind: kind.map(str::to_owned),
        major,
        minor,
        access: Some(access.to_owned()),
    });
    proptest::collection::vec(rule, 0..8)
}

fn devices() -> impl Iterator<Item = Rule> {
    let numbers = [(1, 3), (1, 1), (3, 1), (5, 0), (5, 9), (136, 4)];
    numbers.into_iter().flat_map(|(major, minor)| {
        [Kind::Char, Kind::Block].into_iter().flat_map(move |kind| {
            (1..8).map(move |access| allow(kind, Some(major), Some(minor), access))
        })
    })
}

proptest! {
    #[test]
    fn v1_lists_mean_what_the_rules_mean(configured in configured()) {
        let rules = effective(&configured).expect("every rule is well-formed");
        let plain: Vec<Rule> = rules.iter().map(|(rule, _)| *rule).collect();
        let Ok(list) = exceptions(plain[0].allow, &rules[1..]) else {
            // Only ever where a narrower rule of the other kind follows a wider one.
            let cut = plain.iter().enumerate().any(|(n, narrow)| {
                plain[..n].iter().any(|wide| {
                    wide.allow != narrow.allow && wide.meets(narrow) && !narrow.covers(wide)
                })
            });
            prop_assert!(cut, "refused without a cause");
            return Ok(());
        };
        let mut kernel = Kernel { default: plain[0].allow, exceptions: Vec::new() };
        for (line, _) in &list {
            kernel.write(!plain[0].allow, line);
        }
        for device in devices() {
            let (is, should) = (kernel.allows(&device), means(&plain, &device));
            if device.access.count_ones() == 1 {
                prop_assert_eq!(is, should, "{}", device);
            }
            // Where two exceptions only cross, the kernel refuses what needs both; it never grants more.
            prop_assert!(!is || should, "{} is granted", device);
        }
    }
}

fn rule(json: &str) -> DeviceRule {
    serde_json::from_str(json).expect("a device rule")
}

#[test]
fn malformed_rules_name_their_place() {
    for (json, pointer) in [
        (
            r#"{"allow":true,"type":"x","access":"r"}"#,
            "/devices/1/type",
        ),
        (r#"{"allow":true,"access":"rx"}"#, "/devices/1/access"),
        (r#"{"allow":true}"#, "/devices/1/access"),
        (
            r#"{"allow":true,"access":"r","major":-2}"#,
            "/devices/1/major",
        ),
        (
            r#"{"allow":true,"access":"r","minor":4294967296}"#,
            "/devices/1/minor",
        ),
    ] {
        let good = rule(r#"{"allow":false,"access":"rwm"}"#);
        let error = effective(&[good, rule(json)]).expect_err(json);
        assert_eq!(error.pointer(), Some(pointer), "{error}");
    }
}

#[test]
fn tunnels_are_for_all_whom_no_rule_denies_them() {
    let of = |json: &[&str]| {
        let configured: Vec<_> = json.iter().map(|json| rule(json)).collect();
        let rules = effective(&configured).expect("well-formed");
        let rules = rules.into_iter().map(|(rule, _)| rule.to_string());
        rules
            .filter(|rule| rule.contains("10:200"))
            .collect::<Vec<_>>()
    };
    let nothing = r#"{"allow":false,"access":"rwm"}"#;
    let nodes = r#"{"allow":true,"type":"c","access":"m"}"#;
    assert_eq!(of(&[nothing, nodes]), ["c 10:200 rwm"]);
    let family = r#"{"allow":false,"type":"c","major":10,"access":"rwm"}"#;
    assert!(of(&[nothing, family]).is_empty());
    let denied = r#"{"allow":false,"type":"c","major":10,"minor":200,"access":"rw"}"#;
    assert_eq!(of(&[nothing, denied]), ["c 10:200 rw"]);
}

#[test]
fn a_rule_for_everything_replaces_what_stands_before() {
    let rules = effective(&[
        rule(r#"{"allow":true,"type":"c","major":10,"minor":200,"access":"rwm"}"#),
        rule(r#"{"allow":true,"type":"a","access":"rwm"}"#),
    ])
    .expect("well-formed");
    assert_eq!(rules[0].0.to_string(), "a *:* rwm");
    assert!(rules[0].0.allow);
    assert_eq!(rules.len(), 2 + DEFAULT.len());
    assert_eq!(exceptions(true, &rules[1..]), Ok(Vec::new()));
}

#[test]
fn a_hole_in_a_wider_rule_is_refused_on_v1() {
    let rules = effective(&[
        rule(r#"{"allow":true,"type":"c","major":10,"access":"rwm"}"#),
        rule(r#"{"allow":false,"type":"c","major":10,"minor":200,"access":"rwm"}"#),
    ])
    .expect("well-formed");
    let error = exceptions(false, &rules[1..]).expect_err("the kernel cannot hold it");
    assert_eq!(error.pointer(), Some("/devices/1"));
}
