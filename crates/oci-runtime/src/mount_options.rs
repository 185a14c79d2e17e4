//! Mount options: fstab(5) words to what the kernel is asked for. One word can mean an attribute of the mount
//! (mount_setattr(2)), a flag of the superblock (fsconfig(2)), a propagation change, a bind, or something the runtime
//! itself does; the table says which. All other words belong to the filesystem.
//!
//! `ro` and `rw` are both: on a new filesystem mount(2) makes the superblock as well as the mount read-only, and that is
//! what other runtimes pass it on as, so both are recorded here; on a bind mount only the attribute counts, because the
//! superblock belongs to others. A read-only superblock also refuses the making of mount points inside of it.
//!
//! Later words win over earlier ones of the same group. The words with an `r` before them act on the whole tree of a
//! recursive bind mount; a superblock has no tree, so for its flags that letter changes nothing.

use bitflags::bitflags;

/// The attribute bits that one access time mode out of three lives in; clear them all before setting one.
pub const ATIME: u64 = libc::MOUNT_ATTR__ATIME;

/// What the options of one mount add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions<'a> {
    /// Attributes to set, `MOUNT_ATTR_*`, disjoint from `attr_clr` but for access times.
    pub attr_set: u64,
    /// Attributes to clear. Holds all of [`ATIME`] when an access time mode is asked for.
    pub attr_clr: u64,
    /// Attributes to set on every mount of the tree.
    pub recursive_attr_set: u64,
    /// Attributes to clear on every mount of the tree.
    pub recursive_attr_clr: u64,
    /// Flags to give to a new superblock, by their name for FSCONFIG_SET_FLAG.
    pub sb_flags: Vec<&'static str>,
    /// Propagation changes in order.
    pub propagation: Vec<Propagation>,
    /// Whether it is a bind mount, and then if of a whole tree (`rbind`).
    pub bind: Option<bool>,
    /// Whether to change a mount that exists.
    pub remount: bool,
    /// What goes to the filesystem: a key and, after the first `=`, its value.
    pub data: Vec<(&'a str, Option<&'a str>)>,
    /// Whether ids are mapped, on the mount or on its whole tree, and the mapping written after `=`.
    pub idmap: Option<IdMap<'a>>,
    /// What the runtime does besides mounting.
    pub extras: Extras,
    /// Words that are valid and that mount(2) takes, yet for which the newer calls have nothing to ask.
    pub without_effect: Vec<&'static str>,
}

/// One change of propagation, see mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE` or `MS_UNBINDABLE`.
    pub flag: u64,
    /// Whether the mounts below change too.
    pub recursive: bool,
}

/// A request for an idmapped mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap<'a> {
    /// Whether the mounts below are mapped too (`ridmap`).
    pub recursive: bool,
    /// The ranges given in the option itself; without, those of the mount or of the user namespace apply.
    pub ranges: Option<&'a str>,
}

bitflags! {
    /// Options that no system call knows.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Extras: u8 {
        /// Copy what is under the mount point into the new tmpfs.
        const TMPCOPYUP = 1;
        /// Where the source is a symbolic link, make that link instead of a mount.
        const COPY_SYMLINK = 1 << 1;
        /// Bind a source that is a symbolic link itself, not its target.
        const SRC_NOFOLLOW = 1 << 2;
        /// Mount over a symbolic link at the destination itself.
        const DEST_NOFOLLOW = 1 << 3;
    }
}

/// Adds up the options of one mount. Every list is valid: what is not in the table is the filesystem's to judge.
pub fn parse<'a, S: AsRef<str>>(options: &'a [S]) -> MountOptions<'a> {
    let mut all = MountOptions::default();
    for option in options {
        apply(&mut all, option.as_ref());
    }
    all
}

/// The propagation that `linux.rootfsPropagation` or a mount option names.
pub fn propagation(name: &str) -> Option<Propagation> {
    match effect(name) {
        Some(Effect::Propagation(flag, recursive)) => Some(Propagation { flag, recursive }),
        _ => None,
    }
}

/// File systems whose parameters these are not. With mount(2) the first is a flag, which changes nothing: whether there are
/// access control lists is settled when the kernel is built.
pub(crate) fn has_no_acl_parameter(kind: &str) -> bool {
    ["devpts", "mqueue", "proc", "sysfs", "tmpfs"].contains(&kind)
}

/// Whether a word is about access control lists.
pub(crate) fn is_acl(word: &str) -> bool {
    ["acl", "noacl"].contains(&word)
}

/// All words of the table, for `features`.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

