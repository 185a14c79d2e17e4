//! Configurations of engines with parts changed at random: whatever is in them, there is a judgement, and what is accepted
//! becomes a plan whose paths stay below the root.

mod values;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{HYBRID, JOINS, UNIFIED, host, request};
use crate::check::{Severity, check};
use crate::lower::create;
use crate::plan::{Lane, Plan};
use crate::spec::{Spec, parse};
use values::{NUMBERS, TEXTS, places};

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(NUMBERS).prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        "[/.a-z]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z./]{0,6}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What is done to a place: its value is replaced, taken away, doubled, or exchanged for that of another place.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    Double,
    Copy(prop::sample::Index),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        4 => any_value().prop_map(Change::Replace),
        1 => Just(Change::Remove),
        1 => Just(Change::Double),
        2 => any::<prop::sample::Index>().prop_map(Change::Copy),
    ];
    (any::<prop::sample::Index>(), change)
}

fn apply(document: &mut Value, place: &prop::sample::Index, change: &Change) {
    let mut all = Vec::new();
    places("", document, &mut all);
    if all.is_empty() {
        return;
    }
    let place = place.get(&all).clone();
    let (parent, name) = place.rsplit_once('/').unwrap_or_default();
    let new = match change {
        Change::Replace(value) => Some(value.clone()),
        Change::Copy(other) => document.pointer(other.get::<String>(&all)).cloned(),
        Change::Remove | Change::Double => None,
    };
    if let Some(new) = new {
        if let Some(target) = document.pointer_mut(&place) {
            *target = new;
        }
        return;
    }
    match document.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            let index = name.parse().unwrap_or(0);
            match change {
                Change::Double => items.insert(index, items[index].clone()),
                _ => drop(items.remove(index)),
            }
        }
        Some(Value::Object(members)) => {
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        _ => {}
    }
}

/// The plan, where there is one.
fn planned(document: &Value, layout: (&str, &str), gate: bool) -> Option<Plan> {
    let text = document.to_string();
    let spec: Spec<'_> = parse(text.as_bytes()).ok()?;
    let mut host = host(layout);
    host.resctrl = Some("/sys/fs/resctrl".into());
    let problems = check(&spec, &host);
    if problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        return None;
    }
    create(&spec, &host, request(gate))
        .ok()
        .map(|lowered| lowered.plan)
}

/// Every path that is resolved below the root is relative, and its text alone does not lead up.
fn stays_below_root(plan: &Plan) -> Result<(), TestCaseError> {
    let below = plan.paths_below_root();
    for (number, path) in &below {
        let text = path.to_string_lossy();
        let normal =
            text.is_empty() || text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        prop_assert!(normal, "step {number}: {text:?}");
    }
    // No operation has a path that this does not know of.
    let elsewhere = [
        ("Hook", "path"),
        ("Cwd", "path"),
        ("AttachRoot", "path"),
        ("Symlink", "target"),
    ];
    for (number, step) in plan
        .steps()
        .iter()
        .enumerate()
        .filter(|(_, step)| step.lane == Lane::Inner)
    {
        let op = plan.op(step).expect("a step of init");
        let mut unknown = None;
        op.fields(&mut |name, _| {
            let path = matches!(name, "path" | "target") && !elsewhere.contains(&(op.name(), name));
            if path && !below.iter().any(|(known, _)| *known == number) {
                unknown = Some(name);
            }
        });
        prop_assert!(
            unknown.is_none(),
            "{}: {unknown:?} is a path of which nobody knows where it leads",
            op.name()
        );
    }
    Ok(())
}

/// Their profiles are cut short, so that they fit with noNewPrivileges only.
fn originals() -> Vec<Value> {
    let texts = [
        include_str!("../../spec/fixtures/docker.json"),
        include_str!("../../spec/fixtures/containerd.json"),
        include_str!("../../spec/fixtures/podman.json"),
        include_str!("../../spec/fixtures/everything.json"),
        JOINS,
    ];
    texts
        .iter()
        .map(|text| {
            let mut document: Value = serde_json::from_str(text).expect("JSON");
            document["process"]["noNewPrivileges"] = json!(true);
            document
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn configurations_are_judged_and_their_plans_stay_below_the_root(
        original in prop::sample::select(originals()),
        changes in prop::collection::vec(change(), 0..5),
        v2 in any::<bool>(),
        gate in any::<bool>(),
    ) {
        let mut document = original;
        for (place, change) in &changes {
            apply(&mut document, place, change);
        }
        if let Some(plan) = planned(&document, if v2 { UNIFIED } else { HYBRID }, gate) {
            prop_assert_eq!(plan.to_text().lines().count(), plan.steps().len());
            stays_below_root(&plan)?;
        }
    }
}

/// The test above looks at plans, and not at nothing.
#[test]
fn originals_have_plans() {
    let planned = |document: &Value| planned(document, UNIFIED, true).is_some();
    assert!(
        originals()
            .iter()
            .filter(|document| planned(document))
            .count()
            >= 3
    );
    let mut changed = originals().remove(4);
    changed["linux"]["maskedPaths"] = json!(["/a/../../b", "/proc/./kcore"]);
    let plan = self::planned(&changed, UNIFIED, true).expect("a plan");
    let paths = plan.paths_below_root();
    assert!(paths.iter().any(|(_, path)| *path == c"b"), "{paths:?}");
    assert!(
        paths.iter().any(|(_, path)| *path == c"proc/kcore"),
        "{paths:?}"
    );
}
