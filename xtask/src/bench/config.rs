//! The bench's config.json: what `spec` of the runtimes gives by default (so every runtime is at home in it), without a
//! terminal, with a cgroup and limits that do not slow the program down. limit.c does the same from its own tables.

#[path = "../../../crates/oci-runtime/src/spec/example/tables.rs"]
mod tables;

use std::path::Path;

use tables::{MOUNTS, READONLY_PATHS};

/// The file's text: `args` in a container of the root file system at `rootfs`, in the cgroup `cgroup`; and `source` bound to
/// /mnt/0, /mnt/1 and so on, as often as `binds` says.
pub fn config(
    rootfs: &Path,
    cgroup: &str,
    args: &[&str],
    (binds, source): (usize, &Path),
) -> String {
    let list = |items: &[&str]| {
        items
            .iter()
            .map(|item| quote(item))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let capabilities = list(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let sets = [
        "bounding",
        "effective",
        "inheritable",
        "permitted",
        "ambient",
    ];
    let sets = sets
        .map(|set| format!("{}: [{capabilities}]", quote(set)))
        .join(", ");
    let namespaces = ["pid", "network", "ipc", "uts", "mount"]
        .map(|kind| format!("{{\"type\": {}}}", quote(kind)));
    let mounts = MOUNTS.iter().map(|(destination, kind, source, options)| {
        let [destination, kind, source] = [destination, kind, source].map(|text| quote(text));
        let options = list(options);
        format!("{{\"destination\": {destination}, \"type\": {kind}, \"source\": {source}, \"options\": [{options}]}}")
    });
    let source = quote(&source.to_string_lossy());
    let binds = (0..binds).map(|number| {
        format!(r#"{{"destination": "/mnt/{number}", "type": "bind", "source": {source}, "options": ["rbind", "rprivate"]}}"#)
    });
    format!(
        r#"{{
  "ociVersion": "1.0.2",
  "process": {{
    "terminal": false,
    "user": {{"uid": 0, "gid": 0}},
    "args": [{args}],
    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    "cwd": "/",
    "capabilities": {{{sets}}},
    "rlimits": [{{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}}],
    "noNewPrivileges": true
  }},
  "root": {{"path": {rootfs}, "readonly": true}},
  "hostname": "bench",
  "mounts": [
    {mounts}
  ],
  "linux": {{
    "cgroupsPath": {cgroup},
    "resources": {{
      "devices": [{{"allow": false, "access": "rwm"}}],
      "memory": {{"limit": 268435456}},
      "cpu": {{"shares": 512, "quota": 200000, "period": 100000}},
      "pids": {{"limit": 128}}
    }},
    "namespaces": [{namespaces}],
    "maskedPaths": [{masked}],
    "readonlyPaths": [{readonly}]
  }}
}}
"#,
        args = list(args),
        rootfs = quote(&rootfs.to_string_lossy()),
        mounts = mounts.chain(binds).collect::<Vec<_>>().join(",\n    "),
        cgroup = quote(cgroup),
        namespaces = namespaces.join(", "),
        masked = list(MASKED),
        readonly = list(READONLY_PATHS),
    )
}

const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// A JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_balance_and_strings_are_quoted() {
        let rootfs = Path::new("/a \"b\"\\c");
        let text = config(rootfs, "/x\n", &["sh", "-c", "true"], (2, Path::new("/s")));
        assert_eq!(text.matches("/mnt/").count(), 2);
        assert!(text.contains(r#""path": "/a \"b\"\\c""#) && text.contains(r#""/x\u000a""#));
        for (open, close) in [('{', '}'), ('[', ']')] {
            assert_eq!(text.matches(open).count(), text.matches(close).count());
        }
    }
}