#[derive(Debug, Clone, Copy)]
enum Effect {
    Nothing,
    Ignored,
    /// Attribute, recursive.
    Set(u64, bool),
    Clear(u64, bool),
    /// Access time mode, recursive.
    Atime(u64, bool),
    NoAtime(u64, bool),
    /// Superblock flag, on or off.
    Superblock(&'static str, bool),
    /// Read-only or not: attribute and superblock.
    ReadOnly(bool),
    Propagation(u64, bool),
    Bind(bool),
    Remount,
    IdMap(bool),
    Extra(Extras),
}

use Effect::{
    Atime, Bind, Clear, Extra, IdMap as Map, Ignored, NoAtime, Nothing, Propagation as Propagate,
    ReadOnly, Remount, Set, Superblock,
};
use libc::{
    MOUNT_ATTR_NOATIME as NOATIME, MOUNT_ATTR_NODEV as NODEV, MOUNT_ATTR_NODIRATIME as NODIRATIME,
    MOUNT_ATTR_NOEXEC as NOEXEC, MOUNT_ATTR_NOSUID as NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW as NOSYMFOLLOW, MOUNT_ATTR_RDONLY as RDONLY,
    MOUNT_ATTR_RELATIME as RELATIME, MOUNT_ATTR_STRICTATIME as STRICTATIME,
};

/// config.md, "Linux mount options", and what crun adds, sorted by name (which the compiler checks below). `silent` only hushes the kernel log and `iversion` is up to
/// each filesystem by now: fsconfig(2) has no flag for either.
const OPTIONS: &[(&str, Effect)] = &[
    ("async", Superblock("sync", false)),
    ("atime", NoAtime(NOATIME, false)),
    ("bind", Bind(false)),
    ("copy-symlink", Extra(Extras::COPY_SYMLINK)),
    ("defaults", Nothing),
    ("dest-nofollow", Extra(Extras::DEST_NOFOLLOW)),
    ("dev", Clear(NODEV, false)),
    ("diratime", Clear(NODIRATIME, false)),
    ("dirsync", Superblock("dirsync", true)),
    ("exec", Clear(NOEXEC, false)),
    ("idmap", Map(false)),
    ("iversion", Ignored),
    ("lazytime", Superblock("lazytime", true)),
    ("loud", Nothing),
    ("mand", Superblock("mand", true)),
    ("noatime", Atime(NOATIME, false)),
    ("nodev", Set(NODEV, false)),
    ("nodiratime", Set(NODIRATIME, false)),
    ("noexec", Set(NOEXEC, false)),
    ("noiversion", Nothing),
    ("nolazytime", Superblock("lazytime", false)),
    ("nomand", Superblock("mand", false)),
    ("norelatime", NoAtime(RELATIME, false)),
    ("nostrictatime", NoAtime(STRICTATIME, false)),
    ("nosuid", Set(NOSUID, false)),
    ("nosymfollow", Set(NOSYMFOLLOW, false)),
    ("private", Propagate(libc::MS_PRIVATE, false)),
    ("rasync", Superblock("sync", false)),
    ("ratime", NoAtime(NOATIME, true)),
    ("rbind", Bind(true)),
    ("rdev", Clear(NODEV, true)),
    ("rdiratime", Clear(NODIRATIME, true)),
    ("rdirsync", Superblock("dirsync", true)),
    ("relatime", Atime(RELATIME, false)),
    ("remount", Remount),
    ("rexec", Clear(NOEXEC, true)),
    ("ridmap", Map(true)),
    ("rmand", Superblock("mand", true)),
    ("rnoatime", Atime(NOATIME, true)),
    ("rnodev", Set(NODEV, true)),
    ("rnodiratime", Set(NODIRATIME, true)),
    ("rnoexec", Set(NOEXEC, true)),
    ("rnomand", Superblock("mand", false)),
    ("rnorelatime", NoAtime(RELATIME, true)),
    ("rnostrictatime", NoAtime(STRICTATIME, true)),
    ("rnosuid", Set(NOSUID, true)),
    ("rnosymfollow", Set(NOSYMFOLLOW, true)),
    ("ro", ReadOnly(true)),
    ("rprivate", Propagate(libc::MS_PRIVATE, true)),
    ("rrelatime", Atime(RELATIME, true)),
    ("rro", Set(RDONLY, true)),
    ("rrw", Clear(RDONLY, true)),
    ("rshared", Propagate(libc::MS_SHARED, true)),
    ("rslave", Propagate(libc::MS_SLAVE, true)),
    ("rstrictatime", Atime(STRICTATIME, true)),
    ("rsuid", Clear(NOSUID, true)),
    ("rsymfollow", Clear(NOSYMFOLLOW, true)),
    ("rsync", Superblock("sync", true)),
    ("runbindable", Propagate(libc::MS_UNBINDABLE, true)),
    ("rw", ReadOnly(false)),
    ("shared", Propagate(libc::MS_SHARED, false)),
    ("silent", Ignored),
    ("slave", Propagate(libc::MS_SLAVE, false)),
    ("src-nofollow", Extra(Extras::SRC_NOFOLLOW)),
    ("strictatime", Atime(STRICTATIME, false)),
    ("suid", Clear(NOSUID, false)),
    ("symfollow", Clear(NOSYMFOLLOW, false)),
    ("sync", Superblock("sync", true)),
    ("tmpcopyup", Extra(Extras::TMPCOPYUP)),
    ("unbindable", Propagate(libc::MS_UNBINDABLE, false)),
];

fn effect(name: &str) -> Option<Effect> {
    known(name).map(|(_, effect)| *effect)
}

fn known(name: &str) -> Option<&'static (&'static str, Effect)> {
    let at = KEYS.binary_search(&key(name)?).ok()?;
    OPTIONS.get(at)
}

