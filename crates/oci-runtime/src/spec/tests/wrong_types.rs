//! Every property of a full configuration, replaced by a value of another type: an error with its pointer.

use serde_json::{Value, json};

use super::{EVERYTHING, value};
use crate::pointer::{Part, push};
use crate::spec::{parse, properties};

/// The pointers in `document` that a property with `*` in it stands for.
fn places(document: &Value, property: &str) -> Vec<String> {
    let parts = property.split('/').skip(1);
    let mut places = vec![String::new()];
    for part in parts {
        let below = |place: &String| -> Vec<String> {
            let join = |part: Part<'_>| {
                let mut pointer = place.clone();
                push(&mut pointer, part);
                pointer
            };
            match (part, document.pointer(place)) {
                ("*", Some(Value::Array(items))) => {
                    (0..items.len()).map(|at| join(at.into())).collect()
                }
                ("*", Some(Value::Object(members))) => {
                    members.keys().map(|name| join((&**name).into())).collect()
                }
                (name, Some(Value::Object(members))) if members.contains_key(name) => {
                    vec![join(name.into())]
                }
                _ => Vec::new(),
            }
        };
        places = places.iter().flat_map(below).collect();
    }
    places
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Values of every type but that of `value`; for a number also some that no property's range has.
fn wrong_for(value: &Value) -> Vec<Value> {
    let all = [
        json!(true),
        json!(7),
        json!("x"),
        json!([]),
        json!(["x"]),
        json!({"x": "x"}),
    ];
    let others = all.into_iter().filter(|other| kind(other) != kind(value));
    let numbers = [json!(1.5), json!(1e300)];
    others
        .chain(numbers.into_iter().filter(|_| value.is_number()))
        .collect()
}

#[test]
fn every_property_of_another_type_is_an_error_at_its_place() {
    let document = value(EVERYTHING);
    let mut replaced = 0;
    for property in properties() {
        let places = places(&document, &property);
        assert!(
            !places.is_empty(),
            "the full configuration lacks {property}"
        );
        for place in places {
            for wrong in wrong_for(&document.pointer(&place).cloned().unwrap_or_default()) {
                let mut changed = document.clone();
                if let Some(target) = changed.pointer_mut(&place) {
                    *target = wrong.clone();
                }
                let error = parse(changed.to_string().as_bytes())
                    .expect_err(&format!("{place} = {wrong}"))
                    .to_string();
                // What a list or object holds has the place of the first that is wrong.
                let named =
                    error.contains(&format!("({place})")) || error.contains(&format!("({place}/"));
                assert!(named, "{place} = {wrong}: {error}");
                replaced += 1;
            }
        }
    }
    assert!(replaced > 1000, "{replaced}");
}

/// Numbers that no type of the property has room for.
#[test]
fn numbers_out_of_range_are_errors_at_their_places() {
    let big = json!(u64::MAX);
    let table = [
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(1_u64 << 32)),
        ("/process/user/umask", json!(-1)),
        ("/process/consoleSize/height", json!(-1)),
        ("/process/rlimits/0/hard", json!(-1)),
        ("/process/oomScoreAdj", json!(1_u64 << 31)),
        ("/hooks/prestart/0/timeout", big.clone()),
        ("/linux/uidMappings/0/size", json!(1_u64 << 32)),
        ("/linux/devices/0/major", big.clone()),
        ("/linux/devices/0/fileMode", json!(-1)),
        ("/linux/devices/0/uid", json!(1_u64 << 32)),
        ("/linux/timeOffsets/monotonic/secs", big.clone()),
        ("/linux/timeOffsets/monotonic/nanosecs", json!(-1)),
        ("/linux/resources/pids/limit", big.clone()),
        ("/linux/resources/cpu/shares", json!(-1)),
        ("/linux/resources/blockIO/weight", json!(65_536)),
        ("/linux/resources/network/classID", json!(1_u64 << 32)),
        ("/linux/seccomp/defaultErrnoRet", json!(-1)),
    ];
    for (place, wrong) in table {
        let mut document = value(EVERYTHING);
        match document.pointer_mut(place) {
            Some(target) => *target = wrong.clone(),
            None => panic!("the full configuration lacks {place}"),
        }
        let error = parse(document.to_string().as_bytes())
            .expect_err(&format!("{place} = {wrong}"))
            .to_string();
        assert!(
            error.contains(&format!("({place})")),
            "{place} = {wrong}: {error}"
        );
    }
}
