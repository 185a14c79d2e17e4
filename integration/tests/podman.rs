//! Podman and Buildah as root, with runc and with the runtime under test: the same commands, the same results.

use std::fs;
use std::path::Path;

use oci_runtime_integration::case::case;
use oci_runtime_integration::engine::{
    Observed, Row, as_runc, assert_same, assert_shown, document, observe, row,
};
use oci_runtime_integration::podman::{self, Podman};
use oci_runtime_integration::runtime::only_ocirun;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("a container", "$P run --rm $I sh -c 'id; grep -e Cap -e Seccomp: /proc/self/status'", "CapEff:\t00000000a80425fb"),
    row("limits", "$P run --rm --network none --memory 64m --cpus 0.5 --pids-limit 33 $I sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max'", "67108864\n50000\n33"),
    row("users, groups, capabilities", "$P run --rm --user 1000:1000 --group-add 55 --cap-drop all --cap-add net_bind_service $I sh -c 'id; grep Cap /proc/self/status'", "groups=55,1000"),
    row("read-only, tmpfs, volumes", "$P run --rm --read-only --tmpfs /scratch:size=1m -v vol:/data $I sh -c 'echo x > /f; echo kept > /data/f; cat /data/f; grep -c /scratch /proc/mounts'; $P volume rm vol", "kept\n1"),
    row("copy-up into a tmpfs", "$P run --rm --mount type=tmpfs,destination=/etc,tmpcopyup $I sh -c 'cat /etc/group; echo x > /etc/new && echo written'", "written"),
    row("a terminal", "$P run --rm -t $I tty", "/dev/pts/0"),
    row("an exit status, a signal", "$P run --rm $I sh -c 'exit 42'; echo $?; $P run -d --name one $I sleep 1000 >/dev/null; $P kill one >/dev/null; $P wait one; $P rm one", "42\n137"),
    row("a missing command is 127", "$P run --rm $I nonexistent 2>/dev/null", "status 127"),
    row("a directory is 126", "$P run --rm $I /etc 2>/dev/null", "status 126"),
    row("exec", "$P run -d --name one $I sleep 1000 >/dev/null; $P exec one echo hi; $P exec -w /tmp -e A=1 -u 1000 one sh -c 'id -u; pwd; echo $A'; echo in | $P exec -i one cat; $P exec one sh -c 'exit 9'; echo $?; $P exec one nonexistent 2>/dev/null; echo $?; $P rm -f -t 0 one >/dev/null", "hi\n1000\n/tmp\n1\nin\n9\n127"),
    row("stop and start again", "$P run -d --name one $I sh -c 'trap \"exit 3\" TERM; echo up; while :; do sleep 0.1; done' >/dev/null; sleep 1; $P stop -t 20 one; $P inspect -f '{{.State.ExitCode}}' one; $P start one; sleep 1; $P logs one; $P rm -f -t 0 one >/dev/null", "one\n3\none\nup\nup"),
    row("pause, top and stats", "$P run -d --name one $I sh -c 'sleep 1000 & sleep 1001' >/dev/null; $P pause one >/dev/null; $P inspect -f '{{.State.Status}}' one; $P unpause one >/dev/null; $P top one args; $P stats --no-stream --format '{{.PIDS}}' one; $P rm -f -t 0 one >/dev/null", "paused"),
    row("health checks", "$P run -d --name one --health-cmd 'test -e /ok' --health-interval disable $I sleep 1000 >/dev/null; $P healthcheck run one; echo $?; $P exec one touch /ok; $P healthcheck run one; echo $?; $P rm -f -t 0 one >/dev/null", "\n0\n"),
    row("a pod", "$P pod create --name pod >/dev/null; $P run -d --pod pod --name web $I sh -c 'echo page > /tmp/index.html; httpd -f -p 80 -h /tmp' >/dev/null; sleep 1; $P run --rm --pod pod $I wget -qO- http://127.0.0.1/; $P pod inspect -f '{{.State}}' pod; $P pod rm -f -t 0 pod >/dev/null", "page\nRunning"),
    row("user namespaces by themselves", "$P run --rm --userns auto:size=1000 $I sh -c 'tr -s \" \" < /proc/self/uid_map; id -u; touch /f && echo made'", "1000\n0\nmade"),
    row("ids that are mapped", "$P run --rm --uidmap 0:300000:1000 --gidmap 0:300000:1000 --network none $I sh -c 'tr -s \" \" < /proc/self/uid_map; touch /f && echo made'", "300000 1000\nmade"),
    row("a build", "mkdir -p b; printf 'FROM %s\\nRUN echo built > /made && id -u\\nCMD cat /made\\n' $I > b/Dockerfile; $P build -q --runtime $R --isolation oci -t built b >/dev/null; $P run --rm built; $P rmi -f built >/dev/null", "built"),
    row("buildah run", "c=$($B from --pull-never $I); $B run --runtime $R --isolation oci $c sh -c 'echo inside; exit 6'; echo $?; $B run --runtime $R --isolation oci --user 1000 $c id -u; $B rm $c >/dev/null", "inside"),
];

/// Debian's podman does not always get this to run with Debian's runc; here it has to.
#[rustfmt::skip]
const BEYOND: &[Row] = &[
    row("kube generate and play", "$P pod create --name kube >/dev/null; $P run -d --pod kube --name task $I sleep 1000 >/dev/null; $P kube generate kube > kube.yaml 2>/dev/null || $P generate kube kube > kube.yaml; $P pod rm -f -t 0 kube >/dev/null; $P play kube kube.yaml >/dev/null 2>&1; $P ps --format '{{.Names}}' | grep task; $P exec kube-task echo played; $P pod rm -f -t 0 kube >/dev/null", "kube-task\nplayed"),
];

fn observe_all<'a>(
    place: &Path,
    runtime: &Path,
    rows: impl Iterator<Item = &'a Row>,
) -> Vec<Observed> {
    let podman: Podman = podman::start(place, runtime);
    podman.import_image();
    let (enter, variables) = (podman.enter(), podman.variables());
    let one = |row| observe(row, &enter, &variables, place);
    rows.map(one).collect()
}

/// Two at once, because they mostly wait.
const HALF: usize = ROWS.len() / 2;

#[test]
fn podman_is_as_with_runc() {
    is_as_with_runc(&ROWS[..HALF], &[]);
}

#[test]
fn podman_and_buildah_are_as_with_runc_and_go_beyond() {
    is_as_with_runc(&ROWS[HALF..], BEYOND);
}

fn is_as_with_runc(rows: &[Row], beyond: &[Row]) {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    // By this name podman expects of a runtime what it expects of runc.
    let ours = as_runc(&case.path("")).join("runc");
    let [theirs, place] = ["theirs", "ours"].map(|name| case.path(name));
    fs::create_dir_all(&theirs).expect("a directory");
    fs::create_dir_all(&place).expect("a directory");
    let theirs = observe_all(&theirs, Path::new("/usr/sbin/runc"), rows.iter());
    let all = observe_all(&place, &ours, rows.iter().chain(beyond));
    let (same, further) = all.split_at(rows.len());
    assert_same(rows, &theirs, same);
    assert_shown(beyond, further);
}

#[test]
fn the_documentation_has_the_table() {
    let versions = [
        "podman --version",
        "buildah --version",
        "conmon --version | head -1",
        "runc --version | head -1",
    ];
    document("podman", &versions, &[ROWS, BEYOND]);
}
