//! The paths that Rust text names: those of its `use` declarations, with the name that each is bound to, and those in
//! its code. Expects text without comments, literals and tests.

/// A path as it is written, but without braces: `["crate", "a", "B"]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    pub segments: Vec<String>,
    /// In a `use`: the name that the path gets in this module; `None` for a glob and outside of a `use`.
    pub bound: Option<String>,
    /// From a `pub use`: a name that is passed on, which is not yet a use of it.
    pub passed_on: bool,
}

/// Every path in `code` that has more than one segment, and all of `use` declarations.
pub fn paths(code: &str) -> Vec<Path> {
    let words = words(code);
    let mut found = Vec::new();
    let mut index = 0;
    while index < words.len() {
        let before = index.checked_sub(1).map_or("", |before| words[before]);
        if words[index] == "use" && !matches!(before, "+" | ":" | ",") {
            let mut declared = Vec::new();
            index = tree(&words, index + 1, &[], &mut declared);
            let passed_on = matches!(before, "pub" | ")");
            found.extend(declared.into_iter().map(|path| Path { passed_on, ..path }));
        } else if is_name(words[index])
            && !matches!(before, "::" | ".")
            && words.get(index + 1) == Some(&"::")
        {
            let start = index;
            while words.get(index + 1) == Some(&"::")
                && words.get(index + 2).is_some_and(|word| is_name(word))
            {
                index += 2;
            }
            let segments = words[start..=index]
                .iter()
                .filter(|word| **word != "::")
                .map(|word| (*word).to_owned());
            found.push(Path {
                segments: segments.collect(),
                bound: None,
                passed_on: false,
            });
            index += 1;
        } else {
            index += 1;
        }
    }
    found
}

/// How often `name` stands in `code` as a word.
pub fn occurrences(code: &str, name: &str) -> usize {
    words(code).into_iter().filter(|word| *word == name).count()
}

/// Reads one branch of a `use` from `index`, below the path `base`; gives the index behind it.
fn tree(words: &[&str], mut index: usize, base: &[String], found: &mut Vec<Path>) -> usize {
    let mut segments = base.to_vec();
    loop {
        match words.get(index).copied() {
            Some("::") => index += 1,
            Some("{") => return branches(words, index + 1, &segments, found),
            Some("*") => {
                found.push(Path {
                    segments,
                    bound: None,
                    passed_on: false,
                });
                return index + 1;
            }
            Some(word) if is_name(word) => {
                // `a::{self}` is a itself.
                if word != "self" || segments.is_empty() {
                    segments.push(word.to_owned());
                }
                index += 1;
                if words.get(index) != Some(&"::") {
                    return leaf(words, index, segments, found);
                }
            }
            _ => return index + 1,
        }
    }
}

fn branches(words: &[&str], mut index: usize, base: &[String], found: &mut Vec<Path>) -> usize {
    while index < words.len() && words[index] != "}" {
        index = match words[index] {
            "," => index + 1,
            _ => tree(words, index, base, found),
        };
    }
    index + 1
}

/// The end of a branch, which may have another name behind `as`.
fn leaf(words: &[&str], index: usize, segments: Vec<String>, found: &mut Vec<Path>) -> usize {
    let renamed = words.get(index) == Some(&"as");
    let bound = match renamed {
        true => words.get(index + 1).map(|name| (*name).to_owned()),
        false => segments.last().cloned(),
    };
    found.push(Path {
        segments,
        bound,
        passed_on: false,
    });
    index + if renamed { 2 } else { 0 }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names and numbers, `::`, and every other character by itself.
fn words(code: &str) -> Vec<&str> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if in_name(first) => rest.find(|c| !in_name(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<String> {
        let show = |path: &Path| {
            let bound = path
                .bound
                .as_deref()
                .map(|name| format!(" as {name}"))
                .unwrap_or_default();
            format!(
                "{}{}{bound}",
                if path.passed_on { "pub " } else { "" },
                path.segments.join("::")
            )
        };
        paths(code).iter().map(show).collect()
    }

    #[test]
    fn a_use_is_spread_out_with_the_names_it_binds() {
        let code = "use crate::{a::{self, B as C}, d::*}; pub(crate) use super::E; pub use f;";
        let expected = [
            "crate::a as a",
            "crate::a::B as C",
            "crate::d",
            "pub super::E as E",
            "pub f as f",
        ];
        assert_eq!(texts(code), expected);
    }

    #[test]
    fn paths_in_code_are_found_and_single_names_are_not() {
        let code = "fn f(a: crate::b::C) -> D { super::e::g::<H>(x.y) + i }";
        assert_eq!(texts(code), ["crate::b::C", "super::e::g"]);
    }

    #[test]
    fn occurrences_are_of_whole_words() {
        assert_eq!(occurrences("Step StepKind a.Step", "Step"), 2);
    }
}
