//! Hostile root filesystems and payloads. Each form of attack stands beside its twin: the
//! legitimate use that looks alike and must go on working.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use oci_runtime_integration::bundle::{self, args, script};
use oci_runtime_integration::canary::{Canary, canary};
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{binary, only_ocirun, read, spawn, tool};
use serde_json::{Value, json};

/// A case on a root filesystem of its own, with a canary beside the bundle.
fn hostile() -> Option<(Case, Canary)> {
    let case = case_with(|c| c["root"] = json!({"path": "rootfs"}))?;
    case.own_rootfs();
    let canary = canary(case.path("canary"));
    Some((case, canary))
}

fn configure(case: &Case, edit: impl FnOnce(&mut Value)) {
    case.configure(|c| {
        c["root"] = json!({"path": "rootfs"});
        script(c, "exit 0");
        edit(c);
    });
}

fn without_mounts_at(config: &mut Value, prefix: &str) {
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|m| {
        !m["destination"]
            .as_str()
            .is_some_and(|d| d.starts_with(prefix))
    });
}

/// Replaces an entry of the root filesystem by a symbolic link.
fn link_over(rootfs: &Path, name: &str, target: &str) {
    let path = rootfs.join(name);
    let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    symlink(target, &path).expect("a hostile link");
}

/// Ways out of the root filesystem, to a directory of the host.
fn ways_out(canary: &Path) -> [String; 3] {
    let absolute = canary.display().to_string();
    // From rootfs/dev: the bundle, then beside it.
    let relative = "../../canary".to_owned();
    let climbing = format!("{}{}", "../".repeat(30), absolute.trim_start_matches('/'));
    [absolute, relative, climbing]
}

#[test]
fn dev_proc_and_sys_as_links_out_harm_nothing() {
    for name in ["dev", "proc", "sys"] {
        if name == "dev" && !only_ocirun("follows the link when nothing is mounted on /dev") {
            continue;
        }
        for mounted in [true, false] {
            let Some((case, canary)) = hostile() else {
                return;
            };
            for target in ways_out(&canary.path) {
                configure(&case, |c| {
                    if !mounted {
                        without_mounts_at(c, &format!("/{name}"));
                    }
                });
                link_over(&case.own_rootfs(), name, &target);
                let run = case.run();
                canary.assert_unharmed();
                case.assert_clean();
                if name != "dev" && mounted {
                    assert_ne!(run.code, 0, "/{name} -> {target} was accepted");
                }
            }
        }
    }
}

#[test]
fn twin_a_dev_that_is_a_link_inside_or_absent() {
    let Some((case, canary)) = hostile() else {
        return;
    };
    let rootfs = case.own_rootfs();
    fs::remove_dir(rootfs.join("dev")).expect("remove dev");
    fs::remove_dir(rootfs.join("sys")).expect("remove sys");
    configure(&case, |c| {
        script(c, "echo x > /dev/null && ls /sys/kernel > /dev/null")
    });
    case.run().ok();
    canary.assert_unharmed();
}

#[test]
fn links_in_dev_harm_nothing() {
    // The files a runtime itself makes in a /dev on which nothing is mounted.
    for name in ["null", "ptmx", "console", "fd", "stdout", "core", "zero"] {
        let Some((case, canary)) = hostile() else {
            return;
        };
        let target = canary.path.join(name).display().to_string();
        for target in [
            target,
            format!("../../../canary/{name}"),
            "marker".into(),
            name.into(),
        ] {
            configure(&case, |c| without_mounts_at(c, "/dev"));
            link_over(&case.own_rootfs(), &format!("dev/{name}"), &target);
            let run = case.run();
            assert!(run.code >= 0, "{name} -> {target}: {run:?}");
            canary.assert_unharmed();
            case.assert_clean();
        }
    }
}

#[test]
fn twin_a_plain_dev_without_mounts() {
    let Some((case, _)) = hostile() else { return };
    configure(&case, |c| {
        without_mounts_at(c, "/dev");
        script(
            c,
            "echo x > /dev/null; head -c 2 /dev/zero | wc -c; readlink /dev/fd",
        );
    });
    assert_eq!(case.run().ok().stdout, "2\n/proc/self/fd\n");
}

