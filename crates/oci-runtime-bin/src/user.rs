//! `--user`: ids in digits, or an error. Whatever is cut short, wraps around or is made up on the way ends as somebody
//! else, and often as root (CVE-2026-30892, CVE-2024-40635).

use crate::failure::Failure;

/// A user id, and a group id where there is one: `uid[:gid]`.
pub(crate) fn parse(text: &str) -> Result<(u32, Option<u32>), Failure> {
    let fail = |reason| Failure::Flag {
        flag: "user",
        value: text.to_owned(),
        reason,
    };
    match text.split_once(':') {
        None => Ok((id(text).map_err(fail)?, None)),
        Some((uid, gid)) => Ok((id(uid).map_err(fail)?, Some(id(gid).map_err(fail)?))),
    }
}

/// One id. The kernel keeps the last number for "no change", so it is none.
pub(crate) fn id(text: &str) -> Result<u32, &'static str> {
    if text.is_empty() {
        return Err("an id is missing");
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an id must be a decimal number");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("an id must not begin with 0");
    }
    match text.parse() {
        Ok(id) if id < u32::MAX => Ok(id),
        _ => Err("an id must be less than 4294967295"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exact() {
        assert_eq!(parse("1").unwrap(), (1, None));
        assert_eq!(parse("1:2").unwrap(), (1, Some(2)));
        assert_eq!(parse("0").unwrap(), (0, None));
        assert_eq!(parse("0:0").unwrap(), (0, Some(0)));
        assert_eq!(parse("4294967294:10").unwrap(), (4294967294, Some(10)));
    }

    #[test]
    fn everything_else_is_an_error() {
        let texts = [
            "",
            ":",
            "1:",
            ":1",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x10",
            "01",
            "1:01",
            "1:2:3",
            "user",
            "user:group",
            "1:group",
            "4294967295",
            "4294967296",
            "18446744073709551617",
            "1\u{0661}",
            "1.0",
            "1e3",
            "1,2",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
