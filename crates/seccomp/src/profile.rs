//! The profile as it stands in `config.json`: `linux.seccomp` of the runtime-spec, all of it, as plain data. Strings
//! borrow from the JSON text wherever it has no escapes, so that a profile of hundreds of names costs few
//! allocations. Nothing is judged here: an unknown action is a string like any other until [`compile`](crate::compile).

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

/// `linux.seccomp` (runtime-spec 1.3, config-linux.md, section Seccomp). Unknown fields are ignored, and `null`
/// stands for an absent list, as Go programs write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile<'a> {
    /// What happens to a call that no rule matches, for example `SCMP_ACT_ERRNO`. Required by the spec.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub default_action: Option<Text<'a>>,
    /// The errno of a default action `SCMP_ACT_ERRNO` or the message of `SCMP_ACT_TRACE`. `EPERM` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Further architectures to allow calls for, for example `SCMP_ARCH_X86`. The native one is always there.
    #[serde(
        borrow,
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub architectures: Vec<Text<'a>>,
    /// `SECCOMP_FILTER_FLAG_*` names. Absent is not empty: see the [crate documentation](crate).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<Text<'a>>>,
    /// The unix socket that is handed the listener of `SCMP_ACT_NOTIFY` rules.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<Text<'a>>,
    /// Opaque data for the program behind `listener_path`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<Text<'a>>,
    /// The rules.
    #[serde(
        borrow,
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub syscalls: Vec<Syscall<'a>>,
}

/// One entry of `syscalls`: the same action, under the same conditions, for each of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall<'a> {
    /// Names of system calls.
    #[serde(borrow, default, deserialize_with = "list")]
    pub names: Vec<Text<'a>>,
    /// What happens to a call that matches, for example `SCMP_ACT_ALLOW`.
    #[serde(borrow)]
    pub action: Text<'a>,
    /// The errno of `SCMP_ACT_ERRNO` or the message of `SCMP_ACT_TRACE`. `EPERM` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on the arguments; none means that every call matches.
    #[serde(
        borrow,
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<SyscallArg<'a>>,
}

/// One condition on one argument of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallArg<'a> {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument is compared with by `SCMP_CMP_MASKED_EQ`; of no meaning to the other operators.
    #[serde(default)]
    pub value_two: u64,
    /// The comparison, for example `SCMP_CMP_EQ`.
    #[serde(borrow)]
    pub op: Text<'a>,
}

impl Profile<'_> {
    /// Whether the profile asks for nothing at all: no default action and no rules, as in `"seccomp": {}`. There is
    /// no filter to install then.
    pub fn is_empty(&self) -> bool {
        self.default_action.is_none() && self.syscalls.is_empty()
    }
}

/// A string that borrows from the JSON text if it can. serde borrows a plain `Cow<str>` only as a direct field,
/// never inside a list; this one borrows everywhere.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, out)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> serde::de::Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// A list, or `null` for an empty one.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [{"architecture": "x"}],
        "architectures": ["SCMP_ARCH_X86"], "flags": [], "listenerPath": "/run/agent", "listenerMetadata": "m",
        "syscalls": [
            {"names": ["read", "wr\u0069te"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": ""},
            {"names": ["clone"], "action": "SCMP_ACT_TRACE", "errnoRet": 7,
             "args": [{"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_LT"}]}
        ]}"#;

    #[test]
    fn every_field_is_read() {
        let profile: Profile = serde_json::from_str(JSON).unwrap();
        assert_eq!(profile.default_action.as_deref(), Some("SCMP_ACT_ERRNO"));
        assert_eq!(profile.default_errno_ret, Some(38));
        assert_eq!(profile.architectures, ["SCMP_ARCH_X86".into()]);
        assert_eq!(profile.flags, Some(vec![]));
        assert_eq!(profile.listener_path.as_deref(), Some("/run/agent"));
        assert_eq!(profile.listener_metadata.as_deref(), Some("m"));
        assert_eq!(profile.syscalls[0].names, ["read".into(), "write".into()]);
        assert_eq!(profile.syscalls[1].errno_ret, Some(7));
        let arg = &profile.syscalls[1].args[0];
        assert_eq!(
            (arg.index, arg.value, arg.value_two, &*arg.op),
            (1, u64::MAX, 0, "SCMP_CMP_LT")
        );
    }

    #[test]
    fn names_borrow_unless_escaped() {
        let profile: Profile = serde_json::from_str(JSON).unwrap();
        let names = &profile.syscalls[0].names;
        assert!(matches!(names[0].0, Cow::Borrowed(_)));
        assert!(matches!(names[1].0, Cow::Owned(_)));
    }

    #[test]
    fn a_profile_survives_the_round_trip() {
        let profile: Profile = serde_json::from_str(JSON).unwrap();
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }

    #[test]
    fn nothing_at_all_is_empty() {
        assert!(serde_json::from_str::<Profile>("{}").unwrap().is_empty());
        assert!(
            !serde_json::from_str::<Profile>(r#"{"defaultAction": "SCMP_ACT_KILL"}"#)
                .unwrap()
                .is_empty()
        );
    }
}
