//! Podman of an ordinary user who has logged in, with the user's own systemd for cgroups, with runc and crun and with the
//! runtime under test: the same commands, the same results. Only the guest has such a user.

use std::path::Path;

use oci_runtime_integration::case::case;
use oci_runtime_integration::engine::{
    Observed, Row, as_peer, assert_same, document, observed, row,
};
use oci_runtime_integration::login::{Login, is_here, login};
use oci_runtime_integration::rootfs;
use oci_runtime_integration::runtime::{only_ocirun, target_dir, tool};

/// What everybody does; compared with runc.
#[rustfmt::skip]
const DAILY: &[Row] = &[
    row("a container, with the network of a user", "$P run --rm $I sh -c 'id; grep -e Cap -e Seccomp: -e NoNew /proc/self/status; tr -s \" \" < /proc/self/uid_map; ls /sys/class/net'", "100000 65536\nlo"),
    row("limits, by the user's systemd, read from outside; update; nothing is left", "$P run -d --name one $N --memory 64m --memory-swap 96m --cpus 0.5 --pids-limit 33 $I sleep 1000 >/dev/null; c=$($P inspect -f '{{.State.CgroupPath}}' one); echo ${c%/*}; cat /sys/fs/cgroup$c/memory.max /sys/fs/cgroup$c/memory.swap.max /sys/fs/cgroup$c/cpu.max /sys/fs/cgroup$c/pids.max; systemctl --user show -p MemoryMax -p TasksMax -p Slice -p Delegate ${c##*/}; $P update --memory 40m --pids-limit 20 one >/dev/null; cat /sys/fs/cgroup$c/memory.max /sys/fs/cgroup$c/pids.max; $P rm -f -t 0 one >/dev/null; test -e /sys/fs/cgroup$c || echo gone; systemctl --user list-units --all --plain --no-legend ${c##*/}", "67108864\n33554432\n50000 100000\n33\nSlice=user.slice\nDelegate=yes\nMemoryMax=67108864\nTasksMax=33\n41943040\n20\ngone"),
    row("exec", "$P run -d $N --name one $I sleep 1000 >/dev/null; $P exec -w /tmp -e A=1 -u 1000 one sh -c 'id; pwd; echo $A; cat /proc/self/cgroup'; echo in | $P exec -i one cat; $P exec -t one tty; $P exec one sh -c 'exit 9'; echo $?; $P exec one nonexistent 2>/dev/null; echo $?; $P rm -f -t 0 one >/dev/null", "/tmp\n1\n0::/\nin\n/dev/pts/0\n9\n127"),
    row("pause, top and stats", "$P run -d $N --name one $I sh -c 'sleep 1000 & sleep 1001' >/dev/null; $P pause one >/dev/null; $P inspect -f '{{.State.Status}}' one; $P unpause one >/dev/null; $P top one user huser args; $P stats --no-stream --format '{{.PIDS}}' one; $P rm -f -t 0 one >/dev/null", "paused"),
    row("a pod of two containers, with a limit for both", "$P pod create --name pod $N --memory 64m >/dev/null; $P run -d --pod pod --name web $I sh -c 'echo page > /tmp/index.html; httpd -f -p 8080 -h /tmp' >/dev/null; sleep 1; $P run --rm --pod pod $I wget -qO- http://127.0.0.1:8080/; c=$($P inspect -f '{{.State.CgroupPath}}' web); cat /sys/fs/cgroup${c%/*}/memory.max; $P pod inspect -f '{{.State}}' pod; $P pod rm -f -t 0 pod >/dev/null; test -e /sys/fs/cgroup${c%/*} || echo gone", "page\n67108864\nRunning\ngone"),
    row("a build", "mkdir -p b; printf 'FROM %s\\nRUN echo built > /made && id -u && test ! -e /nothing\\nUSER 1000\\nRUN id -u > /tmp/uid\\nCMD cat /made /tmp/uid\\n' $I > b/Dockerfile; $P build -q --runtime $R --isolation oci $N -t built b >/dev/null; $P run $N --rm built; $P rmi -f built >/dev/null", "built\n1000"),
    row("a terminal, statuses, and a user", "$P run --rm $N --user 1000:1000 --group-add 55 --cap-drop all --cap-add net_bind_service -t $I sh -c 'tty; id; grep CapEff /proc/self/status; exit 42'; echo $?; $P run --rm $N $I nonexistent 2>/dev/null; echo $?; $P run --rm $N $I /etc 2>/dev/null; echo $?", "0000400\n42\n127\n126"),
];

