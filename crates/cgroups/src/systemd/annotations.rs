//! Properties that a configuration names itself: the annotation `org.systemd.property.TimeoutStopUSec` with the value
//! `uint64 5000000`.

use super::gvariant::parse;
use super::unit::Property;
use crate::dbus::Value;
use crate::error::{Error, Result};

/// What their names begin with.
pub const ANNOTATION_PREFIX: &str = "org.systemd.property.";

/// What the runtime itself says; it cannot be said otherwise.
const RESERVED: &[&str] = &["PIDs", "PIDFDs", "Slice", "Delegate"];

/// The properties among `annotations`, which are names and values. A name that ends with `Sec` and has a number of seconds is
/// the property whose name ends with `USec`.
///
/// # Errors
/// The name can be none, the runtime sets the property itself, or the value is not in GVariant's text format.
pub fn from_annotations<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    for (annotation, text) in annotations {
        let Some(name) = annotation.strip_prefix(ANNOTATION_PREFIX) else {
            continue;
        };
        let refuse = |reason| Error::Property {
            annotation: annotation.to_owned(),
            value: text.to_owned(),
            reason,
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(refuse("this can be no name of a property"));
        }
        if RESERVED.contains(&name) {
            return Err(refuse("the runtime sets this property itself"));
        }
        let (name, value) = match microseconds(name, text) {
            Some(of_time) => of_time,
            None => (name.to_owned(), parse(text).map_err(refuse)?),
        };
        put(&mut properties, &name, value);
    }
    Ok(properties)
}

/// Adds `others` to `properties`; where both have a name, the value is that of `others`.
pub fn merge(properties: &mut Vec<Property>, others: Vec<Property>) {
    for property in others {
        put(properties, &property.name, property.value);
    }
}

/// Sets one of `properties`, the last word for its name.
pub(super) fn put(properties: &mut Vec<Property>, name: &str, value: Value) {
    match properties.iter_mut().find(|property| property.name == name) {
        Some(property) => property.value = value,
        None => properties.push(Property {
            name: name.to_owned(),
            value,
        }),
    }
}

/// systemd's files have seconds where its properties have microseconds.
fn microseconds(name: &str, text: &str) -> Option<(String, Value)> {
    let stem = name.strip_suffix("Sec")?;
    if stem.ends_with(['U', 'N']) {
        return None;
    }
    let number = text.trim().rsplit(' ').next()?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    let all = whole.checked_mul(1_000_000)?.checked_add(part)?;
    Some((format!("{stem}USec"), Value::U64(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, text: &str) -> Result<(String, Value)> {
        let name = format!("{ANNOTATION_PREFIX}{name}");
        let annotations = [("other.annotation", "x"), (name.as_str(), text)];
        from_annotations(annotations).map(|mut properties| {
            let property = properties.pop().unwrap();
            assert!(properties.is_empty());
            (property.name, property.value)
        })
    }

    #[test]
    fn annotations_are_properties() {
        let cases = [
            (
                "TimeoutStopUSec",
                "uint64 5",
                "TimeoutStopUSec",
                Value::U64(5),
            ),
            (
                "TimeoutStopSec",
                "5",
                "TimeoutStopUSec",
                Value::U64(5_000_000),
            ),
            (
                "TimeoutStopSec",
                "0.25",
                "TimeoutStopUSec",
                Value::U64(250_000),
            ),
            (
                "TimeoutStopSec",
                "uint64 2",
                "TimeoutStopUSec",
                Value::U64(2_000_000),
            ),
            (
                "CollectMode",
                "'inactive'",
                "CollectMode",
                Value::text("inactive"),
            ),
            (
                "After",
                "['a.service']",
                "After",
                Value::texts(["a.service"]),
            ),
        ];
        for (annotation, text, name, value) in cases {
            assert_eq!(
                one(annotation, text),
                Ok((name.to_owned(), value)),
                "{annotation}"
            );
        }
        for (annotation, text) in [
            ("", "5"),
            ("A-b", "5"),
            ("PIDs", "[uint32 1]"),
            ("Delegate", "false"),
            ("KillSignal", "what"),
            ("TimeoutStopSec", "soon"),
        ] {
            let error = one(annotation, text).unwrap_err();
            assert!(
                matches!(error, Error::Property { .. }),
                "{annotation}: {error}"
            );
        }
    }
}
