//! Filters that ask an agent (`SCMP_ACT_NOTIFY`): an agent of the tests' own answers by letting a call go on, by an errno and by
//! an fd, and the payload tells what became of it.

use std::fs;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use oci_runtime_integration::agent::{Agent, Answer, Call, agent};
use oci_runtime_integration::bundle::{self, push, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

const EDQUOT: i32 = 122;

/// Makes some directories, and gives a file that nobody has.
fn answer(call: &Call) -> Answer {
    if call.nr == number("openat") {
        return match call.text(1).as_str() {
            "/not/there" => Answer::Fd(gift()),
            _ => Answer::Continue,
        };
    }
    let path = match call.nr {
        nr if nr == number("mkdirat") => call.text(1),
        nr if nr == number("mkdir") => call.text(0),
        _ => return Answer::Continue,
    };
    match path.as_str() {
        "/tmp/refused" => Answer::Errno(EDQUOT),
        "/tmp/last" => Answer::HangUp,
        _ => Answer::Continue,
    }
}

/// The number of a call here; one that no call has where there is no such call.
fn number(name: &str) -> i32 {
    let table = [("openat", 257, 56), ("mkdirat", 258, 34), ("mkdir", 83, -2)];
    let row = table.iter().find(|(known, ..)| *known == name);
    let (_, x86_64, aarch64) = *row.expect("a number for the call");
    if cfg!(target_arch = "x86_64") {
        x86_64
    } else {
        aarch64
    }
}

fn gift() -> OwnedFd {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"from the agent\n").expect("its text");
    file.rewind().expect("to its beginning");
    file.into()
}

fn asking(config: &mut Value, agent: &str) {
    push(
        config,
        "/mounts",
        json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}),
    );
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent, "listenerMetadata": "some=thing",
        "syscalls": [{"names": ["mkdir", "mkdirat", "openat"], "action": "SCMP_ACT_NOTIFY"}]
    });
}

const TRIES: &str =
    "mkdir /tmp/made; mkdir /tmp/refused 2>&1; ls /tmp; cat /not/there; cat /not/here 2>&1";

const OUTCOME: &str = "mkdir: can't create directory '/tmp/refused': Disk quota exceeded\n\
    made\n\
    from the agent\n\
    cat: can't open '/not/here': No such file or directory\n";

fn case_with_agent() -> Option<(Case, Agent)> {
    let case = case()?;
    let agent = agent(&case.path("agent.sock"), answer);
    Some((case, agent))
}

#[test]
fn the_agent_lets_go_on_refuses_and_gives() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    for no_new_privileges in [true, false] {
        case.configure(|c| {
            asking(c, &text(&agent.path));
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            script(c, &format!("{TRIES}; true"));
        });
        assert_eq!(case.run().ok().stdout, OUTCOME);
        let state = agent.state();
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "some=thing");
        assert_eq!(state["state"]["id"], case.id.as_str());
        agent.assert_quiet();
    }
}

/// What takes the listener and answers nothing holds the creation up; not for ever.
#[test]
fn a_container_whose_agent_hangs_can_be_deleted_by_force() {
    if !only_ocirun("waits for ever") {
        return;
    }
    let Some(case) = case() else { return };
    let path = case.path("agent.sock");
    let agent = UnixListener::bind(&path).expect("a socket");
    case.configure(|c| {
        c["process"]["noNewPrivileges"] = json!(false);
        c["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "syscalls": [{"names": ["setgroups"], "action": "SCMP_ACT_NOTIFY"}]
        });
    });
    let bundle = text(&case.bundle());
    let creating = case.spawn(&["create", "--bundle", &bundle, &case.id]);
    let connection = agent.accept().expect("the runtime");
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert_eq!(creating.wait().code, 1);
    drop(connection);
    case.assert_clean();
}

#[test]
fn the_agent_is_told_at_create_whose_calls_it_will_answer() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    for no_new_privileges in [true, false] {
        case.configure(|c| {
            asking(c, &text(&agent.path));
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            script(c, &format!("{TRIES}; echo done; sleep 7200"));
        });
        let init = case.create();
        let state = agent.state();
        let config: Value = serde_json::from_slice(
            &fs::read(case.bundle().join("config.json")).expect("config.json"),
        )
        .expect("JSON");
        assert_eq!(state["pid"], init);
        assert!(state["ociVersion"].is_string(), "{state}");
        assert_eq!(
            state["state"],
            json!({"ociVersion": config["ociVersion"], "id": case.id, "status": "creating", "pid": init,
                "bundle": text(&case.bundle()), "annotations": config["annotations"]})
        );
        // What waits for `start` holds no listener, nor does the payload.
        assert_no_listener(init);
        case.runtime(&["start", &case.id]).ok();
        case.await_payload(init);
        assert_no_listener(init);
        assert_eq!(host::status(init, "Seccomp"), "2");
        agent.assert_quiet();
        case.kill(init);
        case.destroy();
    }
}

#[track_caller]
fn assert_no_listener(pid: i32) {
    let open = host::descriptors(pid);
    assert!(
        !open.values().any(|target| target.contains("seccomp")),
        "{open:?}"
    );
}

