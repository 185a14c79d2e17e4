//! Docker with runc and with the runtime under test: the same commands, the same results. What is read from the files of v1
//! hierarchies has its twin where systemd makes the cgroups and all of them are v2, as on most machines of today; that is in the guest.

use std::fs;
use std::path::Path;

use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::docker::{self, Docker};
use oci_runtime_integration::engine::{
    Observed, Row, as_runc, assert_same, assert_shown, document, observe, row,
};
use oci_runtime_integration::runtime::{binary, only_ocirun, target_dir, tool};

/// Limits and cgroups, by the files of v1.
#[rustfmt::skip]
const V1: &[Row] = &[
    row("memory and swap limits", "$D run --rm --memory 64m --memory-swap 80m $I sh -c 'cd /sys/fs/cgroup/memory; cat memory.limit_in_bytes memory.memsw.limit_in_bytes'", "67108864\n83886080"),
    row("reservation and swappiness", "$D run --rm --memory-reservation 32m --memory-swappiness 10 $I sh -c 'cd /sys/fs/cgroup/memory; cat memory.soft_limit_in_bytes memory.swappiness'", "33554432\n10"),
    row("processors", "$D run --rm --cpus 0.5 --cpu-shares 512 $I sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares'", "50000\n512"),
    row("pids limit", "$D run --rm --pids-limit 33 $I cat /sys/fs/cgroup/pids/pids.max", "33"),
    row("cgroup namespaces", "$D run --rm --cgroupns private $I grep :pids: /proc/1/cgroup; $D run --rm --cgroupns host $I grep -c docker /proc/1/cgroup", ":/\n"),
    row("a cgroup parent", "$D run --rm --cgroup-parent /docker-case $I sh -c 'grep :pids: /proc/1/cgroup | cut -d/ -f2'", "docker-case"),
    row("update", "$D run -d --name one --memory 64m $I sleep 1000; $D update --memory 40m --memory-swap 60m --cpus 0.3 --pids-limit 20 one; $D exec one cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max; $D rm -f one", "41943040\n62914560\n30000\n20"),
];