/// What many do; compared with runc.
#[rustfmt::skip]
const OFTEN: &[Row] = &[
    row("stop, start again and kill", "$P run -d $N --name one $I sh -c 'trap \"exit 3\" TERM; echo up; while :; do sleep 0.1; done' >/dev/null; sleep 1; $P stop -t 20 one; $P inspect -f '{{.State.ExitCode}}' one; $P start one; sleep 1; $P kill -s KILL one; $P wait one; $P logs one; $P rm one >/dev/null", "one\n3\none\none\n137\nup\nup"),
    row("a health check by a timer of the user's systemd", "$P run -d $N --name one --health-cmd 'test -e /ok' --health-interval 2s $I sh -c 'touch /ok; sleep 1000' >/dev/null; for i in $(seq 40); do [ \"$($P inspect -f '{{.State.Health.Status}}' one)\" = healthy ] && break; sleep 1; done; $P inspect -f '{{.State.Health.Status}}' one; $P rm -f -t 0 one >/dev/null", "healthy"),
    row("kube generate and play", "$P pod create --name kube $N >/dev/null; $P run -d --pod kube --name task $I sleep 1000 >/dev/null; $P kube generate kube > kube.yaml; $P pod rm -f -t 0 kube >/dev/null; $P kube play $N kube.yaml >/dev/null; $P exec kube-task echo played; $P kube down kube.yaml >/dev/null; rm kube.yaml", "played"),
    row("read-only, tmpfs, volumes", "mkdir -p dir; echo mine > dir/f; $P run --rm $N --read-only --tmpfs /scratch:size=1m -v vol:/data -v $PWD/dir:/b:ro,rslave $I sh -c 'echo x > /f; echo x > /b/g; cat /b/f; echo kept > /data/f; cat /data/f; grep -c /scratch /proc/mounts'; $P volume rm vol", "mine\nkept\n1"),
    row("the user's own ids inside", "$P run --rm $N --userns keep-id $I sh -c 'id -u; tr -s \" \" < /proc/self/uid_map; touch /f && echo made'", " 1000 0 1"),
];

/// What fewer do; compared with crun.
#[rustfmt::skip]
const RARE: &[Row] = &[
    row("an OOM kill", "$P run --name one $N --memory 16m --memory-swap 16m $I sh -c 'x=a; while :; do x=$x$x; done'; $P inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' one; $P rm one", "true 137"),
    row("restart policies", "$P run -d $N --name one --restart on-failure:2 $I sh -c 'exit 3' >/dev/null; for i in $(seq 60); do [ \"$($P inspect -f '{{.RestartCount}} {{.State.Status}}' one)\" = '2 exited' ] && break; sleep 1; done; $P inspect -f '{{.RestartCount}} {{.State.ExitCode}}' one; $P rm one", "2 3"),
    row("the host's namespaces", "$P run --rm --pid host --network host --ipc host --uts host $I sh -c 'test $(ls /proc 2>/dev/null | grep -c \"^[0-9]\") -gt 5 && echo many; hostname; ls /sys/class/net; grep -c mqueue /proc/mounts'", "many"),
    row("everything that a user can give", "$P run --rm $N --privileged $I sh -c 'mount -t tmpfs x /mnt && echo mounted; grep CapEff /proc/self/status; ls /dev | wc -l'; $P run -d --name one $N $I sleep 1000 >/dev/null; $P exec --privileged one grep CapEff /proc/self/status; $P rm -f -t 0 one >/dev/null", "mounted\nCapEff:\t000001ffffffffff"),
    row("kernel parameters, limits, names", "$P run --rm $N --security-opt no-new-privileges --ulimit nofile=100:200 --sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=1000000 --hostname h1 --oom-score-adj 500 --shm-size 2m $I sh -c 'grep NoNew /proc/self/status; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/self/oom_score_adj; hostname; df -k /dev/shm | tail -1 | tr -s \" \" | cut -d\" \" -f2'", "100\n200\n1\n1000000\n500\nh1\n2048"),
    row("a seccomp profile", "echo '{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}' > profile.json; $P run --rm $N --security-opt seccomp=profile.json $I sh -c 'mkdir /tmp/x; chmod 777 /tmp; echo chmod $?'", "chmod 0"),
    row("devices", "$P run --rm $N --device /dev/zero:/dev/zz --device /dev/fuse $I sh -c 'head -c2 /dev/zz | wc -c; test -c /dev/fuse && echo fuse; echo x > /dev/null && echo null'", "2\nfuse\nnull"),
    row("without systemd for cgroups", "$P --cgroup-manager cgroupfs run -d --name one $N $I sleep 1000 >/dev/null; $P --cgroup-manager cgroupfs exec one cat /proc/self/cgroup; cut -d/ -f-5 /proc/$($P inspect -f '{{.State.Pid}}' one)/cgroup; $P --cgroup-manager cgroupfs rm -f -t 0 one", "0::/"),
    row("in the caller's cgroup", "$P run --rm $N --cgroups disabled $I echo ran; $P run --rm $N --cgroups no-conmon $I echo ran", "ran\nran"),
    row("cgroup namespaces", "$P run --rm $N --cgroupns host $I sh -c 'cut -d/ -f-6 /proc/self/cgroup; grep \" /sys/fs/cgroup \" /proc/mounts'; $P run --rm $N $I sh -c 'cat /proc/self/cgroup; grep \" /sys/fs/cgroup \" /proc/mounts | cut -d\" \" -f3-'", "ro,nosuid,nodev,noexec"),
    row("cgroups for a systemd inside", "$P run --rm $N --systemd always $I sh -c 'mkdir /sys/fs/cgroup/a && echo $$ > /sys/fs/cgroup/a/cgroup.procs && cat /proc/self/cgroup; stat -c %u:%g /sys/fs/cgroup/cgroup.procs'", "0::/a\n0:0"),
    row("user namespaces by themselves", "$P run --rm $N --userns auto:size=1000 $I sh -c 'tr -s \" \" < /proc/self/uid_map; id -u; touch /f && echo made'; $P run --rm $N --userns nomap $I tr -s ' ' < /dev/null; $P run --rm $N --uidmap 0:1:100 --gidmap 0:1:100 $I sh -c 'tr -s \" \" < /proc/self/uid_map; touch /f && echo made'", " 0 1 1000\n0\nmade"),
    row("the user's ids as another's", "$P run --rm $N --userns keep-id:uid=7,gid=8 $I id", "uid=7"),
    row("copy-up into a tmpfs", "$P run --rm $N --mount type=tmpfs,destination=/etc,tmpcopyup $I sh -c 'cat /etc/group; echo x > /etc/new && echo written'", "written"),
    row("what is masked", "$P run --rm $N $I sh -c 'wc -c < /proc/kcore; ls /proc/acpi /sys/firmware; echo x > /proc/sys/kernel/panic; grep -c \" ro,\" /proc/self/mountinfo'", "Read-only"),
    row("limits whose controllers the user has not", "$P run --rm $N --cpuset-cpus 0 $I true >/dev/null 2>&1; test $? -ne 0 && echo refused", "refused"),
];

