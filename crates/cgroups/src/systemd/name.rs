//! `linux.cgroupsPath` for systemd: `slice:prefix:name` is the scope `prefix-name.scope` in a slice, and a name that ends with
//! `.slice` a slice of its own. The dashes of a slice's name are its place: `a-b.slice` lies in `a.slice`. See
//! systemd.slice(5).

use std::path::{Path, PathBuf};

use super::unit::Unit;
use crate::dbus::Bus;
use crate::error::{Error, Result};
use crate::layout::{Hierarchy, Layout};
use crate::paths::Paths;

/// The unit that a configuration asks for, and the slice to put it into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The unit.
    pub unit: Unit,
    /// The slice; empty for the one at the top.
    pub slice: String,
}

/// The longest name of a unit.
const LONGEST: usize = 255;

/// The unit for `cgroups_path`, or for the container `id` where that is absent or empty: then it is `ocirun-ID.scope`. Where
/// there is no slice, it is `system.slice` on the system bus and `user.slice` on a user's.
///
/// # Errors
/// The path is not of the form, or a part of it can be no name of a unit.
pub fn asked(cgroups_path: Option<&str>, id: &str, bus: Bus) -> Result<Asked> {
    let escaped;
    let given = cgroups_path.filter(|path| !path.is_empty());
    let (slice, prefix, name) = match given {
        None => {
            escaped = escape(id);
            ("", "ocirun", escaped.as_str())
        }
        Some(path) => split(path)?,
    };
    let value = given.unwrap_or(id);
    let slice = match (slice, bus) {
        ("", Bus::System) => "system.slice",
        ("", Bus::User) => "user.slice",
        ("-.slice" | "-", _) => "",
        (slice, _) => slice,
    };
    let name = match (prefix, name) {
        (_, name) if name.ends_with(".slice") => name.to_owned(),
        ("", name) => format!("{name}.scope"),
        (prefix, name) => format!("{prefix}-{name}.scope"),
    };
    check_name(&name).map_err(|reason| refuse(value, reason))?;
    if !slice.is_empty() && !slice.ends_with(".slice") {
        return Err(refuse(value, "its first part is no name of a slice"));
    }
    for slice in [slice, &name] {
        if slice.ends_with(".slice") {
            place_of_slice(slice).map_err(|reason| refuse(value, reason))?;
        }
    }
    Ok(Asked {
        unit: Unit { name, bus },
        slice: slice.to_owned(),
    })
}

/// The directories that systemd gives to a unit, one in each hierarchy.
///
/// Pure: a user's systemd is taken to be where the caller's own cgroup shows it, or where systemd puts it by convention.
///
/// # Errors
/// The slice's name can be none.
pub fn resolve(layout: &Layout, asked: &Asked, uid: u32) -> Result<Paths> {
    let name = asked.unit.name.as_str();
    let place = match asked.unit.is_slice() {
        // Its own name says where it is.
        true => place_of_slice(name),
        false => place_of_slice(&asked.slice).map(|place| place.join(name)),
    };
    let place = place.map_err(|reason| refuse(name, reason))?;
    let mut paths = Paths::default();
    for hierarchy in &layout.hierarchies {
        let top = match asked.unit.bus {
            Bus::System => hierarchy.mount_point.clone(),
            Bus::User => hierarchy.mount_point.join(place_of_user(hierarchy, uid)),
        };
        let dir = top.join(&place);
        if hierarchy.v2 {
            paths.0.insert(String::new(), dir);
        } else {
            let each = hierarchy.controllers.iter();
            paths.0.extend(each.map(|name| (name.clone(), dir.clone())));
        }
    }
    Ok(paths)
}

fn split(path: &str) -> Result<(&str, &str, &str)> {
    let mut parts = path.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(slice), Some(prefix), Some(name)) if !name.is_empty() => Ok((slice, prefix, name)),
        _ => Err(refuse(
            path,
            "for systemd it has the form \"slice:prefix:name\"",
        )),
    }
}

fn refuse(value: &str, reason: &'static str) -> Error {
    Error::Path {
        value: value.to_owned(),
        reason,
    }
}

/// What can be in the name of a unit without escapes; see systemd.unit(5).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > LONGEST {
        return Err("the name of a unit is at most 255 bytes long");
    }
    match name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err("the name of a unit consists of letters, digits and :-_.\\@"),
    }
}

/// An id may contain what the name of a unit may not.
fn escape(id: &str) -> String {
    let each = id.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("\\x{byte:02x}"),
    });
    each.collect()
}

