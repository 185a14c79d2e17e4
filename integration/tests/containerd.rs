//! containerd, driven by ctr, with runc and with the runtime under test: the same commands, the same results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::console::Terminal;
use oci_runtime_integration::containerd::{self, Containerd};
use oci_runtime_integration::engine::{
    Observed, Row, as_runc, assert_same, assert_shown, document, observe, row,
};
use oci_runtime_integration::rootfs;
use oci_runtime_integration::runtime::{PATIENCE, binary, only_ocirun, wait_child};

/// The runtime to compare with.
const RUNC: &str = "/usr/sbin/runc";

/// One container each. What is printed shortly before the end gets a moment, because ctr may leave before it has copied it; and input ends
/// a moment late, because ctr forgets an end that comes before the task is there.
#[rustfmt::skip]
const RUN: &[Row] = &[
    row("output and an exit status", "$RUN --rm $I one sh -c 'echo out; echo err >&2; sleep 0.5; exit 17'; echo $?; $C c ls -q", "out\n17"),
    row("a signal's status", "$RUN --rm $I two sh -c 'sh -c \"kill -15 \\$\\$\"; exit $?'", "status 143"),
    row("a missing command", "$RUN --rm $I one nonexistent; echo $?; $C c ls -q; ls $S", "exec: \"nonexistent\": executable file not found in $PATH"),
    row("a missing path", "$RUN --rm $I one /no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
    row("a path below a file", "$RUN --rm $I one /etc/passwd/x", "stat /etc/passwd/x: not a directory"),
    row("a directory", "$RUN --rm $I one /etc 2>&1 | grep -o 'permission denied'", "permission denied"),
    row("a file that is no program", "$RUN --rm $I one /etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    row("environment and working directory", "echo A=1 > env; $RUN --rm --env-file env --env B=x=y --cwd /not/there $I one sh -c 'echo $A $B $PATH $HOME; pwd; sleep 0.5'", "1 x=y /bin /root\n/not/there"),
    row("standard input", "(echo through; sleep 1) | $RUN --rm $I one cat; (seq 300000; sleep 1) | $RUN --rm $I one sh -c 'md5sum; sleep 0.5'", "through\ndaef482d6c69"),
    row("a lot of output", "$RUN --rm $I one sh -c 'seq 300000; sleep 0.5' | md5sum", "daef482d6c69"),
    row("limits", "$RUN -d --memory-limit 67108864 --cpus 0.5 --cpu-shares 512 $I one sleep 1000; cd /sys/fs/cgroup; cat memory/$N/one/memory.limit_in_bytes cpu/$N/one/cpu.cfs_quota_us cpu/$N/one/cpu.cfs_period_us cpu/$N/one/cpu.shares; $C t rm -f one; $C c rm one", "67108864\n50000\n100000\n512"),
    row("quota and period", "$RUN -d --cpu-quota 30000 --cpu-period 50000 $I one sleep 1000; cat /sys/fs/cgroup/cpu/$N/one/cpu.cfs_quota_us /sys/fs/cgroup/cpu/$N/one/cpu.cfs_period_us; $C t rm -f one; $C c rm one", "30000\n50000"),
    row("devices", "$RUN -d --device /dev/kmsg $I one sleep 1000; $C t exec --exec-id s one sh -c 'stat -c \"%n %t:%T %a\" /dev/kmsg; sleep 0.5'; sort /sys/fs/cgroup/devices/$N/one/devices.list; $C t rm -f one; $C c rm one", "/dev/kmsg 1:b 644\nb *:* m\nc *:* m\nc 10:200 rwm\nc 136:* rwm\nc 1:11 rwm"),
    row("capabilities and filter", "$RUN --rm --cap-add CAP_SYS_TIME --cap-drop CAP_KILL --allow-new-privs --seccomp $I one sh -c 'grep -e Cap -e Seccomp: -e NoNew /proc/self/status; sleep 0.5'", "CapEff:\t00000000aa0425db"),
    row("what is the default", "$RUN --rm $I one sh -c 'grep -e Cap -e Seccomp: -e NoNew -e Groups /proc/self/status; cut -d\" \" -f2 /proc/self/mounts | sort; ls /dev | grep -v core; sleep 0.5'", "CapEff:\t00000000a80425fb"),
    row("a privileged container", "$RUN --rm --privileged $I one sh -c 'grep -e CapB -e Seccomp: /proc/self/status; mount -t tmpfs x /mnt && echo mounted; sleep 0.5'", "mounted"),
    row("a seccomp profile", "echo '{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}' > profile.json; $RUN --rm --seccomp --seccomp-profile profile.json $I one sh -c 'mkdir /tmp/x; chmod 777 /tmp; echo chmod $?; sleep 0.5'", "Operation not permitted"),
    row("a read-only root", "$RUN --rm --read-only $I one sh -c 'echo x > /f; sleep 0.5'", "Read-only file system"),
    row("mounts", "mkdir -p b; echo data > b/f; $RUN --rm --mount type=bind,src=$PWD/b,dst=/b,options=rbind:ro --mount type=tmpfs,src=tmpfs,dst=/new/place,options=size=1m:mode=1770:noexec $I one sh -c 'cat /b/f; echo x > /b/g; grep -e \" /b \" -e /new/place /proc/self/mountinfo | cut -d\" \" -f5,6; stat -c %a /new/place; sleep 0.5'", "data\n/b ro,relatime\n/new/place rw,noexec,relatime\n1770"),
    row("a missing source of a mount", "$RUN --rm --mount type=bind,src=/no/such,dst=/b,options=rbind:ro $I one true 2>&1 | grep -o 'no such file or directory'; ls $S", "no such file or directory"),
    row("the host's network", "test \"$($RUN --rm --net-host $I one sh -c 'readlink /proc/self/ns/net; sleep 0.5')\" = \"$(readlink /proc/self/ns/net)\" && echo same", "same"),
    row("namespaces of another container", "$RUN -d --pid-file pid $I one sleep 1000; p=/proc/$(cat pid)/ns; $RUN -d --with-ns network:$p/net --with-ns ipc:$p/ipc --with-ns uts:$p/uts --pid-file pid2 $I two sleep 1000; for n in net ipc uts mnt pid cgroup; do test $(readlink $p/$n) = $(readlink /proc/$(cat pid2)/ns/$n) && echo $n; done; $C t rm -f one two; $C c rm one two", "net\nipc\nuts\ncgroup\n"),
    row("a user namespace", "$RUN --rm --uidmap 0:100000:1000 --gidmap 0:100000:1000 $I one sh -c 'cat /proc/self/uid_map; touch /f && stat -c %u /f; sleep 0.5'", "100000       1000\n0\n"),
    row("a cgroup by name, and the runtime's own", "$RUN --rm --cgroup /$N/deep/one $I one sh -c 'grep pids: /proc/self/cgroup | cut -d: -f2-; sleep 0.5'; $RUN --rm --cgroup '' $I $N-x sh -c 'grep pids: /proc/self/cgroup | cut -d: -f2-; sleep 0.5'", "pids:/NS/deep/one\npids:/NS-x"),
    row("a root filesystem of one's own", "cp -a $ROOT root; $RUN --rm --rootfs --env PATH=/bin --read-only $PWD/root one sh -c 'cat /mnt/file; sleep 0.5'", "of the root filesystem"),
    row("a config.json of one's own", "test -d root || cp -a $ROOT root; $C oci spec | jq \".root.path=\\\"$PWD/root\\\" | .hostname=\\\"named\\\" | .process.env=[\\\"PATH=/bin\\\"] | .process.user={uid:1000,gid:1000,additionalGids:[7]} | .process.args=[\\\"sh\\\",\\\"-c\\\",\\\"hostname; id; ulimit -n; echo \\$HOME; sleep 0.5\\\"] | .process.rlimits=[{type:\\\"RLIMIT_NOFILE\\\",hard:200,soft:100}] | .linux.cgroupsPath=\\\"/$N/one\\\"\" > c.json; $RUN --rm --config c.json one", "named\nuid=1000(user) gid=1000(user) groups=7\n100\n/home/user"),
    row("hooks", "test -d root || cp -a $ROOT root; H='{path:\"/bin/sh\",args:[\"sh\",\"-c\",\"cat >> states\"]}'; $C oci spec | jq \".root.path=\\\"$PWD/root\\\" | .process.env=[\\\"PATH=/bin\\\"] | .process.args=[\\\"true\\\"] | .annotations={a:\\\"b\\\"} | .linux.cgroupsPath=\\\"/$N/one\\\" | .hooks={prestart:[$H],createRuntime:[$H],poststop:[$H]}\" > h.json; sed -i \"s#states#$PWD/states#\" h.json; $RUN --rm --config h.json one; jq -c '[.id, .status, .annotations, has(\"pid\")]' states", "[\"one\",\"stopped\",{\"a\":\"b\"}"),
    row("a hook that fails", "test -d root || cp -a $ROOT root; $C oci spec | jq \".root.path=\\\"$PWD/root\\\" | .process.env=[\\\"PATH=/bin\\\"] | .process.args=[\\\"true\\\"] | .linux.cgroupsPath=\\\"/$N/one\\\" | .hooks={createRuntime:[{path:\\\"/bin/sh\\\",args:[\\\"sh\\\",\\\"-c\\\",\\\"echo because >&2; exit 3\\\"]}]}\" > h.json; $RUN --rm --config h.json one 2>&1 | grep -o -e 'exit status 3' -e because; ls $S", "exit status 3\nbecause"),
    row("a terminal", "script -E never -qec \"stty rows 33 cols 101; $RUN --rm -t $I one sh -c 'sleep 0.5; stty size; tty; test -t 2 && echo all; sleep 0.5; exit 4'\" /dev/null", "33 101\n/dev/pts/0\nall\nstatus 4"),
    row("output to nowhere, to a file, and by named pipes elsewhere", "mkdir -p fifos; $RUN --rm --null-io $I one echo lost; $RUN --rm --log-uri file://$PWD/log $I one sh -c 'echo logged; sleep 0.5'; cat log; $RUN --rm --fifo-dir $PWD/fifos $I one sh -c 'echo piped; sleep 0.5'", "logged\npiped"),
    row("without pivot_root", "$RUN --rm --no-pivot $I one sh -c 'ls /mnt; sleep 0.5'", "file"),
    row("a root that follows the host's mounts", "$RUN --rm --rootfs-propagation slave $I one sh -c 'grep -c shared: /proc/self/mountinfo; sleep 0.5'", "0\n"),
    row("no systemd", "$RUN --rm --runc-systemd-cgroup --cgroup a.slice:b:c $I one true 2>&1 | grep -o 'systemd not running on this host, cannot use systemd cgroups manager'; ls $S", "systemd not running on this host"),
];

/// The life of a task, and several that work together. Metrics and OOM kills are the shim's own work, and it finds no cgroups at all while
/// a hierarchy of v1 exists that is not mounted where it looks.
#[rustfmt::skip]
const LIFE: &[Row] = &[
    row("from create to delete", "$C c create $I one sleep; $C c ls -q; $C c rm one; $RUN -d $I one sh -c 'trap \"exit 3\" TERM; echo > /up; while :; do sleep 0.05; done'; $C t ls | tail -n +2 | tr -s ' ' | cut -d' ' -f1,3; $C t exec --exec-id w one sh -c 'until test -e /up; do sleep 0.05; done'; $C t kill one; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t rm one 2>&1 | grep -o 'exit code.*'; $C c rm one; $C c ls -q", "one RUNNING\nexit code 3"),
    row("with the runtime that is in PATH", "$C c create $I one false; $C t start -d one; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t rm one 2>&1 | grep -o 'exit code.*'; $C c rm one", "exit code 1"),
    row("exec", "$RUN -d $I one sleep 1000; $C t exec --exec-id a one sh -c 'echo out; echo err >&2; sleep 0.5; exit 5'; echo $?; $C t exec --exec-id a --cwd /tmp --user user one sh -c 'pwd; id; sleep 0.5'; $C t exec --exec-id a --user 1000:7 one sh -c 'id; grep -e Cap -e NoNew /proc/self/status; sleep 0.5'; (echo in; sleep 0.5) | $C t exec --exec-id a one cat; (seq 300000; sleep 0.5) | $C t exec --exec-id a one sh -c 'md5sum; sleep 0.5'; $C t rm -f one; $C c rm one", "out\n5\n/tmp\nuid=1000(user) gid=1000(user) groups=1000(user)\nuid=1000(user) gid=7"),
    row("exec that fails", "$RUN -d $I one sleep 1000; for c in nonexistent /no/such /etc/passwd; do $C t exec --exec-id a one $c; echo $?; done; $C t exec --exec-id a one /etc 2>&1 | grep -o 'permission denied'; $C t exec --exec-id a --cwd /none one pwd 2>&1 | grep -o 'exec failed.*no such file or directory'; $C t exec --exec-id a one sh -c 'echo still; sleep 0.5'; $C t rm -f one; $C c rm one", "exec failed: unable to start container process: exec: \"nonexistent\": executable file not found in $PATH"),
    row("exec with a terminal", "$RUN -d $I one sleep 1000; script -E never -qec \"stty rows 33 cols 101; $C t exec --exec-id x -t one sh -c 'sleep 0.5; stty size; tty; sleep 0.5; exit 4'\" /dev/null; echo $?; $C t rm -f one; $C c rm one", "33 101\n/dev/pts/0\n4"),
    row("exec, detached", "$RUN -d $I one sleep 1000; $C t exec -d --exec-id d one sleep 1001; $C t ps one | wc -l; $C t rm --exec-id d one; $C t kill --exec-id d -s 9 one; sleep 0.3; $C t rm --exec-id d one; $C t kill --exec-id d -s 9 one; $C t ps one | wc -l; $C t rm -f one; $C c rm one", "3\n2\n"),
    row("exec, killed", "$RUN -d $I one sleep 1000; $C t exec --exec-id s one sleep 1001 & until $C t ps one | grep -q '\"s\"\\|exec'; do n=$((n+1)); test $n -gt 100 && break; sleep 0.05; done; $C t kill --exec-id s -s KILL one; wait $!; echo $?; $C t kill --exec-id s -s KILL one; $C t rm -f one; $C c rm one", "137\n"),
    row("signals", "$RUN -d $I one sh -c 'trap \"echo got >> /got\" USR1; echo > /up; while :; do sleep 0.05; done'; $C t exec --exec-id w one sh -c 'until test -e /up; do sleep 0.05; done'; $C t kill -s 10 one; sleep 0.3; $C t kill -s SIGUSR1 one; sleep 0.3; $C t kill -s nonsense one; $C t exec --exec-id c one sh -c 'cat /got; sleep 0.5'; $C t rm -f one; $C c rm one", "got\ngot\n"),
    row("a signal for all", "$RUN -d $I one sh -c 'sh -c \"trap \\\"echo child >> /got\\\" USR1; echo > /up; while :; do sleep 0.05; done\" & trap \"echo first >> /got\" USR1; while :; do sleep 0.05; done'; $C t exec --exec-id w one sh -c 'until test -e /up; do sleep 0.05; done'; $C t kill -a -s USR1 one; sleep 0.3; $C t kill -s USR1 one; sleep 0.3; $C t exec --exec-id c one sh -c 'sort /got; sleep 0.5'; $C t rm -f one; $C c rm one", "child\nfirst\nfirst\n"),
    row("pause and resume", "$RUN -d $I one sleep 1000; $C t pause one; $C t ls | tail -n +2 | tr -s ' ' | cut -d' ' -f1,3; cat /sys/fs/cgroup/freezer/$N/one/freezer.state; $C t exec --exec-id x one true; echo $?; $C t pause one; $C t resume one; $C t exec --exec-id x one sh -c 'echo thawed; sleep 0.5'; $C t resume one; $C t pause one; $C t kill -s KILL one; for i in $(seq 50); do $C t ls | grep STOPPED | tr -s ' ' | cut -d' ' -f1,3 && break; sleep 0.1; done; $C t rm one; $C c rm one", "one PAUSED\nFROZEN\n1\nthawed\none STOPPED"),
    row("processes and metrics", "$RUN -d --memory-limit 67108864 $I one sh -c 'sleep 1000 & sleep 1001'; until [ $($C t ps one | wc -l) = 3 ]; do sleep 0.05; done; $C t metrics one | tail -n +4 | cut -d' ' -f1; $C t metrics one | grep -e memory.limit -e pids | tr -s ' '; $C t metrics --format json one | jq -c 'keys, .memory.usage.limit, .pids'; $C t rm -f one; $C c rm one", "memory.limit_in_bytes 67108864\npids.current 2"),
    row("what the runtime itself says", "$RUN -d --annotation a=b $I one sleep 1000; $R --root $S state one | jq -c '[keys, .status, .id, .owner, .annotations]'; $R --root $S list -q; $R --root $S ps --format json one | jq length; $R --root $S events --stats one | jq -c '[.type, .id, .data.pids]'; $R --root $S --log log --log-format json start one; echo $?; jq -r .level,.msg log; $C t rm -f one; $C c rm one; ls $S", "\"running\",\"one\",\"\",{\"a\":\"b\"}]"),
    row("all processes killed", "$RUN -d --pid-file pid $I one sleep 1000; $RUN -d --with-ns pid:/proc/$(cat pid)/ns/pid $I two sh -c 'sleep 1001 & sleep 1002'; until [ $($C t ps two | wc -l) = 3 ]; do sleep 0.05; done; $C t kill -a -s KILL two; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t ps two | wc -l; $C t exec --exec-id x one sh -c 'ps; sleep 0.5' | grep -c 'sleep 100[12]'; $C t rm -f one two; $C c rm one two", "1\n0\n"),
    row("processes that outlive the first one", "$RUN -d --pid-file pid $I one sleep 1000; $RUN --rm --with-ns pid:/proc/$(cat pid)/ns/pid $I two sh -c 'sleep 1001 & exit 5'; echo $?; ls -d /sys/fs/cgroup/pids/$N/two $S/two 2>&1 | wc -l; $C t exec --exec-id x one sh -c 'ps; sleep 0.5' | grep -c 'sleep 100[12]'; $C t rm -f one; $C c rm one", "5\n2\n0\n"),
    row("a task that has ended", "$RUN -d $I one sh -c 'exit 3'; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t kill one; $C t kill -s 0 one; $C t kill -a -s KILL one; echo $?; $C t exec --exec-id x one true; $C t pause one; $C t resume one; $C t ps one; $C t start one; $C t rm one; $C t rm one 2>&1 | grep -o 'not found$'; $C t kill one; $C t exec --exec-id x one true; $C t pause one; $C t metrics one; $C c rm one; $C c rm one 2>&1 | grep -o 'not found$'", "ctr: process already finished: not found"),
    row("what must not be deleted", "$RUN -d $I one sleep 1000; $C t rm one; $C c rm one; $RUN -d $I one true; $C t start one; $C t kill -s KILL one; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t rm one; $C c rm one", "task must be stopped before deletion"),
    row("a task after another", "$RUN -d $I one sh -c 'echo x >> /runs; wc -l < /runs > /n; sleep 1000'; for i in 1 2 3; do $C t exec --exec-id x one sh -c 'until test -s /n; do sleep 0.05; done; cat /n; rm /n; sleep 0.5'; $C t rm -f one; $C t start -d one; done; $C t rm -f one; $C c rm one", "1\n2\n3\n"),
    row("attach", "$RUN -d $I one sh -c 'sleep 1; echo late; sleep 0.5; exit 4'; $C t attach one; echo $?; $C c rm one", "late\n4"),
    row("a shim that is killed", "$RUN -d --pid-file pid $I one sh -c 'sleep 1000 & sleep 1001'; kill -9 $(cut -d' ' -f4 /proc/$(cat pid)/stat); until [ $($C t ls | wc -l) = 1 ]; do sleep 0.05; done; for i in $(seq 40); do test -e /sys/fs/cgroup/pids/$N/one || break; sleep 0.05; done; ls -d /sys/fs/cgroup/pids/$N/one; ls $S; for i in $(seq 40); do $C t start -d one 2>/dev/null && break; sleep 0.1; done; $C t exec --exec-id x one sh -c 'echo again; sleep 0.5'; $C t rm -f one; $C c rm one", "again"),
    row("many at once", "for i in 1 2 3 4 5 6; do $RUN -d $I c$i sleep 1000 & done; wait; $C t ls | grep -c RUNNING; for i in 1 2 3 4 5 6; do $C t exec --exec-id x c$i sh -c 'echo alive; sleep 0.5' & done; wait; for i in 1 2 3 4 5 6; do $C t rm -f c$i & done; wait; $C t ls -q; $C c rm c1 c2 c3 c4 c5 c6; ls $S", "6\nalive\nalive\nalive\nalive\nalive\nalive\nstatus 0"),
    row("events", "$C events > ev & e=$!; until test -s ev; do $C ns label $N a=b; sleep 0.1; done; $RUN -d $I one sleep 1000; $C t exec --exec-id x one sh -c 'exit 3'; sleep 0.5; $C t exec --exec-id y one nonexistent 2>/dev/null; $C t pause one; $C t resume one; $C t kill -s KILL one; until $C t ls | grep -q STOPPED; do sleep 0.05; done; $C t rm one; $C c rm one; sleep 0.3; kill $e; grep -o '/tasks/.*' ev | sed -e 's/ {/\\n{/' | sed -e '/^{/!b' -e 's/.*\"container_id\":\"one\"/one/' -e 's/\"pid\":[0-9]*/pid/' -e 's/,\"exited_at.*//' -e 's/,\"bundle.*//'", "/tasks/create\none\n/tasks/start\none,pid}\n/tasks/exec-added\none,\"exec_id\":\"x\"}\n/tasks/exec-started\none,\"exec_id\":\"x\",pid}\n/tasks/exit\none,\"id\":\"x\",pid,\"exit_status\":3\n"),
    row("events of too little memory", "$C events > ev & e=$!; until test -s ev; do $C ns label $N a=b; sleep 0.1; done; $RUN -d --memory-limit 16777216 $I one sh -c '(x=a; while :; do x=$x$x; done); sleep 1000'; for i in $(seq 100); do grep -q /tasks/oom ev && break; sleep 0.1; done; $C t rm -f one; $C c rm one; sleep 0.5; kill $e; grep -o '/tasks/[a-z]*' ev | uniq", "/tasks/create\n/tasks/start\n/tasks/oom\n/tasks/exit\n/tasks/delete"),
    row("too little memory", "$RUN --rm --memory-limit 16777216 $I one sh -c 'x=a; while :; do x=$x$x; done'", "status 137"),
];

/// What runc 1.1 leaves undone.
#[rustfmt::skip]
const BEYOND: &[Row] = &[
    row("a shared root", "$RUN --rm --rootfs-propagation shared $I one sh -c 'grep \" / / \" /proc/self/mountinfo | cut -d\" \" -f7 | cut -d: -f1; sleep 0.5'", "shared"),
    row("no PATH at all", "cp -a $ROOT root; $RUN --rm --rootfs $PWD/root one sh -c 'echo found; sleep 0.5'", "found"),
];

/// Where a containerd is, and the namespace of its clients.
struct Place {
    directory: PathBuf,
    namespace: String,
}

fn place(case: &Case, name: &str) -> Place {
    Place {
        directory: case.path(name),
        namespace: format!("{}-{name}", case.id),
    }
}

/// A containerd with the image.
fn start(place: &Place, path: Option<&Path>) -> Containerd {
    let containerd = containerd::start_for(&place.directory, &place.namespace, path);
    containerd::import_image(&containerd);
    containerd
}

/// Runs the rows in a containerd that has been started for one runtime.
fn observe_all(place: &Place, runtime: &Path, path: Option<&Path>, rows: &[Row]) -> Vec<Observed> {
    let containerd = start(place, path);
    let scripts = place.directory.join("scripts");
    fs::create_dir(&scripts).expect("a directory");
    let mut variables = containerd.variables(runtime);
    variables.push(("ROOT", rootfs::shared().display().to_string()));
    let one = |row| {
        let observed = observe(row, &[], &variables, &scripts);
        Observed {
            text: observed.text.replace(&place.namespace, "NS"),
        }
    };
    rows.iter().map(one).collect()
}

/// Runs rows with both runtimes, side by side.
fn compare(case: &Case, rows: &[Row]) {
    let bin = as_runc(&case.path(""));
    let places = ["theirs", "ours"].map(|name| place(case, name));
    let [place_of_theirs, place_of_ours] = &places;
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| observe_all(place_of_theirs, Path::new(RUNC), None, rows));
        let ours = scope.spawn(|| observe_all(place_of_ours, &tested(), Some(&bin), rows));
        (
            theirs.join().expect("runc's part"),
            ours.join().expect("our part"),
        )
    });
    assert_same(rows, &theirs, &ours);
}