const IMAGE: &str = "localhost/busybox:case";

fn observe_all(login: &Login, runtime: &Path, rows: &[Row]) -> Vec<Observed> {
    let runtime = runtime.display();
    let variables =
        format!("export R={runtime} P='podman --runtime {runtime}' I={IMAGE} N='--network none'\n");
    let one = |row: &Row| observed(&login.run(&format!("{variables}{}", row.script)));
    rows.iter().map(one).collect()
}

/// Runs the rows with the peer and with the runtime under test, by the peer's name: podman expects of each what its name says.
fn compare(peer: &str, rows: &[Row]) {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    if !is_here() {
        return;
    }
    let Some(case) = case() else { return };
    let login = login(&case.path("login"));
    let archive = case.path("busybox.tar").display().to_string();
    let root = rootfs::shared().display().to_string();
    tool("tar", &["-C", &root, "-cf", &archive, "."]);
    let import = format!("podman import -q --change CMD=sh {archive} {IMAGE}");
    login.run(&import).ok();
    let ours = as_peer(&case.path(""), peer).join(peer);
    let theirs = login.run(&format!("PATH=$PATH:/usr/sbin command -v {peer}"));
    let theirs = observe_all(&login, Path::new(theirs.ok().stdout.trim()), rows);
    let ours = observe_all(&login, &ours, rows);
    login.run("podman system reset --force").ok();
    assert_same(rows, &theirs, &ours);
}

#[test]
fn daily_use_is_as_with_runc() {
    compare("runc", DAILY);
}

#[test]
fn frequent_use_is_as_with_runc() {
    compare("runc", OFTEN);
}

#[test]
fn rare_use_is_as_with_crun() {
    compare("crun", RARE);
}

/// The versions are those of the guest, whose image was made last.
#[test]
fn the_documentation_has_the_table() {
    let versions = format!(
        "grep -v -e ^docker -e ^containerd {}/vm/versions | paste -sd, | sed 's/,/, /g'",
        target_dir().display()
    );
    document("podman-rootless", &[&versions], &[DAILY, OFTEN, RARE]);
}