/// `a-b.slice` lies at `a.slice/a-b.slice`; the nameless slice is the top.
fn place_of_slice(slice: &str) -> Result<PathBuf, &'static str> {
    let mut place = PathBuf::new();
    if slice.is_empty() {
        return Ok(place);
    }
    check_name(slice)?;
    let stem = slice.strip_suffix(".slice");
    let stem = stem.ok_or("its first part is no name of a slice")?;
    let parts: Vec<&str> = stem.split('-').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err("the name of a slice has something before, between and after its dashes");
    }
    for end in 1..=parts.len() {
        place.push(format!("{}.slice", parts[..end].join("-")));
    }
    Ok(place)
}

/// A user's systemd is itself a service of the machine's.
fn place_of_user(hierarchy: &Hierarchy, uid: u32) -> PathBuf {
    let service = format!("user@{uid}.service");
    let own = hierarchy.own.strip_prefix(&hierarchy.root);
    let own = own.unwrap_or(Path::new(""));
    match own.ancestors().find(|place| place.ends_with(&service)) {
        Some(place) => place.to_owned(),
        None => PathBuf::from(format!("user.slice/user-{uid}.slice/{service}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Result<(String, String)> {
        asked(Some(path), "id", Bus::System).map(|asked| (asked.unit.name, asked.slice))
    }

    #[test]
    fn paths_become_units() {
        let cases = [
            (
                "machine.slice:libpod:abc",
                "libpod-abc.scope",
                "machine.slice",
            ),
            ("a-b.slice:cri:x", "cri-x.scope", "a-b.slice"),
            (":runc:x", "runc-x.scope", "system.slice"),
            ("a.slice::x", "x.scope", "a.slice"),
            ("-.slice:p:x", "p-x.scope", ""),
            ("a.slice:p:b-c.slice", "b-c.slice", "a.slice"),
            ("", "ocirun-id.scope", "system.slice"),
            ("a.slice:p:x:y", "p-x:y.scope", "a.slice"),
        ];
        for (path, name, slice) in cases {
            assert_eq!(
                names(path),
                Ok((name.to_owned(), slice.to_owned())),
                "{path}"
            );
        }
        for path in [
            "/kubepods/burstable/x",
            "a.slice:x",
            "a.slice:p:",
            "a:p:x",
            "a/b.slice:p:x",
            "-a.slice:p:x",
            "a--b.slice:p:x",
            "a.slice:p:x/y",
            "a.slice:p:x y",
            "a.slice:p:b-.slice",
        ] {
            let error = names(path).unwrap_err();
            assert!(matches!(error, Error::Path { .. }), "{path}: {error}");
        }
        let long = format!("a.slice:p:{}", "x".repeat(300));
        assert!(names(&long).is_err());
        let user = asked(None, "a+b", Bus::User).unwrap();
        assert_eq!(
            (user.unit.name.as_str(), user.slice.as_str()),
            ("ocirun-a\\x2bb.scope", "user.slice")
        );
    }

    fn directory(path: &str, bus: Bus, own: &str) -> PathBuf {
        let mountinfo = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(mountinfo, &format!("0::{own}\n"), "cpu").unwrap();
        let asked = asked(Some(path), "id", bus).unwrap();
        let paths = resolve(&layout, &asked, 1000).unwrap();
        paths.unified().unwrap().to_owned()
    }

    #[test]
    fn units_have_places() {
        let system = |path| directory(path, Bus::System, "/");
        assert_eq!(
            system("a-b-c.slice:p:x"),
            Path::new("/sys/fs/cgroup/a.slice/a-b.slice/a-b-c.slice/p-x.scope")
        );
        assert_eq!(system("-.slice:p:x"), Path::new("/sys/fs/cgroup/p-x.scope"));
        assert_eq!(
            system("a.slice:p:b-c.slice"),
            Path::new("/sys/fs/cgroup/b.slice/b-c.slice")
        );
        let user = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
        let expected = PathBuf::from(format!("{user}/user.slice/p-x.scope"));
        for own in [
            "/user.slice/user-1000.slice/session-3.scope",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
        ] {
            assert_eq!(directory(":p:x", Bus::User, own), expected, "{own}");
        }
        assert_eq!(
            directory(":p:x", Bus::User, "/odd/user@1000.service/a.scope"),
            Path::new("/sys/fs/cgroup/odd/user@1000.service/user.slice/p-x.scope")
        );
    }
}
