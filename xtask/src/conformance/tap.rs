//! The Test Anything Protocol, as the suite's programs speak it: assertions, a plan that counts them, and details in YAML, which
//! our printer writes as one line of JSON.

/// What a program said.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub passed: usize,
    /// The assertions that do not hold, with what was said of them.
    pub failed: Vec<String>,
    /// The number of assertions that were to come, of all plans together.
    pub planned: Option<usize>,
    /// Errors in details that belong to no assertion: all that some programs say when something fails.
    pub errors: Vec<String>,
}

/// Reads a program's standard output. What is none of the protocol's is passed over.
pub fn parse(text: &str) -> Said {
    let mut said = Said::default();
    let mut details = false;
    let mut after_failure = false;
    for line in text.lines() {
        let inner = line.trim();
        match inner {
            "---" => details = true,
            "..." => details = false,
            _ if details => take_details(&mut said, inner, after_failure),
            _ => {
                if let Some(comment) = inner.strip_prefix("# ") {
                    append(&mut said, comment, after_failure);
                } else if let Some(assertion) = line.strip_prefix("not ok ") {
                    // What is marked as yet to be done may fail.
                    after_failure = !assertion.contains("# TODO");
                    match after_failure {
                        true => said.failed.push(assertion.to_owned()),
                        false => said.passed += 1,
                    }
                } else if line.starts_with("ok ") {
                    said.passed += 1;
                    after_failure = false;
                } else if let Some(count) = line.strip_prefix("1..") {
                    // Some programs print two plans, of which one is empty.
                    let before = said.planned.unwrap_or(0);
                    said.planned = count.parse().ok().map(|count: usize| before + count);
                }
            }
        }
    }
    said
}

fn append(said: &mut Said, text: &str, after_failure: bool) {
    if let (true, Some(last)) = (after_failure, said.failed.last_mut()) {
        last.push_str("; ");
        last.push_str(text);
    }
}

fn take_details(said: &mut Said, line: &str, after_failure: bool) {
    if after_failure {
        append(said, line, true);
    } else if said.passed == 0
        && let Ok(details) = serde_json::from_str::<serde_json::Value>(line)
        && let Some(error) = details["error"].as_str().filter(|error| !error.is_empty())
    {
        said.errors.push(error.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_counted_with_what_is_said_of_them() {
        let text = "TAP version 13\nok 1 - a\n  ---\n  {\"error\":\"expected\"}\n  ...\nnot ok 2 - b\n  ---\n  {\"error\":\"e\"}\n  ...\n\
                    # more\nnot ok 3 - c # TODO\n# not of b\nok 4 # SKIP d\nnoise\n1..4\n";
        let said = parse(text);
        assert_eq!((said.passed, said.planned), (3, Some(4)));
        assert_eq!(said.failed, [r#"2 - b; {"error":"e"}; more"#]);
        assert_eq!(said.errors, [""; 0]);
    }

    #[test]
    fn an_error_without_an_assertion_is_one() {
        let said = parse("TAP version 13\n  ---\n  {\"error\":\"broken\"}\n  ...\n1..0\n");
        assert_eq!(
            (said.errors, said.planned),
            (vec!["broken".to_owned()], Some(0))
        );
    }
}
