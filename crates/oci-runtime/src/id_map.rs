//! Idmapped mounts (mount_setattr(2), "ID-mapped mounts"): which ids of the files a mount shows as which others.
//!
//! The maps are the mount's own (`uidMappings` and `gidMappings`), or stand in its option, as
//! `idmap=uids=0-1000-10#10-2000-5;gids=0-100-10`: first id of the file system, first id that is shown, how many. With `@` before a range
//! the second id is one of the container's user namespace. Without any, the mount has the maps of that namespace.

use crate::mount_options::MountOptions;
use crate::spec::{IdMapping, Linux, Mount};

/// What an idmapped mount takes its maps from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IdMap {
    /// These, of user and of group ids.
    Maps(Vec<IdMapping>, Vec<IdMapping>),
    /// The user namespace that the container joins.
    Joined,
}

/// Why there are no maps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message of each variant is its documentation"
)]
pub enum NoMap {
    #[error("uidMappings and gidMappings are only of use together")]
    OneOnly,
    #[error("there is no user namespace with mappings that it could take")]
    NoContainerMap,
    #[error("{0:?} is not of the form idmap=uids=0-1000-10#10-2000-5;gids=0-100-10")]
    NotRanges(String),
    #[error("id {0} is not mapped into the user namespace")]
    Unmapped(u32),
    #[error("{0} ids from {1} go beyond the highest id (4294967294)")]
    Overflow(u32, u32),
}

/// The maps that a mount asks for, `None` where it is not to be idmapped; or the member of the mount that asks in vain.
pub(crate) fn of(
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
    linux: &Linux<'_>,
) -> Result<Option<IdMap>, (&'static str, NoMap)> {
    let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
    match (uids.is_empty(), gids.is_empty()) {
        (false, false) => return Ok(Some(IdMap::Maps(uids.clone(), gids.clone()))),
        (true, false) => return Err(("uidMappings", NoMap::OneOnly)),
        (false, true) => return Err(("gidMappings", NoMap::OneOnly)),
        (true, true) => {}
    }
    let Some(asked) = options.idmap else {
        return Ok(None);
    };
    let found = match asked.ranges {
        Some(ranges) => written(ranges, linux),
        None => of_container(linux),
    };
    found.map(Some).map_err(|fault| ("options", fault))
}

fn of_container(linux: &Linux<'_>) -> Result<IdMap, NoMap> {
    match linux.namespace("user") {
        Some(namespace) if !namespace.path.is_empty() => Ok(IdMap::Joined),
        Some(_) if !linux.uid_mappings.is_empty() => Ok(IdMap::Maps(
            linux.uid_mappings.clone(),
            linux.gid_mappings.clone(),
        )),
        _ => Err(NoMap::NoContainerMap),
    }
}

/// The value of the option.
fn written(value: &str, linux: &Linux<'_>) -> Result<IdMap, NoMap> {
    let wrong = || NoMap::NotRanges(value.into());
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for part in value.split(';') {
        let (name, ranges) = part.split_once('=').ok_or_else(wrong)?;
        let (map, container) = match name {
            "uids" => (&mut uids, &linux.uid_mappings),
            "gids" => (&mut gids, &linux.gid_mappings),
            _ => return Err(wrong()),
        };
        for range in ranges.split('#') {
            let (relative, range) = match range.strip_prefix('@') {
                Some(range) => (true, range),
                None => (false, range),
            };
            let range = triplet(range).ok_or_else(wrong)?;
            if relative {
                translate(range, container, map)?;
            } else {
                map.push(range);
            }
        }
    }
    Ok(IdMap::Maps(uids, gids))
}

fn triplet(text: &str) -> Option<IdMapping> {
    let mut numbers = text.split('-').map(|number| number.parse().ok());
    let mapping = IdMapping {
        container_id: numbers.next()??,
        host_id: numbers.next()??,
        size: numbers.next()??,
    };
    numbers.next().is_none().then_some(mapping)
}

/// Appends a range whose second id is the container's, by the parts of the container's own ranges that it covers.
fn translate(
    mut range: IdMapping,
    container: &[IdMapping],
    map: &mut Vec<IdMapping>,
) -> Result<(), NoMap> {
    if container.is_empty() {
        return Err(NoMap::NoContainerMap);
    }
    while range.size > 0 {
        let within = |own: &&IdMapping| {
            range.host_id >= own.container_id && range.host_id - own.container_id < own.size
        };
        let Some(own) = container.iter().find(within) else {
            return Err(NoMap::Unmapped(range.host_id));
        };
        let offset = range.host_id - own.container_id;
        let size = range.size.min(own.size - offset);
        let add =
            |first: u32, count: u32| first.checked_add(count).ok_or(NoMap::Overflow(size, first));
        map.push(IdMapping {
            host_id: add(own.host_id, offset)?,
            size,
            ..range
        });
        range = IdMapping {
            container_id: add(range.container_id, size)?,
            host_id: add(range.host_id, size)?,
            size: range.size - size,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u32, u32, u32)]) -> Vec<IdMapping> {
        let mapping = |&(container_id, host_id, size): &(u32, u32, u32)| IdMapping {
            container_id,
            host_id,
            size,
        };
        ranges.iter().map(mapping).collect()
    }

    #[test]
    fn an_option_says_ranges() {
        let linux = Linux {
            uid_mappings: map(&[(0, 1000, 1), (1, 5000, 10)]),
            ..Linux::default()
        };
        let wrong = |text: &str| Err(NoMap::NotRanges(text.into()));
        let maps = |uids: &[(u32, u32, u32)], gids: &[(u32, u32, u32)]| {
            Ok(IdMap::Maps(map(uids), map(gids)))
        };
        let cases = [
            (
                "uids=0-1-10#10-11-10;gids=0-100-10",
                maps(&[(0, 1, 10), (10, 11, 10)], &[(0, 100, 10)]),
            ),
            ("gids=0-0-1", maps(&[], &[(0, 0, 1)])),
            ("uids=@7-1-3#0-9-1", maps(&[(7, 5000, 3), (0, 9, 1)], &[])),
            // One that goes over the border of two ranges becomes two.
            ("uids=@7-0-3", maps(&[(7, 1000, 1), (8, 5000, 2)], &[])),
            ("uids=@0-5-20", Err(NoMap::Unmapped(11))),
            ("gids=@0-0-1", Err(NoMap::NoContainerMap)),
            ("", wrong("")),
            ("uids=", wrong("uids=")),
            ("uids=0-1", wrong("uids=0-1")),
            ("uids=0-1-2-3", wrong("uids=0-1-2-3")),
            ("uids=0-1-4294967296", wrong("uids=0-1-4294967296")),
            ("uids=0-1-x", wrong("uids=0-1-x")),
            ("pids=0-1-1", wrong("pids=0-1-1")),
            ("uids=0-1-1;", wrong("uids=0-1-1;")),
        ];
        for (text, expected) in cases {
            assert_eq!(written(text, &linux), expected, "{text}");
        }
    }
}