/// One container each.
#[rustfmt::skip]
const RUN: &[Row] = &[
    row("cpuset", "$D run --rm --cpuset-cpus 0 --cpuset-mems 0 $I grep Cpus_allowed_list /proc/self/status", "\t0\n"),
    row("an OOM kill", "$D run --name oom --memory 16m --memory-swap 16m $I sh -c 'x=a; while :; do x=$x$x; done'; $D inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom; $D rm oom", "true 137"),
    row("capabilities", "$D run --rm --cap-drop ALL --cap-add NET_BIND_SERVICE $I grep Cap /proc/self/status", "CapEff:\t0000000000000400"),
    row("default capabilities and filter", "$D run --rm $I grep -e Cap -e Seccomp: -e NoNew /proc/self/status", "Seccomp:\t2"),
    row("a seccomp profile", "echo '{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}' > profile.json; $D run --rm --security-opt seccomp=profile.json $I sh -c 'mkdir /tmp/x; chmod 777 /tmp; echo chmod $?'", "Operation not permitted"),
    row("no filter", "$D run --rm --security-opt seccomp=unconfined $I grep Seccomp: /proc/self/status", "Seccomp:\t0"),
    row("no new privileges", "$D run --rm --security-opt no-new-privileges $I grep NoNew /proc/self/status", "NoNewPrivs:\t1"),
    row("a read-only root", "$D run --rm --read-only $I sh -c 'echo x > /f'", "Read-only file system"),
    row("tmpfs", "$D run --rm --tmpfs /scratch:size=1m,mode=1770,noexec $I grep /scratch /proc/mounts", "noexec,relatime,size=1024k,mode=1770"),
    row("volumes", "$D run --rm -v vol:/data $I sh -c 'echo kept > /data/f'; $D run --rm -v vol:/data:ro $I sh -c 'cat /data/f; echo x > /data/g'; $D volume rm vol", "kept\n"),
    row("a bind that follows the host's mounts", "mkdir -p bound; $D run --rm -v $PWD/bound:/b:rslave $I sh -c 'grep \" /b \" /proc/self/mountinfo | cut -d\" \" -f7 | cut -d: -f1'", "master"),
    row("a shared bind", "mkdir -p bound; $D run --rm -v $PWD/bound:/b:rshared $I sh -c 'grep \" /b \" /proc/self/mountinfo | cut -d\" \" -f7 | cut -d: -f1'", "shared"),
    row("a private read-only bind", "mkdir -p bound; $D run --rm --mount type=bind,src=$PWD/bound,dst=/b,readonly,bind-propagation=private $I sh -c 'grep \" /b \" /proc/self/mountinfo | cut -d\" \" -f6,7'", "ro,relatime -"),
    row("a device", "$D run --rm --device /dev/zero:/dev/zz:r $I sh -c 'head -c1 /dev/zz | wc -c; echo x > /dev/zz'", "1\n"),
    row("limits of the process", "$D run --rm --ulimit nofile=100:200 --ulimit core=0 $I sh -c 'ulimit -n; ulimit -Hn; ulimit -c'", "100\n200\n0"),
    row("kernel parameters", "$D run --rm --sysctl net.ipv4.ip_forward=0 --sysctl kernel.shmmax=1000000 $I cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax", "0\n1000000"),
    row("a terminal", "$D run --rm -t $I sh -c 'tty; test -t 1 && echo terminal'", "/dev/pts/0"),
    row("standard input", "echo through | $D run --rm -i $I cat", "through"),
    row("an init", "$D run --rm --init $I cat /proc/1/comm", "docker-init"),
    row("a user by number and groups", "$D run --rm --user 1000:1000 --group-add 55 $I id", "groups=55,1000"),
    row("a user by name", "$D run --rm --user user $I sh -c 'id; echo $HOME'", "/home/user"),
    row("the host's pids", "$D run --rm --pid host $I sh -c 'test $(ls /proc 2>/dev/null | grep -c \"^[0-9]\") -gt 5 && echo many'", "many"),
    row("no network", "$D run --rm --network none $I ip -o addr", "127.0.0.1"),
    row("the host's network", "$D run --rm --network host $I ls /sys/class/net", "docker0"),
    row("another container's network", "$D run -d --name other $I sleep 1000; a=$($D exec other readlink /proc/1/ns/net); b=$($D run --rm --network container:other $I readlink /proc/1/ns/net); test $a = $b && echo shared; $D rm -f other", "shared"),
    row("the host's IPC and names", "$D run --rm --ipc host --uts host $I hostname", "status 0"),
    row("shared memory", "$D run --rm --shm-size 2m $I sh -c 'df -k /dev/shm | tail -1 | tr -s \" \" | cut -d\" \" -f2'", "2048"),
    row("names", "$D run --rm --hostname h1 --domainname d1 $I sh -c 'hostname; cat /proc/sys/kernel/domainname'", "h1\nd1"),
    row("a working directory that is missing", "$D run --rm -w /not/there $I pwd", "/not/there"),
    row("environment and entry point", "$D run --rm -e A=1 --entrypoint /bin/sh $I -c 'echo $A $PATH'", "1 /usr"),
    row("what is masked", "$D run --rm $I sh -c 'wc -c < /proc/kcore; ls /proc/acpi /sys/firmware; echo x > /proc/sys/kernel/panic'", "Read-only file system"),
    row("scores and weights", "$D run --rm --oom-score-adj 500 --blkio-weight 300 $I cat /proc/self/oom_score_adj", "500"),
    row("an exit status", "$D run --rm $I sh -c 'exit 42'", "status 42"),
    row("a missing command is 127", "$D run --rm $I nonexistent", "executable file not found in $PATH"),
    row("a missing path is 127", "$D run --rm $I /no/such 2>/dev/null", "status 127"),
    row("a directory is 126", "$D run --rm $I /etc 2>/dev/null", "status 126"),
    row("a file that is no program is 126", "$D run --rm $I /etc/passwd 2>/dev/null", "status 126"),
];

