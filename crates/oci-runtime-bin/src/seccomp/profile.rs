//! A profile in a file: by itself, or as `linux.seccomp` of a `config.json`, or in docker's own format, from which an
//! engine makes a profile for each container. Of that, what holds for a container without additional capabilities on this
//! machine is taken: rules for other architectures and for capabilities lose their names and keep their place, so that
//! pointers into the file stay right.

use std::ffi::OsString;
use std::path::PathBuf;

use oci_runtime::spec::{ParseError, parse, parse_as};
use oci_runtime_seccomp::{Arch, Error, Profile};
use serde_json::{Value, json};

use crate::failure::Failure;

/// A file with a profile.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    json: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Profile,
    Config,
}

impl Document {
    /// Reads a file.
    pub fn read(path: &OsString) -> Result<Document, Failure> {
        let path = PathBuf::from(path);
        let mut json = std::fs::read(&path).map_err(|source| Failure::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        // What is not JSON at all is told by the parser proper.
        let value: Value = serde_json::from_slice(&json).unwrap_or_default();
        let kind = match value.get("linux").or_else(|| value.get("ociVersion")) {
            Some(_) => Kind::Config,
            None => Kind::Profile,
        };
        if kind == Kind::Profile && is_dockers(&value) {
            log::warn!(
                "{}: docker's own format, taken as for a container without additional capabilities",
                path.display()
            );
            json = serde_json::to_vec(&here(value, std::env::consts::ARCH))?;
        }
        Ok(Document { path, json, kind })
    }

    /// The profile.
    pub fn profile(&self) -> Result<Profile<'_>, Failure> {
        let bad = |source: ParseError| Failure::Parse {
            path: self.path.clone(),
            source,
        };
        match self.kind {
            Kind::Profile => parse_as(&self.json).map_err(bad),
            Kind::Config => {
                let spec = parse(&self.json).map_err(bad)?;
                let profile = spec.linux.seccomp.filter(|profile| !profile.is_empty());
                profile.ok_or_else(|| Failure::NoProfile(self.path.clone()))
            }
        }
    }

    /// The machine's architecture.
    pub fn native(&self) -> Result<Arch, Failure> {
        Arch::native().ok_or(Failure::NoArchitecture)
    }

    /// A pointer to the profile in the file.
    pub fn base(&self) -> &'static str {
        match self.kind {
            Kind::Profile => "",
            Kind::Config => "/linux/seccomp",
        }
    }

    /// A profile that does not compile.
    pub fn wrong(&self, error: &Error) -> Failure {
        Failure::Profile {
            path: self.path.clone(),
            pointer: format!("{}{}", self.base(), error.pointer()),
            kind: error.kind().clone(),
        }
    }
}

/// Whether it has what only docker's format has.
fn is_dockers(value: &Value) -> bool {
    let rules = value.get("syscalls").and_then(Value::as_array);
    let filtered = |rule: &Value| rule.get("includes").is_some() || rule.get("excludes").is_some();
    value.get("archMap").is_some() || rules.is_some_and(|rules| rules.iter().any(filtered))
}

/// What of it holds on a machine, by the name that Rust has for it.
fn here(mut value: Value, machine: &str) -> Value {
    let (goarch, scmp) = match machine {
        "x86_64" => ("amd64", "SCMP_ARCH_X86_64"),
        "aarch64" => ("arm64", "SCMP_ARCH_AARCH64"),
        other => (other, ""),
    };
    let lists = |rule: &Value, of: &str, what: &str| {
        let list = rule.get(of).and_then(|of| of.get(what));
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let has = |list: &[Value]| list.iter().any(|arch| arch == goarch);
    for rule in value
        .get_mut("syscalls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let arches = lists(rule, "includes", "arches");
        let elsewhere =
            !arches.is_empty() && !has(&arches) || has(&lists(rule, "excludes", "arches"));
        if elsewhere || !lists(rule, "includes", "caps").is_empty() {
            rule["names"] = json!([]);
        }
    }
    let maps = value.get("archMap").and_then(Value::as_array);
    let map = maps.and_then(|maps| maps.iter().find(|map| map["architecture"] == scmp));
    if let Some(map) = map {
        let mut archs = vec![json!(scmp)];
        archs.extend(
            map["subArchitectures"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        value["architectures"] = archs.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_format_is_taken_as_for_this_machine() {
        let value = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["a"]},
            {"names": ["b"], "includes": {"arches": ["arm64"]}},
            {"names": ["c"], "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["d"], "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390x"]}},
            {"names": ["e"], "excludes": {"arches": ["amd64"]}},
            {"names": ["f"], "includes": {}},
        ]});
        assert!(is_dockers(&value));
        assert!(!is_dockers(&json!({"syscalls": [{"names": ["a"]}]})));
        let names = |machine| {
            let lowered = here(value.clone(), machine);
            let rules = lowered["syscalls"].as_array().unwrap().clone();
            let names = rules.iter().filter_map(|rule| rule["names"][0].as_str());
            (names.collect::<String>(), lowered["architectures"].clone())
        };
        let x86 = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
        let arm = json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
        assert_eq!(names("x86_64"), ("adf".to_owned(), x86));
        assert_eq!(names("aarch64"), ("abdef".to_owned(), arm));
        assert_eq!(names("vax"), ("adef".to_owned(), Value::Null));
    }
}
