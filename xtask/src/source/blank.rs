//! Rust text with everything blanked out (by spaces; lines stay) in which a word means nothing to the checks: comments,
//! string and character literals, and items under `#[cfg(test)]`.

/// Blanks comments and literals.
pub fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        match end > at + 1 {
            true => out.extend(
                bytes[at..end]
                    .iter()
                    .map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }),
            ),
            false => out.push(bytes[at]),
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Blanks the items that `#[cfg(test)]` stands before, up to their closing brace or semicolon. Expects text from
/// [`blank_literals`].
pub fn blank_tests(text: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(start) = out[from..].find(ATTRIBUTE).map(|offset| from + offset) {
        let end = item_end(out.as_bytes(), start + ATTRIBUTE.len());
        let blanked: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blanked);
        from = start;
    }
    out
}

/// The end of the comment or literal that starts at `at`, or `at + 1` when none does.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => {
            at + rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len())
        }
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        [b'\'', ..] => at + character(rest).unwrap_or(1),
        [b'r', b'"' | b'#', ..] if !word_before => at + raw_string(rest, 1).unwrap_or(1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !word_before => {
            at + raw_string(rest, 2).unwrap_or(1)
        }
        _ => at + 1,
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (1, 2);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += 1 + usize::from(rest[at] == b'\\');
    }
    (at + 1).min(rest.len())
}

/// `'x'` is a literal, `'x` a lifetime: the character between may be several bytes long.
fn character(rest: &[u8]) -> Option<usize> {
    let close = rest
        .iter()
        .skip(1)
        .take(5)
        .position(|byte| *byte == b'\'')?
        + 1;
    let one = std::str::from_utf8(&rest[1..close]).ok()?.chars().count() == 1;
    one.then_some(close + 1)
}

/// `r"..."` and `r##"..."##`; `r#name` is an identifier.
fn raw_string(rest: &[u8], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let start = prefix + hashes;
    if rest.get(start) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = &rest[start + 1..];
    let length = body.windows(close.len()).position(|window| window == close);
    Some(length.map_or(rest.len(), |length| start + 1 + length + close.len()))
}

/// Past the item that starts at `from`: its matching closing brace, or a semicolon before any brace.
fn item_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in bytes[from..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return from + offset + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return from + offset + 1,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' 'life r#\"j\"k\"# br\"l\" r#type b\"m\" c'\u{e9}'";
        let words: Vec<String> = blank_literals(text)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        assert_eq!(words, ["a", "f", "'life", "r#type", "b", "c"]);
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = "x /* 1\n2\n*/ \"a\nb\" y\nz";
        assert_eq!(blank_literals(text).lines().count(), text.lines().count());
    }

    #[test]
    fn only_the_item_under_test_vanishes() {
        let text = "use a;\n#[cfg(test)]\nuse b;\nfn c() {}\n#[cfg(test)]\nmod tests { fn d() { {} } }\nfn e() {}\n";
        let words: String = blank_tests(text).split_whitespace().collect();
        assert_eq!(words, "usea;fnc(){}fne(){}");
    }
}
