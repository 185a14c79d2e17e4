//! `ps`: who runs in a container, by their pids outside of it.

use std::process::{Command, Stdio};

use crate::call::Call;
use crate::failure::Failure;
use crate::stdout::print;

/// `ps [--format table|json] ID [PS-OPTION...]`. The table is the one of ps(1), `-ef` without options, with only the
/// container's lines left.
pub(crate) fn ps(call: &Call) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["table", "json"])?;
    let pids = oci_runtime::processes(&call.root, &call.arguments.id())?;
    if format == "json" {
        print(&(serde_json::to_string(&pids)? + "\n"))?;
        return Ok(0);
    }
    let options = call.arguments.rest.get(1..).unwrap_or_default();
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Io {
            action: "run ps",
            source,
        })?;
    let table = String::from_utf8_lossy(&output.stdout);
    print(&only(&table, &pids).ok_or(Failure::NoPidColumn)?)?;
    Ok(u8::from(!output.status.success()))
}

/// The heading, and the lines of `pids`; `None` without a column PID to tell them by.
fn only(table: &str, pids: &[i32]) -> Option<String> {
    let heading = table.lines().next()?;
    let column = heading
        .split_whitespace()
        .position(|title| title == "PID")?;
    let ours = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|field| field.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = std::iter::once(heading).chain(table.lines().skip(1).filter(ours));
    Some(lines.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines_are_left() {
        let table = "UID   PID CMD\nroot    1 init\nroot   12 a 13\nroot   13 b\n";
        assert_eq!(
            only(table, &[12]).as_deref(),
            Some("UID   PID CMD\nroot   12 a 13\n")
        );
        assert_eq!(only(table, &[]).as_deref(), Some("UID   PID CMD\n"));
        assert_eq!(only("CMD\ninit\n", &[1]), None);
        assert_eq!(only("", &[1]), None);
    }
}