/// Where systemd makes the cgroups, of v2 alone: the units, the values in the kernel's files, and what is left.
#[rustfmt::skip]
const SYSTEMD: &[Row] = &[
    row("limits as systemd and as the kernel have them, an update, a reload of systemd, and the end", r#"$D run -d --name one --memory 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpuset-cpus 0 --pids-limit 33 $I sleep 1000; g=/sys/fs/cgroup$(cut -d: -f3 /proc/$($D inspect -f '{{.State.Pid}}' one)/cgroup); u=${g##*/}; echo $g; systemctl show -p Id,ActiveState,SubState,Slice,Delegate,DefaultDependencies,Transient,MemoryAccounting,CPUAccounting,TasksAccounting,MemoryMax,MemorySwapMax,MemoryLow,CPUQuotaPerSecUSec,AllowedCPUs,TasksMax,DevicePolicy,OOMPolicy,KillMode $u | sort; cd $g; grep . memory.max memory.swap.max memory.low cpu.max cpuset.cpus pids.max; $D update --memory 40m --memory-swap 60m --cpus 0.3 --pids-limit 20 one; systemctl daemon-reload; systemctl show -p MemoryMax,MemorySwapMax,CPUQuotaPerSecUSec,TasksMax $u | sort; grep . memory.max memory.swap.max cpu.max pids.max; cd /; $D rm -f one; test -e $g || echo gone; systemctl list-units --all --plain --no-legend $u"#, "memory.max:67108864\nmemory.swap.max:33554432\nmemory.low:33554432\ncpu.max:50000 100000\ncpuset.cpus:0\npids.max:33\none\nCPUQuotaPerSecUSec=300ms\nMemoryMax=41943040\nMemorySwapMax=20971520\nTasksMax=20\nmemory.max:41943040\nmemory.swap.max:20971520\ncpu.max:30000 100000\npids.max:20\none\ngone\nstatus 0"),
    row("devices, and a reload of systemd", r#"$D run -d --name one --device /dev/kmsg:/dev/zz:w $I sleep 1000; systemctl daemon-reload; $D exec one sh -c 'echo x > /dev/zz && echo written; head -c1 /dev/zz; mknod /tmp/m c 1 1 && head -c1 /tmp/m; echo x > /dev/null && echo null'; $D rm -f one"#, "written\nnull\none\n"),
    row("processes, a pause, and statistics", r#"$D run -d --name one $I sh -c 'sleep 1000 & exec sleep 1001'; g=/sys/fs/cgroup$(cut -d: -f3 /proc/$($D inspect -f '{{.State.Pid}}' one)/cgroup); u=${g##*/}; until grep -qx 2 $g/pids.current; do sleep 0.1; done; $D pause one; grep frozen $g/cgroup.events; $D inspect -f '{{.State.Status}}' one; $D unpause one; grep frozen $g/cgroup.events; $D exec one cat /proc/self/cgroup; $D stats --no-stream --format '{{.PIDs}}' one; $D rm -f one"#, "frozen 1\npaused\none\nfrozen 0\n0::/\n2\n"),
];

/// The same, for what is done less often.
#[rustfmt::skip]
const SYSTEMD_MORE: &[Row] = &[
    row("an OOM kill, and no failed unit", r#"$D run -d --name one --memory 16m --memory-swap 16m $I sh -c '(x=a; while :; do x=$x$x; done); until test -e /go; do sleep 0.1; done; exit 5'; until $D inspect -f '{{.State.OOMKilled}}' one | grep -q true; do sleep 0.1; done; $D exec one touch /go; $D wait one; $D inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' one; $D rm one; systemctl list-units --all --plain --no-legend 'docker-*.scope'"#, "\n5\ntrue 5\none\nstatus 0"),
    row("a slice as the parent", r#"$D run -d --name one --cgroup-parent case-docker.slice $I sleep 1000; g=/sys/fs/cgroup$(cut -d: -f3 /proc/$($D inspect -f '{{.State.Pid}}' one)/cgroup); u=${g##*/}; echo $g; systemctl show -p Slice,ControlGroup $u | sort; $D rm -f one; test -e $g || echo gone; systemctl list-units --all --plain --no-legend $u; systemctl stop case-docker.slice"#, "case.slice/case-docker.slice/docker-ID.scope"),
    row("cgroups as a container sees them", r#"for n in private host; do $D run --rm --cgroupns $n $I sh -c 'cut -d/ -f-2 /proc/self/cgroup; grep cgroup /proc/mounts | cut -d" " -f2-4 | cut -d, -f-5; mkdir /sys/fs/cgroup/x'; done"#, "0::/\n/sys/fs/cgroup cgroup2 ro,"),
    row("everything that the host can give", r#"$D run --rm --privileged $I sh -c 'grep -e CapEff -e Seccomp: /proc/self/status; mount -t tmpfs x /mnt && echo mounted; mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo made; ls /dev | grep -c -e ^kmsg$ -e ^fuse$ -e ^loop-control$; mknod /tmp/m c 1 1 && head -c1 /tmp/m | wc -c'"#, "mounted\nmade\n"),
    row("restarts, each with the same unit's name", r#"$D run -d --name one --restart on-failure:2 $I sh -c 'exit 3'; until [ "$($D inspect -f '{{.RestartCount}} {{.State.Status}}' one)" = '2 exited' ]; do sleep 0.2; done; $D inspect -f '{{.RestartCount}} {{.State.ExitCode}}' one; systemctl list-units --all --plain --no-legend 'docker-*.scope'; $D start one; $D rm -f one"#, "\n2 3\none\n"),
    row("systemd stops a scope", r#"$D run -d --name one $I sh -c 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done'; until $D logs one | grep -q up; do sleep 0.1; done; g=/sys/fs/cgroup$(cut -d: -f3 /proc/$($D inspect -f '{{.State.Pid}}' one)/cgroup); u=${g##*/}; systemctl stop $u; $D wait one; $D rm -f one; test -e $g || echo gone; systemctl list-units --all --plain --no-legend $u"#, "\n3\none\ngone\nstatus 0"),
    row("a command that is missing leaves no unit", r#"$D run --rm $I nonexistent; systemctl list-units --all --plain --no-legend 'docker-*.scope'"#, "executable file not found in $PATH"),
    row("values without limits", r#"$D run -d --name one --memory 64m $I sleep 1000; g=/sys/fs/cgroup$(cut -d: -f3 /proc/$($D inspect -f '{{.State.Pid}}' one)/cgroup); u=${g##*/}; $D update --pids-limit -1 one; $D update --cpuset-cpus 0-1 one; systemctl daemon-reload; cd $g; grep . memory.max memory.swap.max pids.max cpuset.cpus cpu.max; systemctl show -p MemoryMax,MemorySwapMax,TasksMax,AllowedCPUs $u | sort; cd /; $D rm -f one"#, "pids.max:max\ncpuset.cpus:0-1\ncpu.max:max 100000"),
];

/// Rows of others that are seen there too: what a kernel without v1 does in other ways.
const WITH_SYSTEMD: &[&str] = &[
    "capabilities",
    "a read-only root",
    "exec",
    "a seccomp profile",
];

/// What the runtime may give less of than is asked for (config.md, "Linux Process": a capability that cannot be granted is a
/// warning), where runc gives up.
#[rustfmt::skip]
const BEYOND: &[Row] = &[
    row("everything that the host can give", "$D run --rm --privileged $I sh -c 'mount -t tmpfs x /mnt && echo mounted'", "mounted\nstatus 0"),
];

/// The life of a container, and several that work together.
#[rustfmt::skip]
const LIFE: &[Row] = &[
    row("an empty command is 127", "$D run --rm $I '' 2>/dev/null", "status 127"),
    row("a directory on a file", "for i in 1 2; do $D run --rm -v $PWD:/etc/passwd $I true; done 2>&1 | grep -o 'Are you trying.*'", "Are you trying to mount a directory onto a file"),
    row("exec", "$D run -d --name one $I sleep 1000; $D exec one echo hi; $D exec -e A=1 -w /tmp -u 1000 one sh -c 'id -u; pwd; echo $A'; $D exec -t one tty; echo in | $D exec -i one cat; $D exec one nonexist; echo $?; $D exec one sh -c 'exit 9'; echo $?; $D rm -f one", "hi\n1000\n/tmp\n1\n/dev/pts/"),
    row("stop by SIGTERM", "$D run -d --name one $I sh -c 'trap \"exit 3\" TERM; while :; do sleep 0.1; done'; sleep 1; $D stop -t 20 one; $D inspect -f '{{.State.ExitCode}}' one; $D rm one", "\n3\n"),
    row("stop by SIGKILL", "$D run -d --name one $I sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'; sleep 1; $D stop -t 1 one; $D inspect -f '{{.State.ExitCode}}' one; $D rm one", "\n137\n"),
    row("a signal by name", "$D run -d --name one $I sh -c 'trap \"echo usr1; exit 0\" USR1; while :; do sleep 0.1; done'; sleep 1; $D kill -s USR1 one; $D wait one; $D logs one; $D rm one", "usr1"),
    row("start again", "$D run --name one $I sh -c 'echo once'; $D start -a one; $D logs one; $D rm one", "once\nonce\nonce\nonce"),
    row("restart policies", "$D run -d --name one --restart on-failure:2 $I sh -c 'exit 3'; for i in $(seq 100); do [ \"$($D inspect -f '{{.RestartCount}} {{.State.Status}}' one)\" = '2 exited' ] && break; sleep 0.2; done; $D inspect -f '{{.RestartCount}} {{.State.ExitCode}}' one; $D rm one", "2 3"),
    row("pause", "$D run -d --name one $I sleep 1000; $D pause one; $D inspect -f '{{.State.Status}}' one; $D exec one true; $D unpause one; $D exec one echo thawed; $D rm -f one", "paused\n"),
    row("stats and top", "$D run -d --name one $I sh -c 'sleep 1000 & sleep 1001'; sleep 1; $D stats --no-stream --format '{{.PIDs}}' one; $D top one -o pid,args | sed 's/^ *[0-9]* *//'; $D rm -f one", "\n2\n"),
    row("logs and attach", "$D run -d --name one $I sh -c 'echo out; echo err >&2'; $D wait one; $D logs one; $D rm one; echo said | $D run -i --rm $I sh -c 'read x; echo $x'", "said"),
    row("health checks", "$D run -d --name one --health-cmd 'test -e /ok' --health-interval 1s $I sh -c 'touch /ok; sleep 1000'; for i in $(seq 60); do [ \"$($D inspect -f '{{.State.Health.Status}}' one)\" = healthy ] && break; sleep 0.3; done; $D inspect -f '{{.State.Health.Status}}' one; $D rm -f one", "healthy"),
    row("files in and out", "$D run -d --name one $I sleep 1000; echo copied > f; $D cp f one:/tmp/f; $D exec one cat /tmp/f; $D cp one:/etc/passwd - | tar t; $D rm -f one", "copied\npasswd"),
    row("a published port", "$D run -d --name one -p 127.0.0.1:8080:80 $I sh -c 'echo page > /tmp/index.html; httpd -f -p 80 -h /tmp'; for i in 1 2 3 4 5 6 7 8 9; do $NET busybox wget -qO- http://127.0.0.1:8080 && break; sleep 0.5; done; $D rm -f one", "page"),
    row("containers by name", "$D network create net; $D run -d --name web --network net $I sh -c 'echo named > /tmp/index.html; httpd -f -p 80 -h /tmp'; sleep 1; $D run --rm --network net $I wget -qO- http://web/; $D rm -f web; $D network rm net", "named"),
    row("a build", "mkdir -p b; printf 'FROM %s\\nRUN echo built > /made && id -u\\nUSER 1000\\nRUN id -u > /tmp/uid\\nCMD cat /made /tmp/uid\\n' $I > b/Dockerfile; DOCKER_BUILDKIT=0 $D build -q -t built b; $D run --rm built; $D rmi -f built", "built\n1000"),
    row("a build by BuildKit", "mkdir -p k; printf 'FROM %s\\nRUN --mount=type=tmpfs,target=/t echo kit > /made && ! test -e /nothing\\nCMD cat /made\\n' $I > k/Dockerfile; DOCKER_BUILDKIT=1 $D build -q -t kit k >/dev/null 2>&1; $D run --rm kit; $D rmi -f kit", "kit\n"),
    row("a failed build", "mkdir -p x; printf 'FROM %s\\nRUN exit 7\\n' $I > x/Dockerfile; DOCKER_BUILDKIT=0 $D build -q --force-rm x", "non-zero code: 7"),
    row("a Swarm service, one replica of which is killed", "$D swarm init --advertise-addr 127.0.0.1 >/dev/null; $D service create -q --detach=false --name s --restart-delay 100ms --replicas 3 $I sleep 1000 >/dev/null 2>&1; $D ps -q | wc -l; $D kill $($D ps -q | head -1) >/dev/null; for i in $(seq 100); do n=$($D service ps -q -f desired-state=shutdown s | wc -l); r=$($D service ls --format '{{.Replicas}}'); [ \"$n $r\" = '1 3/3' ] && break; sleep 0.3; done; echo $n $r; $D service rm s; $D swarm leave --force", "3\n1 3/3"),
    row("a Compose stack", "mkdir -p stack; printf 'version: \"3\"\\nservices:\\n  db:\\n    image: %s\\n    command: sh -c \"echo rows > /tmp/index.html; httpd -f -p 80 -h /tmp\"\\n  app:\\n    image: %s\\n    command: sh -c \"until wget -qO /tmp/index.html http://db/; do sleep 0.2; done; httpd -f -p 80 -h /tmp\"\\n    depends_on: [db]\\n  web:\\n    image: %s\\n    command: sh -c \"until wget -qO- http://app/; do sleep 0.2; done\"\\n    depends_on: [app]\\n' $I $I $I > stack/docker-compose.yml; cd stack; docker-compose up -d >/dev/null 2>&1; $D wait stack_web_1; $D logs stack_web_1 2>/dev/null; docker-compose ps -q | wc -l; docker-compose down -t 1 >/dev/null 2>&1; $D ps -aq | wc -l", "rows\n3\n0"),
];

/// With every container in a user namespace.
#[rustfmt::skip]
const REMAPPED: &[Row] = &[
    row("ids that are mapped", "$D run --rm $I sh -c 'cat /proc/self/uid_map; id -u; touch /f && echo made'", "made"),
    row("exec, limits and volumes in a user namespace", "$D run -d --name one --memory 64m -v vol:/v $I sleep 1000; $D exec one sh -c 'id -u; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; touch /v/f && echo volume'; $D rm -f one; $D volume rm vol", "0\n67108864\nvolume"),
    row("a user of the namespace", "$D run --rm --user 1000 $I id -u", "1000"),
];

/// Runs rows with both runtimes, side by side.
fn compare(case: &Case, rows: &[Row], flags: &[&str]) {
    let runtime = binary().canonicalize().expect("the runtime's path");
    let bin = as_runc(&case.path(""));
    let places = ["theirs", "ours"].map(|name| case.path(name));
    let [place_of_theirs, place_of_ours] = &places;
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| {
            let docker = docker::start(place_of_theirs, Path::new("/usr/sbin/runc"), None, flags);
            observe_all(&docker, rows, place_of_theirs)
        });
        let ours = scope.spawn(|| {
            let docker = docker::start(place_of_ours, &runtime, Some(&bin), flags);
            observe_all(&docker, rows, place_of_ours)
        });
        (
            theirs.join().expect("runc's part"),
            ours.join().expect("our part"),
        )
    });
    assert_same(rows, &theirs, &ours);
}

fn observe_all(docker: &Docker, rows: &[Row], directory: &Path) -> Vec<Observed> {
    docker.import_image();
    observe_each(rows, &docker.variables(), directory)
}

fn observe_each<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    variables: &[(&str, String)],
    directory: &Path,
) -> Vec<Observed> {
    let scripts = directory.join("scripts");
    fs::create_dir_all(&scripts).expect("a directory");
    let one = |row| observe(row, &[], variables, &scripts);
    rows.into_iter().map(one).collect()
}

/// Runs rows with both runtimes of one daemon where it has systemd make the cgroups, as it does by itself.
fn compare_with_systemd(rows: &[&Row]) {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    if !Path::new("/run/systemd/system").exists() || cgroup::v1("memory", "/").is_some() {
        eprintln!("not run: this host has no systemd, or not cgroup v2 alone");
        return;
    }
    let Some(case) = case() else { return };
    let runtime = binary().canonicalize().expect("the runtime's path");
    let place = case.path("docker");
    // Networks are not what is seen here, and making them takes an emulated processor long.
    let flags = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
    let docker = docker::start(&place, &runtime, None, &flags);
    docker.import_image();
    let driver = docker.try_docker(&["info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}"]);
    assert_eq!(driver.ok().stdout, "systemd 2\n");
    let options = cgroup::v2_options();
    let [ours, theirs] = [docker::TESTED, "runc"].map(|runtime| {
        let variables = docker.variables_with(&["--runtime", runtime, "--network", "none"]);
        let all = observe_each(rows.iter().copied(), &variables, &place);
        let units = [
            "list-units",
            "--all",
            "--plain",
            "--no-legend",
            "docker-*.scope",
        ];
        let units = tool("systemctl", &units);
        assert!(units.is_empty(), "{runtime} has left {units}");
        // Old versions of runc change them for the host when a container has the host's cgroup namespace.
        let kept = runtime == "runc" || cgroup::v2_options() == options;
        assert!(kept, "now {} and not {options}", cgroup::v2_options());
        all
    });
    cgroup::restore_v2_options(&options);
    assert_same(rows.iter().copied(), &theirs, &ours);
}

#[test]
fn limits_are_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    if cgroup::v1("memory", "/").is_none() {
        eprintln!("not run: this host has no v1 hierarchies");
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, V1, &[]);
}

#[test]
fn with_systemd_daily_use_is_as_with_runc() {
    compare_with_systemd(&SYSTEMD.iter().collect::<Vec<_>>());
}

#[test]
fn with_systemd_other_use_is_as_with_runc() {
    let others = [RUN, LIFE].into_iter().flatten();
    let others = others.filter(|row| WITH_SYSTEMD.contains(&row.what));
    let rows: Vec<_> = SYSTEMD_MORE.iter().chain(others).collect();
    assert_eq!(rows.len(), SYSTEMD_MORE.len() + WITH_SYSTEMD.len());
    compare_with_systemd(&rows);
}

#[test]
fn docker_run_is_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, RUN, &[]);
}

#[test]
fn what_the_host_lacks_is_left_out() {
    if !only_ocirun("others give up") {
        return;
    }
    let Some(case) = case() else { return };
    let runtime = binary().canonicalize().expect("the runtime's path");
    let docker = docker::start(&case.path("ours"), &runtime, None, &[]);
    assert_shown(BEYOND, &observe_all(&docker, BEYOND, &case.path("ours")));
}

#[test]
fn containers_live_under_docker_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, LIFE, &[]);
}

#[test]
fn docker_remaps_ids_as_with_runc() {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    compare(&case, REMAPPED, &["--userns-remap=nobody:nogroup"]);
}

#[test]
fn the_documentation_has_the_tables() {
    let versions = [
        "dockerd --version",
        "runc --version | head -1",
        "containerd --version",
    ];
    document("docker", &versions, &[V1, RUN, LIFE, REMAPPED, BEYOND]);
    // Of the guest, whose image was made last.
    let versions = format!(
        "grep -e ^docker -e ^containerd -e ^runc {}/vm/versions | paste -sd, | sed 's/,/, /g'",
        target_dir().display()
    );
    document("docker-systemd", &[&versions], &[SYSTEMD, SYSTEMD_MORE]);
}