#[test]
fn exec_has_a_listener_of_its_own() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    case.configure(|c| asking(c, &text(&agent.path)));
    let init = case.start();
    assert_eq!(agent.state()["pid"], init);
    let exec = case.exec(&[], &["sh", "-c", TRIES]);
    assert_eq!((exec.code, exec.stdout.as_str()), (1, OUTCOME), "{exec:?}");
    let state = agent.state();
    assert_ne!(state["pid"], init);
    assert_eq!(state["state"]["pid"], init);
    assert_eq!(state["state"]["status"], "running");
    let idle = case.exec_detached(&[], &bundle::IDLE);
    assert_eq!(agent.state()["pid"], idle);
    assert_no_listener(idle);
}

/// The twin: nobody is asked about a container without such rules, and a path that nobody uses is ignored.
#[test]
fn without_notify_nobody_is_asked() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    for path in [text(&agent.path), "/nobody/is/there".into()] {
        case.configure(|c| {
            asking(c, &path);
            c["linux"]["seccomp"]["syscalls"] =
                json!([{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]);
            script(c, "mkdir /tmp/refused; ls /tmp");
        });
        assert_eq!(case.run().ok().stdout, "refused\n");
        agent.assert_quiet();
    }
}

#[test]
fn an_agent_that_is_not_there_is_an_error_of_create() {
    let Some(case) = case() else { return };
    let absent = text(&case.path("absent.sock"));
    let file = text(&case.path("file"));
    fs::write(&file, "").expect("a file");
    for (path, why) in [(&absent, "no such file"), (&file, "connection refused")] {
        for no_new_privileges in [true, false] {
            case.configure(|c| {
                asking(c, path);
                c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            });
            let texts = ["/linux/seccomp/listenerPath", path.as_str(), why];
            case.try_create(&[]).failed(1, &texts);
            case.run().failed(1, &texts);
            case.assert_clean();
        }
    }
    // An agent that ends later does no harm to `exec` but an error.
    let Some((case, _agent)) = case_with_agent() else {
        return;
    };
    case.configure(|c| asking(c, &text(&case.path("agent.sock"))));
    let init = case.start();
    fs::remove_file(case.path("agent.sock")).expect("the socket");
    case.exec(&[], &["true"])
        .failed(255, &["/linux/seccomp/listenerPath", "agent.sock"]);
    assert!(host::alive(init));
}

#[test]
fn calls_fail_when_the_agent_has_hung_up() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    case.configure(|c| {
        asking(c, &text(&agent.path));
        c["linux"]["seccomp"]["syscalls"] =
            json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]);
        script(c, "mkdir /tmp/made /tmp/last /tmp/more 2>&1; ls /tmp");
    });
    assert_eq!(
        case.run().ok().stdout,
        "mkdir: can't create directory '/tmp/last': Function not implemented\n\
        mkdir: can't create directory '/tmp/more': Function not implemented\n\
        made\n"
    );
}

#[test]
fn the_runtimes_own_steps_may_be_asked_about() {
    let Some((case, agent)) = case_with_agent() else {
        return;
    };
    for (no_new_privileges, flags) in [
        (true, json!(["SECCOMP_FILTER_FLAG_TSYNC"])),
        (
            true,
            json!([
                "SECCOMP_FILTER_FLAG_TSYNC",
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
            ]),
        ),
        (false, json!([])),
    ] {
        case.configure(|c| {
            asking(c, &text(&agent.path));
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            c["linux"]["seccomp"]["flags"] = flags;
            c["linux"]["seccomp"]["syscalls"] =
                json!([{"names": ["execve", "close_range", "clock_gettime"], "action": "SCMP_ACT_NOTIFY"}]);
            c["hooks"] = json!({"startContainer": [{"path": "/bin/true"}]});
            script(c, "echo begun");
        });
        // With all steps told, which makes calls between them.
        let args = [
            "--debug",
            "run",
            "--bundle",
            &text(&case.bundle()),
            &case.id,
        ];
        assert_eq!(case.runtime(&args).ok().stdout, "begun\n");
        agent.state();
    }
}

#[test]
fn bad_agents_are_refused_with_their_place() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    for (path, metadata, texts) in [
        (
            "",
            "",
            [
                "/linux/seccomp/listenerPath",
                "is needed by SCMP_ACT_NOTIFY",
            ],
        ),
        (
            "agent.sock",
            "",
            ["/linux/seccomp/listenerPath", "not an absolute path"],
        ),
        (
            "",
            "m",
            [
                "/linux/seccomp/listenerMetadata",
                "listenerPath, which is not given",
            ],
        ),
        (
            &format!("/{}", "a".repeat(107)),
            "",
            ["/linux/seccomp/listenerPath", "108 bytes"],
        ),
    ] {
        case.configure(|c| {
            asking(c, path);
            c["linux"]["seccomp"]["listenerMetadata"] = json!(metadata);
        });
        case.try_create(&[]).failed(1, &texts);
    }
    for (names, default, place) in [
        (
            json!(["write"]),
            "SCMP_ACT_ALLOW",
            "/linux/seccomp/syscalls/0/names/0",
        ),
        (
            json!(["mkdir"]),
            "SCMP_ACT_NOTIFY",
            "/linux/seccomp/defaultAction",
        ),
    ] {
        case.configure(|c| {
            asking(c, "/run/agent.sock");
            c["linux"]["seccomp"]["defaultAction"] = json!(default);
            c["linux"]["seccomp"]["syscalls"] =
                json!([{"names": names, "action": "SCMP_ACT_NOTIFY"}]);
        });
        case.try_create(&[])
            .failed(1, &[place, "SCMP_ACT_NOTIFY cannot be"]);
    }
}