#[test]
fn a_false_null_device_masks_nothing() {
    type Form = (&'static str, fn(&Path));
    let forms: [Form; 5] = [
        ("a regular file", |p| {
            fs::write(p, "not null").expect("a file")
        }),
        ("a link to procfs", |p| {
            symlink("/proc/version", p).expect("a link")
        }),
        ("the zero device", |p| {
            drop(tool("mknod", &[&p.display().to_string(), "c", "1", "5"]))
        }),
        ("a FIFO", |p| {
            drop(tool("mkfifo", &[&p.display().to_string()]))
        }),
        ("a directory", |p| fs::create_dir(p).expect("a directory")),
    ];
    for (form, make) in forms {
        let Some((case, canary)) = hostile() else {
            return;
        };
        make(&case.own_rootfs().join("dev/null"));
        configure(&case, |c| {
            without_mounts_at(c, "/dev");
            c["linux"]["maskedPaths"] = json!(["/mnt/file"]);
            script(c, "stat -c '%F %t:%T' /mnt/file");
        });
        // Either it does not start, or the mask is the true null device.
        let run = case.run();
        if run.code == 0 && only_ocirun("masks with whatever is there") {
            assert!(
                run.stdout.contains("character special file 1:3"),
                "{form}: {run:?}"
            );
        }
        assert_eq!(
            read(case.own_rootfs().join("mnt/file")),
            "of the root filesystem",
            "{form}"
        );
        canary.assert_unharmed();
        case.assert_clean();
    }
}

#[test]
fn twin_a_true_null_device_of_the_image_masks() {
    let Some((case, _)) = hostile() else { return };
    let null = case.own_rootfs().join("dev/null").display().to_string();
    tool("mknod", &["-m", "666", &null, "c", "1", "3"]);
    configure(&case, |c| {
        without_mounts_at(c, "/dev");
        c["linux"]["maskedPaths"] = json!(["/mnt/file"]);
        script(c, "stat -c '%F %t:%T' /mnt/file");
    });
    assert_eq!(case.run().ok().stdout, "character special file 1:3\n");
}

#[test]
fn a_masked_path_that_is_a_link_out_covers_nothing_of_the_host() {
    let Some((case, canary)) = hostile() else {
        return;
    };
    let target = canary.path.display().to_string();
    link_over(&case.own_rootfs(), "opt", &target);
    configure(&case, |c| {
        c["linux"]["maskedPaths"] = json!(["/opt/marker", "/opt"]);
        c["linux"]["readonlyPaths"] = json!(["/opt"]);
    });
    case.run();
    canary.assert_unharmed();
    case.assert_clean();
}

#[test]
fn mount_targets_below_links_out_are_made_inside_or_refused() {
    let Some((case, canary)) = hostile() else {
        return;
    };
    for target in ways_out(&canary.path) {
        link_over(&case.own_rootfs(), "mnt/out", &target);
        for source in [json!("tmpfs"), json!(case.path("output"))] {
            let kind = if source == "tmpfs" { "tmpfs" } else { "bind" };
            configure(&case, |c| {
                bundle::push(
                    c,
                    "/mounts",
                    json!({
                        "destination": "/mnt/out/made/deep", "type": kind, "source": source,
                        "options": if kind == "bind" { json!(["bind"]) } else { json!([]) }
                    }),
                );
            });
            case.run();
            canary.assert_unharmed();
            case.assert_clean();
        }
    }
}

#[test]
fn the_cwd_may_not_be_a_descriptor_of_the_runtime() {
    let Some(case) = case() else { return };
    for n in 3..24 {
        for path in ["/proc/self/fd", "/proc/thread-self/fd", "/proc/1/fd"] {
            case.configure(|c| {
                c["process"]["cwd"] = format!("{path}/{n}").into();
                script(c, "pwd; ls");
            });
            let run = case.run();
            assert_ne!(run.code, 0, "{path}/{n}: {}", run.stdout);
        }
    }
    case.assert_clean();
}

#[test]
fn twin_a_cwd_in_proc_and_one_through_a_link() {
    let Some((case, _)) = hostile() else { return };
    link_over(&case.own_rootfs(), "mnt/link", "/tmp");
    for (cwd, shown) in [("/proc/sys", "/proc/sys\n"), ("/mnt/link", "/tmp\n")] {
        configure(&case, |c| {
            c["process"]["cwd"] = cwd.into();
            args(c, &["pwd", "-P"]);
        });
        assert_eq!(case.run().ok().stdout, shown);
    }
}

#[test]
fn a_cwd_below_a_link_out_is_made_inside() {
    let Some((case, canary)) = hostile() else {
        return;
    };
    link_over(
        &case.own_rootfs(),
        "mnt/out",
        &canary.path.display().to_string(),
    );
    configure(&case, |c| c["process"]["cwd"] = "/mnt/out/new".into());
    case.run();
    canary.assert_unharmed();
}

/// Runs the runtime from a shell that has many descriptors open for it to inherit.
fn with_open_descriptors(case: &Case, args: &[&str]) {
    let command = case.command(args);
    let mut line = String::new();
    for (n, file) in (10..30).zip(
        ["/", "/etc/passwd", "/dev/zero", "/sys/fs/cgroup"]
            .iter()
            .cycle(),
    ) {
        line.push_str(&format!("exec {n}<{file}; "));
    }
    line.push_str("exec \"$@\"");
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", &line, "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    shell.current_dir(case.bundle());
    spawn(shell, &case.path("output"), std::process::Stdio::null())
        .wait()
        .ok();
}

#[test]
fn no_descriptor_of_the_caller_reaches_the_payload() {
    let Some(case) = case() else { return };
    let pid_file = case.path("pid").display().to_string();
    let exec_pid = case.path("exec-pid").display().to_string();
    with_open_descriptors(&case, &["create", "--pid-file", &pid_file, &case.id]);
    let init = case.init_from_pid_file();
    for (fd, target) in host::descriptors(init) {
        let internal = [
            "anon_inode:",
            "socket:",
            "pipe:",
            "/memfd:",
            "/proc",
            "/exec.fifo",
        ];
        let known = fd < 3
            || internal.iter().any(|i| target.starts_with(i))
            || target.contains(&case.path("state").display().to_string());
        assert!(known, "the waiting init has {fd} -> {target}");
    }
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    let open: Vec<i32> = host::descriptors(init).into_keys().collect();
    assert_eq!(open, [0, 1, 2], "{:?}", host::descriptors(init));
    let exec = [
        "exec",
        "--detach",
        "--pid-file",
        &exec_pid,
        &case.id,
        "sleep",
        "7200",
    ];
    with_open_descriptors(&case, &exec);
    let pid = case.exec_from_pid_file();
    case.await_payload(pid);
    let open: Vec<i32> = host::descriptors(pid).into_keys().collect();
    assert_eq!(open, [0, 1, 2], "{:?}", host::descriptors(pid));
}

#[test]
fn exec_cannot_be_ridden_to_the_runtime_s_executable() {
    let Some((case, _)) = hostile() else { return };
    let rootfs = case.own_rootfs();
    symlink("/proc/self/exe", rootfs.join("bin/self")).expect("a link");
    fs::write(rootfs.join("bin/shebang"), "#!/proc/self/exe\n").expect("a script");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(rootfs.join("bin/shebang"), mode).expect("its mode");
    let before = identity(&binary());
    let overwrite = "while :; do for e in /proc/[0-9]*/exe; do \
        (exec 3<$e && echo overwritten > /proc/self/fd/3) 2>/dev/null && echo written $e; \
        done; done";
    configure(&case, |c| {
        c["process"]["capabilities"]["effective"] = json!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
        c["process"]["capabilities"]["permitted"] = json!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
        c["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
        script(c, overwrite);
    });
    case.start();
    for command in ["true", "/bin/self", "/bin/shebang", "/proc/self/exe"] {
        for _ in 0..15 {
            case.exec(&[], &[command]);
        }
    }
    assert_eq!(
        identity(&binary()),
        before,
        "the runtime's executable has changed"
    );
}

fn identity(path: &Path) -> (u64, i64, i64, Vec<u8>) {
    let data = fs::metadata(path).expect("the runtime");
    (
        data.ino(),
        data.mtime(),
        data.mtime_nsec(),
        fs::read(path).expect("the runtime"),
    )
}

#[test]
fn exec_reads_no_hostile_user_database() {
    let Some((case, canary)) = hostile() else {
        return;
    };
    let passwd = case.own_rootfs().join("etc/passwd");
    fs::remove_file(&passwd).expect("remove passwd");
    tool("mkfifo", &[&passwd.display().to_string()]);
    configure(&case, |c| {
        c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        c["process"]["env"] = json!(["PATH=/bin", "HOME=/given"]);
    });
    if only_ocirun("opens the FIFO and waits for ever") {
        case.run().ok();
    }
    fs::remove_file(&passwd).expect("remove the FIFO");
    symlink(canary.path.join("marker"), &passwd).expect("a link out");
    case.run().ok();
    canary.assert_unharmed();
}

#[test]
fn init_is_not_for_the_payload_to_look_into_before_it_execs() {
    let Some(case) = case() else { return };
    let init = case.create();
    // What is not dumpable belongs to root and to the initial user namespace, whoever runs it.
    let owner = fs::metadata(host::proc_path(init, "fd"))
        .expect("its descriptors")
        .uid();
    assert_eq!(owner, 0);
    let executable = host::link(init, "exe");
    let installed = binary()
        .canonicalize()
        .expect("the runtime")
        .display()
        .to_string();
    assert_ne!(
        executable, installed,
        "the waiting init is the host's own executable"
    );
}
