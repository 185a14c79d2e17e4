//! Names of users from passwd(5). The C library would load modules for that, which a static program cannot.

/// The contents of /etc/passwd.
#[derive(Debug, Default)]
pub(crate) struct Passwd(String);

impl Passwd {
    /// Reads the file; without one nobody has a name.
    pub fn read() -> Passwd {
        let bytes = std::fs::read("/etc/passwd").unwrap_or_default();
        Passwd(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The name of a user, or `#uid`.
    pub fn name(&self, uid: u32) -> String {
        let name = self.0.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
        });
        name.unwrap_or_else(|| format!("#{uid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_an_entry_is_a_number() {
        let passwd =
            Passwd("root:x:0:0:root:/root:/bin/sh\n# c\nbroken\nu:x:1000:1000::/:\n".into());
        assert_eq!(passwd.name(0), "root");
        assert_eq!(passwd.name(1000), "u");
        assert_eq!(passwd.name(1), "#1");
    }
}
