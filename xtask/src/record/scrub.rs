//! What is taken out of a record, by these rules: directories of the recording become what they stand for; hexadecimal ids of
//! 64 digits are numbered in the order in which they come, and so are the 12 digits that stand for one and identifiers of
//! 25 letters and digits; the numbers of temporary directories become zeros, the pid in a path of procfs becomes 1, and a
//! moment becomes the beginning of 2026. All else is as the engine wrote it.

/// Scrubs the text of a record; `maps` are directories and what they become.
pub fn scrub(text: &str, maps: &[(String, String)]) -> String {
    let mut text = text.trim_end().to_owned();
    for (from, to) in maps {
        text = text.replace(from, to);
    }
    let mut ids: Vec<&str> = Vec::new();
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if let Some(after) = moment(rest) {
            scrubbed.push_str("2026-01-01T00:00:00Z");
            rest = after;
            continue;
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length == 0 {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            scrubbed.push_str(&rest[..first]);
            rest = &rest[first..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        let pid = scrubbed.ends_with("\"/proc/") && after.starts_with('/') && is_number(word);
        match pid {
            true => scrubbed.push('1'),
            false => scrubbed.push_str(&replacement(word, &mut ids)),
        }
        rest = after;
    }
    scrubbed + "\n"
}

fn replacement<'t>(word: &'t str, ids: &mut Vec<&'t str>) -> String {
    let is_hex = word
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_lower = word
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'));
    let mixed = word.bytes().any(|byte| byte.is_ascii_digit()) && !is_number(word);
    let is_id = match word.len() {
        64 => is_hex,
        12 => is_hex && mixed,
        25 => is_lower && mixed,
        _ => false,
    };
    if is_id {
        // The short form is the beginning of the long one, which may come first or last.
        let same = |known: &&&str| known.starts_with(word) || word.starts_with(**known);
        let known = ids.iter().find(same).copied();
        let number = ids.iter().position(|id| Some(*id) == known);
        let number = number.unwrap_or_else(|| {
            ids.push(word);
            ids.len() - 1
        });
        // Numbered at the front, so that the short form still is the beginning of the long one.
        return format!(
            "{:0<width$}",
            format!("{:012x}", number + 1),
            width = word.len()
        );
    }
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - letters.len();
    match digits >= 8
        && !letters.is_empty()
        && letters.bytes().all(|byte| byte.is_ascii_lowercase())
    {
        true => format!("{letters}{}", "0".repeat(digits)),
        false => word.to_owned(),
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What follows a moment as RFC 3339 writes it.
fn moment(text: &str) -> Option<&str> {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let start = text.as_bytes().get(..FORM.len())?;
    let fits = start.iter().zip(FORM).all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    let rest = &text[if fits { FORM.len() } else { return None }..];
    let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    rest.strip_prefix('Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_pids_moments_and_directories_are_nobodys() {
        let [one, two] = ["ab12cd34ef560".repeat(5), "9".repeat(64)];
        let one = &one[..64];
        let text = format!(
            r#"{{"a":"/rec/x/{one}/{two}","host":"{}","c":"/proc/4711/ns/net","t":"2026-11-21T18:28:36.4Z","u":"tmp/buildah3516302778","v":"syscall1024 x86_64 {one}","n":123456789012}}"#,
            &one[..12]
        );
        let maps = [("/rec/".to_owned(), "/var/lib/".to_owned())];
        let ids = [1, 2].map(|number| format!("00000000000{number}{}", "0".repeat(52)));
        let expected = format!(
            r#"{{"a":"/var/lib/x/{0}/{1}","host":"000000000001","c":"/proc/1/ns/net","t":"2026-01-01T00:00:00Z","u":"tmp/buildah0000000000","v":"syscall1024 x86_64 {0}","n":123456789012}}"#,
            ids[0], ids[1]
        );
        assert_eq!(scrub(&text, &maps).trim_end(), expected);
    }
}