/// The names as numbers, which are quicker to compare, in the same order.
const KEYS: [u128; OPTIONS.len()] = {
    let mut keys = [0; OPTIONS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = match key(OPTIONS[at].0) {
            Some(key) => key,
            None => panic!("a name of the table is too long"),
        };
        assert!(at == 0 || keys[at - 1] < keys[at], "the table is sorted");
        at += 1;
    }
    keys
};

/// `None` for what is longer than any name of the table, or has a NUL in it, which no name has.
const fn key(name: &str) -> Option<u128> {
    let bytes = name.as_bytes();
    if bytes.len() > 16 {
        return None;
    }
    let mut key = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == 0 {
            return None;
        }
        key |= (bytes[at] as u128) << (120 - 8 * at);
        at += 1;
    }
    Some(key)
}

fn apply<'a>(all: &mut MountOptions<'a>, option: &'a str) {
    let Some((name, effect)) = known(option) else {
        return apply_unknown(all, option);
    };
    match *effect {
        Nothing => {}
        Ignored => all.without_effect.push(name),
        Set(attribute, recursive) => all.change(attribute, attribute, recursive),
        Clear(attribute, recursive) => all.change(0, attribute, recursive),
        Atime(mode, recursive) => all.change(mode, ATIME, recursive),
        NoAtime(mode, recursive) => all.leave_atime(mode, recursive),
        Superblock(flag, on) => all.superblock(flag, on),
        ReadOnly(on) => {
            all.change(if on { RDONLY } else { 0 }, RDONLY, false);
            all.superblock("ro", on);
        }
        Propagate(flag, recursive) => all.propagation.push(Propagation { flag, recursive }),
        Bind(recursive) => all.bind = Some(all.bind.unwrap_or(false) || recursive),
        Remount => all.remount = true,
        Map(recursive) => {
            all.idmap = Some(IdMap {
                recursive,
                ranges: None,
            })
        }
        Extra(extra) => all.extras |= extra,
    }
}

fn apply_unknown<'a>(all: &mut MountOptions<'a>, option: &'a str) {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    match effect(key) {
        Some(Map(recursive)) => {
            all.idmap = Some(IdMap {
                recursive,
                ranges: value,
            })
        }
        _ if option.is_empty() => {}
        _ => all.data.push((key, value)),
    }
}

