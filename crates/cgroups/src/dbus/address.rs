//! Where a bus listens: `unix:path=/run/dbus/system_bus_socket`, one or several of that kind with `;` in between, from the
//! environment or by convention ("Server Addresses" of the specification).

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::sys::socket::UnixAddr;
use serde::{Deserialize, Serialize};

/// One of the two buses that a system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// The machine's.
    System,
    /// The calling user's.
    User,
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bus::System => "system bus",
            Bus::User => "user bus",
        })
    }
}

/// The address of `bus`.
pub(super) fn of(bus: Bus) -> String {
    let text = |name| {
        env::var_os(name)
            .map(|value| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
    };
    match bus {
        Bus::System => text("DBUS_SYSTEM_BUS_ADDRESS")
            .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket".to_owned()),
        Bus::User => text("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| {
            let directory = text("XDG_RUNTIME_DIR")
                .unwrap_or_else(|| format!("/run/user/{}", nix::unistd::geteuid()));
            format!("unix:path={}/bus", escape(&directory))
        }),
    }
}

/// The sockets that an address names; those of other kinds are left out.
pub(super) fn sockets(address: &str) -> Result<Vec<UnixAddr>, Errno> {
    let mut found = Vec::new();
    for one in address.split(';') {
        let Some(pairs) = one.strip_prefix("unix:") else {
            continue;
        };
        for (key, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
            let value = unescape(value).ok_or(Errno::EINVAL)?;
            match key {
                "path" => found.push(UnixAddr::new(OsString::from_vec(value).as_os_str())?),
                "abstract" => found.push(UnixAddr::new_abstract(&value)?),
                _ => {}
            }
        }
    }
    match found.is_empty() {
        true => Err(Errno::EAFNOSUPPORT),
        false => Ok(found),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte)
}

fn escape(text: &str) -> String {
    let each = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    });
    each.collect()
}

fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            plain.push(*first);
            continue;
        }
        let (digits, after) = tail.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        plain.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let path = |text: &str| UnixAddr::new(text).unwrap();
        let cases = [
            ("unix:path=/run/bus", vec![path("/run/bus")]),
            ("unix:path=/run/a%20b,guid=0123", vec![path("/run/a b")]),
            (
                "tcp:host=x,port=1;unix:abstract=/tmp/x",
                vec![UnixAddr::new_abstract(b"/tmp/x").unwrap()],
            ),
            ("unix:path=/a;unix:path=/b", vec![path("/a"), path("/b")]),
        ];
        for (text, expected) in cases {
            assert_eq!(sockets(text), Ok(expected), "{text}");
        }
        for (text, errno) in [
            ("unix:path=%2", Errno::EINVAL),
            ("unix:path=%zz", Errno::EINVAL),
            ("tcp:host=x", Errno::EAFNOSUPPORT),
            ("", Errno::EAFNOSUPPORT),
        ] {
            assert_eq!(sockets(text), Err(errno), "{text}");
        }
    }

    #[test]
    fn what_is_escaped_is_read_again() {
        let odd = "/run/user/1000 ,;=%é";
        let escaped = escape(odd);
        assert!(!escaped.contains([' ', ',', ';', '=']), "{escaped}");
        assert_eq!(unescape(&escaped).unwrap(), odd.as_bytes());
    }
}
