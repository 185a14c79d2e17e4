use super::*;
use crate::parse::parse;
use crate::table::VERBS;

fn changed(words: &[&str]) -> Result<Process<'static>, Failure> {
    let verb = VERBS.iter().find(|verb| verb.name == "exec").unwrap();
    let arguments = parse(verb.flags, true, words.iter().map(Into::into).collect())?;
    Ok(wanted(&arguments)?.process(&Spec::example()))
}

#[test]
fn the_containers_process_is_the_base() {
    let base = Spec::example().process.unwrap();
    let process = changed(&["id", "ls", "-l"]).unwrap();
    assert_eq!(process.args, ["ls", "-l"]);
    assert_eq!(
        (&process.env, &process.cwd, &process.user),
        (&base.env, &base.cwd, &base.user)
    );
    assert_eq!(process.capabilities, base.capabilities);
    assert!(process.no_new_privileges && base.terminal && !process.terminal);
}

#[test]
fn flags_change_it() {
    let process = changed(&[
        "-t",
        "--cwd",
        "/tmp",
        "-e",
        "A=1",
        "--env=B=2",
        "-u",
        "5:6",
        "-g",
        "7",
        "--no-new-privs=false",
        "--cap",
        "CAP_CHOWN",
        "--apparmor",
        "profile",
        "--process-label=a:b:c:d",
        "id",
        "sh",
    ])
    .unwrap();
    assert!(process.terminal && !process.no_new_privileges);
    assert_eq!(process.cwd, "/tmp");
    assert_eq!(process.apparmor_profile, "profile");
    assert_eq!(process.selinux_label, "a:b:c:d");
    assert_eq!(process.env[process.env.len() - 2..], ["A=1", "B=2"]);
    assert_eq!(
        (
            process.user.uid,
            process.user.gid,
            process.user.additional_gids
        ),
        (5, 6, vec![7])
    );
    let sets = process.capabilities.unwrap();
    for set in [&sets.bounding, &sets.effective, &sets.permitted] {
        assert!(set.contains(&"CAP_CHOWN".into()));
    }
    assert!(sets.ambient.is_empty() && sets.inheritable.is_empty());
}

#[test]
fn a_user_that_is_not_exact_is_an_error() {
    for user in ["root", "1:", "-1", "4294967296", "1 "] {
        let failure = changed(&["--user", user, "id", "sh"]).unwrap_err();
        assert!(matches!(failure, Failure::Flag { .. }), "{user:?}");
    }
    assert!(changed(&["-g", "-1", "id", "sh"]).is_err());
}

#[test]
fn a_bad_value_is_told_with_its_flag() {
    for (flag, value) in [
        ("--cwd", "tmp"),
        ("--env", "novalue"),
        ("--cap", "chown"),
        ("--cap", "CAP_"),
        ("--user", "root"),
    ] {
        let failure = changed(&[flag, value, "id", "sh"]).unwrap_err();
        let said = failure.to_string();
        let begin = format!("invalid value {value:?} for flag {flag}: ");
        assert!(said.starts_with(&begin), "{said}");
    }
    // What the kernel may not know yet is a name all the same.
    assert!(changed(&["--cap", "CAP_OF_TOMORROW", "-e", "A=", "id", "sh"]).is_ok());
}

#[test]
fn a_process_comes_from_a_file_or_from_the_command_line() {
    for words in [
        &["-p", "f", "-t", "id"][..],
        &["-p", "f", "-e", "A=1", "id"],
        &["-p", "f", "--apparmor", "p", "id"],
        &["-p", "f", "--process-label", "l", "id"],
        &["-p", "f", "id", "ls"],
    ] {
        let failure = changed(words).unwrap_err();
        assert!(matches!(failure, Failure::TwoProcesses { .. }), "{words:?}");
    }
    assert!(matches!(
        changed(&["-p", "/nonexistent", "id"]),
        Err(Failure::File { .. })
    ));
}

#[test]
fn capabilities_and_labels_that_a_file_leaves_open_are_the_container_s() {
    let mut spec = Spec::example();
    let container = spec.process.as_mut().unwrap();
    container.apparmor_profile = "profile".into();
    container.selinux_label = "a:b:c:d".into();
    let container = spec.process.clone().unwrap();
    let open = Process {
        cwd: "/tmp".into(),
        ..Process::default()
    };
    let process = completed(&open, &spec);
    assert_eq!(process.cwd, "/tmp");
    assert_eq!(process.capabilities, container.capabilities);
    assert_eq!(process.apparmor_profile, container.apparmor_profile);
    assert_eq!(process.selinux_label, container.selinux_label);
    // The rest is the file's alone.
    assert!(process.args.is_empty() && process.env.is_empty() && process.rlimits.is_empty());

    let said = Process {
        capabilities: Some(Capabilities::default()),
        apparmor_profile: "unconfined".into(),
        selinux_label: "e:f:g:h".into(),
        ..Process::default()
    };
    let process = completed(&said, &spec);
    assert_eq!(process.capabilities, said.capabilities);
    assert_eq!(process.apparmor_profile, said.apparmor_profile);
    assert_eq!(process.selinux_label, said.selinux_label);
}