fn tested() -> PathBuf {
    binary().canonicalize().expect("the runtime's path")
}

#[test]
fn ctr_run_is_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, RUN);
}

#[test]
fn tasks_live_under_containerd_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, LIFE);
}

#[test]
fn what_runc_leaves_undone_works() {
    if !only_ocirun("it is about what others leave undone") {
        return;
    }
    let Some(case) = case() else { return };
    let observed = observe_all(&place(&case, "ours"), &tested(), None, BEYOND);
    assert_shown(BEYOND, &observed);
}

#[test]
fn a_person_works_at_a_terminal_and_comes_back() {
    let Some(case) = case() else { return };
    let containerd = start(&place(&case, "terminal"), None);
    let variables = containerd.variables(&tested());
    let ctr = |line: &str| {
        let mut command = Command::new("env");
        command.args(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        command.args(["sh", "-c", line]);
        command
    };
    let mut terminal = Terminal::new(33, 101);
    let mut client = terminal.run(&ctr("exec $RUN -t $I one sh"));
    terminal.says("# ");
    terminal.types("stty size; tty\r");
    terminal.says("33 101");
    terminal.says("/dev/pts/0");
    // ctr listens for changes a moment after the program has begun: one that comes before that is lost.
    for columns in 51..=55 {
        terminal.resize(22, columns);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    terminal.types("until test \"$(stty size)\" = '22 55'; do sleep 0.05; done; echo re''sized\r");
    terminal.says("resized");
    terminal.types("sh -c 'echo slee\"\"ping; sleep 1000'\r");
    terminal.says("sleeping");
    terminal.types("\u{3}");
    terminal.types("echo inter''rupted $?\r");
    terminal.says("interrupted 130");
    // The client goes; the container stays, and another client comes.
    client.kill().expect("kill ctr");
    client.wait().expect("wait for ctr");
    let mut terminal = Terminal::new(24, 80);
    let mut client = terminal.run(&ctr("exec $C t attach one"));
    terminal.types("\recho ba''ck; exit 7\r");
    terminal.says("back");
    assert_eq!(wait_child(&mut client, PATIENCE), Some(7));
    containerd.try_ctr(&["task", "rm", "-f", "one"]);
    containerd.ctr(&["containers", "rm", "one"]);
    drop(containerd);
}

#[test]
fn the_documentation_has_the_table() {
    let versions = ["containerd --version", "runc --version | head -1"];
    document("containerd", &versions, &[RUN, LIFE, BEYOND]);
}
