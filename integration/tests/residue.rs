//! Many containers, one after the other and all at once: nothing may be left of them.

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::host;
use oci_runtime_integration::residue;
use oci_runtime_integration::runtime::only_ocirun;

#[test]
fn two_hundred_in_a_row_leave_nothing() {
    let Some(case) = case_with(|c| script(c, "exit 0")) else {
        return;
    };
    let descriptors = host::descriptors(std::process::id().cast_signed()).len();
    for round in 0..200 {
        let init = case.create();
        case.runtime(&["start", &case.id]).ok();
        let status = case.reap(init).expect("the init is our child");
        assert_eq!(status.exit_status(), Some(0), "round {round}");
        case.runtime(&["delete", &case.id]).ok();
        if round % 20 == 19 {
            case.assert_clean();
        }
    }
    let now = host::descriptors(std::process::id().cast_signed()).len();
    assert!(
        now <= descriptors + 8,
        "{descriptors} descriptors became {now}"
    );
    case.assert_clean();
}

#[test]
fn fifty_at_once_leave_nothing() {
    let mounts = residue::host_mounts();
    let Some(cases) = (0..50).map(|_| case()).collect::<Option<Vec<Case>>>() else {
        return;
    };
    let running: Vec<_> = cases
        .iter()
        .map(|case| {
            let pid_file = case.path("pid").display().to_string();
            let flags = ["run", "--detach", "--pid-file", &pid_file, &case.id];
            case.spawn(&flags)
        })
        .collect();
    for run in running {
        run.wait().ok();
    }
    let inits: Vec<i32> = cases.iter().map(Case::init_from_pid_file).collect();
    for (case, init) in cases.iter().zip(&inits) {
        case.await_payload(*init);
        assert_eq!(case.status(), "running");
    }
    let deletes: Vec<_> = cases
        .iter()
        .map(|case| case.spawn(&["delete", "--force", &case.id]))
        .collect();
    for delete in deletes {
        delete.wait().ok();
    }
    for (case, init) in cases.iter().zip(inits) {
        case.reap(init);
        case.assert_clean();
    }
    drop(cases);
    assert_eq!(residue::host_mounts(), mounts);
}

#[test]
fn of_many_that_want_one_id_exactly_one_gets_it() {
    if !only_ocirun("lets racing creates destroy each other") {
        return;
    }
    let Some(case) = case() else { return };
    let running: Vec<_> = (0..8)
        .map(|n| {
            let pid_file = case.path(&format!("pid-{n}")).display().to_string();
            case.spawn(&["create", "--pid-file", &pid_file, &case.id])
        })
        .collect();
    let ends: Vec<_> = running.into_iter().map(|run| run.wait()).collect();
    let winners: Vec<usize> = (0..ends.len()).filter(|n| ends[*n].code == 0).collect();
    assert_eq!(winners.len(), 1, "{ends:?}");
    for (n, end) in ends
        .into_iter()
        .enumerate()
        .filter(|(n, _)| *n != winners[0])
    {
        end.failed(1, &["already exists"]);
        assert!(
            !case.path(&format!("pid-{n}")).exists(),
            "a loser's pid file is left"
        );
    }
    let pid = case.path(&format!("pid-{}", winners[0]));
    std::fs::rename(pid, case.path("pid")).expect("the winner's pid file");
    let init = case.init_from_pid_file();
    assert_eq!(case.state()["pid"], init);
}

#[test]
fn a_failure_late_in_create_leaves_nothing() {
    let Some(case) = case_with(|c| c["process"]["args"] = serde_json::json!(["nonesuch"])) else {
        return;
    };
    for _ in 0..20 {
        case.try_create(&[])
            .failed(1, &["executable file not found in $PATH"]);
        assert!(!case.path("pid").exists(), "a pid file is left");
    }
    case.assert_clean();
}