impl MountOptions<'_> {
    /// Replaces the bits of `mask` by those of `set`.
    fn change(&mut self, set: u64, mask: u64, recursive: bool) {
        let (attr_set, attr_clr) = self.attributes(recursive);
        *attr_set = *attr_set & !mask | set;
        // The kernel wants the whole of the access time bits cleared, even those that are set again.
        *attr_clr = *attr_clr & !mask | if mask == ATIME { ATIME } else { mask & !set };
    }

    /// Takes back one access time mode: what remains then is the default, `relatime`.
    fn leave_atime(&mut self, mode: u64, recursive: bool) {
        let (attr_set, attr_clr) = self.attributes(recursive);
        if *attr_clr & ATIME == 0 || *attr_set & ATIME == mode {
            self.change(RELATIME, ATIME, recursive);
        }
    }

    fn attributes(&mut self, recursive: bool) -> (&mut u64, &mut u64) {
        if recursive {
            (&mut self.recursive_attr_set, &mut self.recursive_attr_clr)
        } else {
            (&mut self.attr_set, &mut self.attr_clr)
        }
    }

    fn superblock(&mut self, flag: &'static str, on: bool) {
        self.sb_flags.retain(|other| *other != flag);
        if on {
            self.sb_flags.push(flag);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn attributes_add_up_and_the_last_word_wins() {
        let cases: [(&[&str], [u64; 4]); 14] = [
            (
                &["nosuid", "nodev", "noexec"],
                [NOSUID | NODEV | NOEXEC, 0, 0, 0],
            ),
            (&["nosuid", "suid"], [0, NOSUID, 0, 0]),
            (&["suid", "nosuid"], [NOSUID, 0, 0, 0]),
            (&["ro"], [RDONLY, 0, 0, 0]),
            (&["ro", "rw"], [0, RDONLY, 0, 0]),
            (&["rro", "rnosuid", "rw"], [0, RDONLY, RDONLY | NOSUID, 0]),
            (&["rro", "rrw"], [0, 0, 0, RDONLY]),
            (&["noatime"], [NOATIME, ATIME, 0, 0]),
            (&["noatime", "strictatime"], [STRICTATIME, ATIME, 0, 0]),
            (&["noatime", "atime"], [RELATIME, ATIME, 0, 0]),
            (&["strictatime", "atime"], [STRICTATIME, ATIME, 0, 0]),
            (
                &["rrelatime", "nodiratime"],
                [NODIRATIME, 0, RELATIME, ATIME],
            ),
            (
                &["nosymfollow", "rsymfollow"],
                [NOSYMFOLLOW, 0, 0, NOSYMFOLLOW],
            ),
            (&["defaults", "loud", "noiversion"], [0; 4]),
        ];
        for (options, expected) in cases {
            let all = parse(options);
            let found = [
                all.attr_set,
                all.attr_clr,
                all.recursive_attr_set,
                all.recursive_attr_clr,
            ];
            assert_eq!(found, expected, "{options:?}");
            assert_eq!((all.data, all.bind), (vec![], None), "{options:?}");
        }
    }

    #[test]
    fn superblock_flags_are_those_that_remain() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&["ro", "sync", "dirsync"], &["ro", "sync", "dirsync"]),
            (&["sync", "async", "ro", "rw"], &[]),
            (&["lazytime", "mand", "nomand"], &["lazytime"]),
            (&["sync", "sync"], &["sync"]),
            (&["rsync", "rdirsync", "rasync"], &["dirsync"]),
        ];
        for (options, expected) in cases {
            assert_eq!(parse(options).sb_flags, expected, "{options:?}");
        }
    }

    #[test]
    fn binds_and_propagation() {
        let all = parse(&["rbind", "bind", "rslave", "private"]);
        assert_eq!(all.bind, Some(true));
        let expected = [
            Propagation {
                flag: libc::MS_SLAVE,
                recursive: true,
            },
            Propagation {
                flag: libc::MS_PRIVATE,
                recursive: false,
            },
        ];
        assert_eq!(all.propagation, expected);
        assert_eq!(parse(&["bind"]).bind, Some(false));
        assert_eq!(
            propagation("rshared"),
            Some(Propagation {
                flag: libc::MS_SHARED,
                recursive: true
            })
        );
        assert_eq!(propagation("ro"), None);
    }

    #[test]
    fn other_words_are_the_filesystems() {
        let all = parse(&[
            "mode=755",
            "size=65536k",
            "newinstance",
            "context=a=b",
            "",
            "=x",
            "RO",
        ]);
        let expected = [
            ("mode", Some("755")),
            ("size", Some("65536k")),
            ("newinstance", None),
            ("context", Some("a=b")),
            ("", Some("x")),
            ("RO", None),
        ];
        assert_eq!(all.data, expected);
        assert_eq!((all.attr_set, all.sb_flags.len()), (0, 0));
    }

    #[test]
    fn what_the_runtime_does_itself() {
        let all = parse(&[
            "tmpcopyup",
            "copy-symlink",
            "src-nofollow",
            "dest-nofollow",
            "remount",
            "silent",
            "iversion",
        ]);
        assert_eq!(all.extras, Extras::all());
        assert!(all.remount);
        assert_eq!(all.without_effect, ["silent", "iversion"]);
        assert_eq!(
            parse(&["idmap"]).idmap,
            Some(IdMap {
                recursive: false,
                ranges: None
            })
        );
        let ranges = Some("uids=0-1-10");
        assert_eq!(
            parse(&["ridmap=uids=0-1-10"]).idmap,
            Some(IdMap {
                recursive: true,
                ranges
            })
        );
    }

    /// The words that config.md lists, and the extras, are all there, once.
    #[test]
    fn the_table_is_complete() {
        let listed: BTreeSet<&str> = names().collect();
        assert_eq!(listed.len(), OPTIONS.len());
        let recursive = [
            "rro",
            "rrw",
            "ratime",
            "rnoatime",
            "rdiratime",
            "rnodiratime",
            "rrelatime",
            "rnorelatime",
        ];
        let plain = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
                     nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow \
                     private rbind relatime remount ro rprivate rshared rslave runbindable rw shared silent slave \
                     strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap rdev rnodev rexec rnoexec \
                     rsuid rnosuid rsymfollow rnosymfollow rstrictatime rnostrictatime";
        let missing: Vec<&str> = plain
            .split_whitespace()
            .chain(recursive)
            .filter(|name| !listed.contains(name))
            .collect();
        assert_eq!(missing, [""; 0]);
    }
}
