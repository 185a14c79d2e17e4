//! Pods and containers as the kubelet makes them, through containerd's CRI plugin, with runc and with the runtime under test:
//! the same calls, the same results.

use std::fs;
use std::path::Path;

use oci_runtime_integration::case::case;
use oci_runtime_integration::cri;
use oci_runtime_integration::engine::{
    Observed, Row, assert_same, assert_shown, document, observe, row,
};
use oci_runtime_integration::runtime::{binary, only_ocirun};

/// Pods, and what their containers share.
#[rustfmt::skip]
const PODS: &[Row] = &[
    row("a pod's life", r#"p=$($C pod); $C podstatus $p; $C call StopPodSandbox "pod_sandbox_id: '$p'"; $C podstatus $p; $C call RemovePodSandbox "pod_sandbox_id: '$p'"; $C podstatus $p"#, "SANDBOX_READY\nSANDBOX_NOTREADY\n"),
    row("stop and remove once more", r#"p=$($C pod); for i in 1 2; do $C call StopPodSandbox "pod_sandbox_id: '$p'" && echo stopped; done; for i in 1 2; do $C call RemovePodSandbox "pod_sandbox_id: '$p'" && echo removed; done"#, "stopped\nstopped\nremoved\nremoved\n"),
    row("pods with addresses that talk", r#"a=$($C run $P 'echo page > /tmp/index.html; httpd -f -p 80 -h /tmp'); ip=$($C call PodSandboxStatus "pod_sandbox_id: '$P'" | sed -n 's/.*ip: "\(.*\)"/\1/p'); p=$($C pod); $C once $p "until wget -qO- http://$ip/; do sleep 0.1; done"; $C end $p; $C rm $a"#, "page"),
    row("the node's network", r#"p=$($C pod 'linux { security_context { namespace_options { network: NODE } } }'); $C once $p 'ip -o -4 addr show case0 | tr -s " " | cut -d" " -f4' 'linux { security_context { namespace_options { network: NODE pid: CONTAINER } } }'; $C end $p"#, "10.88.0.1/16"),
    row("names and resolvers", r#"p=$($C pod "hostname: 'named' dns_config { servers: '10.0.0.1' searches: 'svc.local' options: 'ndots:5' }"); $C once $p 'hostname; cat /etc/hostname /etc/resolv.conf'; $C end $p"#, "named\nnamed\nsearch svc.local"),
    row("kernel parameters of a pod", r#"p=$($C pod "linux { sysctls { key: 'net.ipv4.ip_unprivileged_port_start' value: '80' } sysctls { key: 'kernel.shm_rmid_forced' value: '1' } }"); $C once $p 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced'; $C end $p"#, "80\n1"),
    row("a class of runtime", r#"p=$($C pod '' ocirun); $C call PodSandboxStatus "pod_sandbox_id: '$p'" | grep handler; $C once $p 'echo by handler'; ls $CRI_PLACE/ocirun/k8s.io | wc -l; $C end $p; $C pod '' nonesuch"#, "by handler\n1\n"),
    row("containers that share all but mounts and cgroups", r#"a=$($C run $P 'exec sleep 1001' 'linux { security_context { namespace_options { pid: POD } } }'); b=$($C run $P 'exec sleep 1002' 'linux { security_context { namespace_options { pid: POD } } }'); for n in pid net ipc uts mnt user; do test $(readlink /proc/$($C pid $a)/ns/$n) = $(readlink /proc/$($C pid $b)/ns/$n) && echo $n shared || echo $n own; done; $C exec $a sh -c 'ps | grep -c "sleep 100[12]$"; kill -9 $(ps | sed -n "s/^ *\([0-9]*\) .*sleep 1002$/\1/p")'; $C wait $b; $C how $b; $C rm $a; $C rm $b"#, "pid shared\nnet shared\nipc shared\nuts shared\nmnt own\nuser shared\n2\nError 137"),
    row("containers with pids of their own", r#"a=$($C run $P 'exec sleep 1001'); b=$($C run $P 'exec sleep 1002'); for n in pid net ipc uts; do test $(readlink /proc/$($C pid $a)/ns/$n) = $(readlink /proc/$($C pid $b)/ns/$n) && echo $n shared || echo $n own; done; $C exec $a cat /proc/1/cmdline | tr '\0' ' '; $C exec $a kill -9 1; $C exec $a true && echo lives; $C rm $a; $C rm $b"#, "pid own\nnet shared\nipc shared\nuts shared\nsleep 1001 lives"),
    row("another container's pids", r#"a=$($C run $P 'exec sleep 1001'); $C once $P 'cat /proc/1/cmdline | tr "\0" " "' "linux { security_context { namespace_options { pid: TARGET target_id: '$a' } } }"; $C rm $a"#, "sleep 1001"),
    row("the node's pids", r#"p=$($C pod 'linux { security_context { namespace_options { pid: NODE } } }'); $C once $p 'test $(ls /proc 2>/dev/null | grep -c "^[0-9]") -gt 10 && echo many' 'linux { security_context { namespace_options { pid: NODE } } }'; $C end $p"#, "many"),
    row("shared memory of a pod", r#"a=$($C run $P 'echo shared > /dev/shm/f; exec sleep 1000'); $C await "$C exec $a test -s /dev/shm/f"; $C once $P 'cat /dev/shm/f; rm /dev/shm/f; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'; $C rm $a"#, "shared\n65536"),
    row("the node's IPC", r#"p=$($C pod 'linux { security_context { namespace_options { ipc: NODE } } }'); a=$($C run $p 'exec sleep 1000' 'linux { security_context { namespace_options { ipc: NODE pid: CONTAINER } } }'); test $(readlink /proc/$($C pid $a)/ns/ipc) = $(readlink /proc/self/ns/ipc) && echo the node; $C end $p"#, "the node"),
    row("a pod's own user and root", r#"p=$($C pod 'linux { security_context { run_as_user { value: 65535 } run_as_group { value: 65534 } readonly_rootfs: true seccomp { profile_type: RuntimeDefault } } }'); i=$(cat $CRI_PLACE/default/k8s.io/$p/state.json | sed 's/.*"\(init_process_pid\|pid\)":\([0-9]*\).*/\2/'); grep -e Uid -e Gid -e Seccomp: /proc/$i/status; $C end $p"#, "Uid:\t65535\t65535\t65535\t65535\nGid:\t65534"),
];

/// Containers: what they are started as and with.
#[rustfmt::skip]
const CONTAINERS: &[Row] = &[
    row("environment, directory, arguments", r#"$C once $P '' "command: ['sh', '-c', 'echo \$A \$0 \$1; pwd'] args: ['x', 'y'] envs { key: 'A' value: 'a b' } working_dir: '/mnt'""#, "a b x y\n/mnt"),
    row("what every container has", r#"c=$($C run $P 'exec sleep 1000'); $C exec $c sh -c 'env | sort; ulimit -n; cut -d" " -f2-4 /proc/mounts | grep -v -e overlay -e /sys/fs/cgroup | sort; stat -c "%A %U %t:%T %N" /dev/*; readlink /proc/self/fd/0; cat /proc/self/oom_score_adj'; $C rm $c"#, "HOSTNAME=pod"),
    row("several at once", r#"for i in 1 2 3 4; do $C once $P "echo $i; exit $i" & done | sort; wait"#, "1\n2\n3\n4\n"),
    row("a directory that is missing", r#"$C once $P 'pwd' "working_dir: '/made/here'""#, "/made/here"),
    row("exit codes", r#"$C once $P 'exit 0' && $C once $P 'exit 42'; $C once $P 'kill -9 $$' 'linux { security_context { namespace_options { pid: POD } } }'; $C once $P 'kill -TERM $$' 'linux { security_context { namespace_options { pid: POD } } }'"#, "Error 42\nError 137\nError 143"),
    row("a missing command", r#"c=$($C create $P '' "command: 'nonesuch'"); $C call StartContainer "container_id: '$c'"; $C how $c; $C status $c | grep message: | sed 's/ (.*)//'; $C rm $c"#, "StartError 128"),
    row("a missing path, a file that is no program", r#"for f in /no/such /etc/passwd; do $C run $P '' "command: '$f'"; done"#, "no such file or directory"),
    row("a directory", r#"c=$($C create $P '' "command: '/etc'"); $C call StartContainer "container_id: '$c'" 2>/dev/null; $C how $c; $C rm $c"#, "StartError 128"),
    row("an empty command", r#"$C run $P '' "command: ''"; c=$($C run $P 'exec sleep 1000'); $C exec $c ''; $C rm $c"#, "exec: \"\": executable file not found in $PATH"),
    row("stop by SIGTERM", r#"c=$($C run $P 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done'); $C await "$C log $c | grep -q up"; $C stop $c 20; $C how $c; $C rm $c"#, "Error 3"),
    row("stop by SIGKILL", r#"c=$($C run $P 'trap "" TERM; echo up; while :; do sleep 0.1; done'); $C await "$C log $c | grep -q up"; $C stop $c 1; $C how $c; $C rm $c"#, "Error 137"),
    row("a container that runs is removed", r#"c=$($C run $P 'exec sleep 1000'); p=$($C pid $c); $C rm $c; test -e /proc/$p || echo gone; $C status $c"#, "gone"),
    row("the end of a pod ends its containers", r#"p=$($C pod); c=$($C run $p 'exec sleep 1000'); $C call StopPodSandbox "pod_sandbox_id: '$p'"; $C how $c; $C end $p; $C status $c"#, "Error 137"),
    row("killed from outside", r#"c=$($C run $P 'exec sleep 1000'); kill -9 $($C pid $c); $C wait $c; $C how $c; $C rm $c"#, "Error 137"),
    row("a pod's first process is killed", r#"p=$($C pod); c=$($C run $p 'exec sleep 1000'); kill -9 $(cat $CRI_PLACE/default/k8s.io/$p/state.json | sed 's/.*"\(init_process_pid\|pid\)":\([0-9]*\).*/\2/'); $C await "$C podstatus $p | grep NOT"; $C exec $c echo lives on; $C end $p"#, "SANDBOX_NOTREADY\nlives on"),
    row("a terminal", r#"$C once $P 'tty; test -t 1 && echo terminal' 'tty: true' | tr -d '\r'"#, "/dev/pts/0\nterminal"),
    row("logs", r#"c=$($C run $P 'echo one; sleep 0.2; echo two >&2; sleep 0.2; printf part'); $C wait $c; sed 's/^[-0-9]*T[:.0-9]*Z/TIME/' $($C status $c | sed -n 's/.*log_path: "\(.*\)"/\1/p'); $C rm $c"#, "TIME stdout F one\nTIME stderr F two\nTIME stdout P part"),
    row("logs that are rotated", r#"c=$($C run $P 'echo one; until test -e /go; do sleep 0.1; done; echo two'); l=$($C status $c | sed -n 's/.*log_path: "\(.*\)"/\1/p'); until grep -q one $l; do sleep 0.1; done; mv $l $l.1; $C call ReopenContainerLog "container_id: '$c'"; $C exec $c touch /go; $C wait $c; cut -d' ' -f2- $l.1 $l; $C rm $c"#, "stdout F one\nstdout F two"),
    row("a list", r#"c=$($C run $P 'exec sleep 1000' "labels { key: 'k' value: 'v' } annotations { key: 'a' value: 'b' }"); $C call ListContainers "filter { label_selector { key: 'k' value: 'v' } }" | grep -e state -e value; $C rm $c; $C call ListContainers "filter { label_selector { key: 'k' value: 'v' } }""#, "CONTAINER_RUNNING"),
];

/// Commands in containers that run, as of probes.
#[rustfmt::skip]
const EXEC: &[Row] = &[
    row("exec", r#"c=$($C run $P 'exec sleep 1000' "envs { key: 'A' value: 'a' } working_dir: '/tmp' linux { security_context { run_as_user { value: 1000 } run_as_group { value: 1000 } supplemental_groups: 55 } }"); $C exec $c sh -c 'echo out; echo err >&2; pwd; echo $A; id -u; id -G; exit 9'; echo $?; $C rm $c"#, "out\n/tmp\na\n1000\n1000 55\n9\n"),
    row("a timeout", r#"c=$($C run $P 'exec sleep 1000'); CRI_TIMEOUT=1 $C exec $c sleep 99; $C exec $c ps | grep -c '[s]leep 99'; CRI_TIMEOUT=5 $C exec $c echo in time; $C rm $c"#, "in time"),
    row("probes", r#"c=$($C run $P 'exec sleep 1000'); for i in 1 2 3 4 5; do $C exec $c test -e /ok; echo -n "$? "; done; $C exec $c touch /ok; for i in 1 2 3 4 5; do $C exec $c test -e /ok; echo -n "$? "; done; $C rm $c"#, "1 1 1 1 1 0 0 0 0 0 "),
    row("probes that cannot be", r#"c=$($C run $P 'exec sleep 1000'); $C exec $c nonesuch; $C exec $c /no/such; $C exec $c /etc/passwd; $C exec $c /etc 2>/dev/null; echo $?; $C rm $c; $C exec $c true"#, "executable file not found in $PATH"),
    row("after the end", r#"c=$($C run $P 'exit 0'); $C wait $c; $C exec $c true; $C rm $c"#, "CONTAINER_EXITED"),
    row("many at once", r#"c=$($C run $P 'exec sleep 1000'); for i in 1 2 3 4 5 6; do $C exec $c echo done & done; wait; $C rm $c"#, "done\ndone\ndone\ndone\ndone\ndone\n"),
    row("much output", r#"c=$($C run $P 'exec sleep 1000'); $C exec $c sh -c 'head -c 300000 /dev/zero | tr "\0" x' | wc -c; $C rm $c"#, "300000"),
    row("exec with a terminal, streaming", r#"c=$($C run $P 'exec sleep 1000'); $C stream Exec "container_id: '$c' cmd: ['sh', '-c', 'read x; tty; until [ \"\$(stty size)\" = \"40 100\" ]; do sleep 0.1; done; stty size; echo \$x; exit 7'] tty: true stdin: true stdout: true" '4{"Width":100,"Height":40}' '0typed' | tr -d '\r'; $C rm $c"#, "typed\n/dev/pts/0\n40 100\ntyped"),
    row("exec with streams", r#"c=$($C run $P 'exec sleep 1000'); $C stream Exec "container_id: '$c' cmd: ['sh', '-c', 'read x; echo got \$x; echo err >&2'] stdin: true stdout: true stderr: true" '0given'; $C rm $c"#, "got given\nerr\n"),
    row("attach", r#"c=$($C run $P 'read x; echo got $x; exit 4' 'tty: true stdin: true'); $C stream Attach "container_id: '$c' tty: true stdin: true stdout: true" '0hello' | tr -d '\r'; $C wait $c; $C how $c; $C rm $c"#, "hello\ngot hello"),
    row("capabilities and filter of exec", r#"c=$($C run $P 'exec sleep 1000' "linux { security_context { capabilities { drop_capabilities: 'ALL' add_capabilities: 'CHOWN' } no_new_privs: true seccomp { profile_type: RuntimeDefault } } }"); $C exec $c grep -e Cap -e NoNew -e Seccomp: /proc/self/status; $C exec $c grep :pids: /proc/self/cgroup | cut -d: -f3 | sed "s|$G|PARENT|"; $C rm $c"#, "CapEff:\t0000000000000001"),
];

/// What the kernel is told to allow.
#[rustfmt::skip]
const SECURITY: &[Row] = &[
    row("default capabilities", r#"$C once $P 'grep -e Cap -e Seccomp: -e NoNew /proc/self/status'"#, "CapEff:\t00000000a80425fb"),
    row("capabilities", r#"$C once $P 'grep Cap /proc/self/status' "linux { security_context { capabilities { drop_capabilities: 'ALL' add_capabilities: 'NET_BIND_SERVICE' } } }"; $C once $P 'grep CapEff /proc/self/status' "linux { security_context { capabilities { drop_capabilities: 'CHOWN' add_capabilities: 'SYS_ADMIN' } } }""#, "CapEff:\t0000000000000400"),
    row("everything that the node can give", r#"p=$($C pod 'linux { security_context { privileged: true } }'); $C once $p 'mount -t tmpfs x /mnt && echo mounted; echo 1 > /proc/sys/net/ipv4/ip_forward && echo written; ls /dev | grep -c -e ^loop-control$ -e ^kmsg$ -e ^fuse$; grep -e CapEff -e Seccomp: /proc/self/status' 'linux { security_context { privileged: true } }'; $C end $p"#, "mounted\nwritten"),
    row("a read-only root", r#"$C once $P 'echo x > /f' 'linux { security_context { readonly_rootfs: true } }'"#, "Read-only file system"),
    row("a user and groups by number", r#"$C once $P 'id; echo $HOME' 'linux { security_context { run_as_user { value: 1000 } run_as_group { value: 2000 } supplemental_groups: 55 supplemental_groups: 66 } }'"#, "uid=1000(user) gid=2000 groups=55,66"),
    row("a user by name", r#"$C once $P 'id' "linux { security_context { run_as_username: 'user' } }""#, "uid=1000(user)"),
    row("no new privileges", r#"$C once $P 'grep NoNew /proc/self/status' 'linux { security_context { no_new_privs: true } }'"#, "NoNewPrivs:\t1"),
    row("the default filter", r#"$C once $P 'grep Seccomp: /proc/self/status; unshare -U true; mount -t tmpfs x /mnt' 'linux { security_context { seccomp { profile_type: RuntimeDefault } } }'"#, "Seccomp:\t2"),
    row("no filter", r#"$C once $P 'grep Seccomp: /proc/self/status' 'linux { security_context { seccomp { profile_type: Unconfined } } }'"#, "Seccomp:\t0"),
    row("a filter of the node", r#"echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' > profile.json; $C once $P 'mkdir /tmp/x; chmod 777 /tmp; echo chmod $?' "linux { security_context { seccomp { profile_type: Localhost localhost_ref: '$PWD/profile.json' } } }""#, "chmod 0"),
    row("what is masked and read-only", r#"$C once $P 'wc -c < /proc/meminfo; ls /proc/acpi; echo x > /proc/sys/kernel/panic; wc -c < /proc/version; grep -c /proc/ /proc/mounts' "linux { security_context { masked_paths: '/proc/meminfo' masked_paths: '/proc/acpi' readonly_paths: '/proc/sys' } }""#, "Read-only file system"),
    row("nothing masked", r#"$C once $P 'grep -c /proc/ /proc/mounts; test $(wc -c < /proc/timer_list) -gt 0 && echo open' "linux { security_context { masked_paths: '/nonesuch' readonly_paths: '/nonesuch' } }""#, "open"),
    row("masked by default", r#"$C once $P 'ls /sys/firmware /proc/scsi; wc -c < /proc/timer_list; grep " /sys " /proc/mounts | cut -d" " -f4 | cut -d, -f1; echo x > /proc/sysrq-trigger' "linux { security_context { masked_paths: ['/proc/timer_list', '/proc/scsi', '/sys/firmware'] readonly_paths: '/proc/sysrq-trigger' } }""#, "0\nro"),
];

/// Mounts, devices and limits.
#[rustfmt::skip]
const RESOURCES: &[Row] = &[
    row("binds and their propagation", r#"mkdir -p b; for m in PRIVATE HOST_TO_CONTAINER BIDIRECTIONAL; do $C once $P 'grep " /b " /proc/self/mountinfo | cut -d" " -f6,7 | cut -d: -f1' "mounts { container_path: '/b' host_path: '$PWD/b' propagation: PROPAGATION_$m }"; done"#, "shared"),
    row("a mount of the node that comes later", r#"mkdir -p b; c=$($C run $P 'exec sleep 1000' "mounts { container_path: '/slave' host_path: '$PWD/b' propagation: PROPAGATION_HOST_TO_CONTAINER } mounts { container_path: '/private' host_path: '$PWD/b' }"); mkdir -p b/later; $N mount -t tmpfs later $PWD/b/later; $N touch $PWD/b/later/f; $C exec $c ls /slave/later; $C exec $c ls /private/later; $C rm $c; $N umount $PWD/b/later"#, "f\n"),
    row("a mount of a container that the node sees", r#"mkdir -p s/in; p=$($C pod 'linux { security_context { privileged: true } }'); c=$($C run $p 'mount -t tmpfs inner /s/in && touch /s/in/f; exec sleep 1000' "mounts { container_path: '/s' host_path: '$PWD/s' propagation: PROPAGATION_BIDIRECTIONAL } linux { security_context { privileged: true } }"); $C await "$C exec $c test -e /s/in/f"; $N ls $PWD/s/in; $N umount $PWD/s/in; $C end $p"#, "f\n"),
    row("read-only binds and files", r#"mkdir -p b; echo kept > b/file; $C once $P 'cat /b/file /one; echo x > /b/new; echo x > /one' "mounts { container_path: '/b' host_path: '$PWD/b' readonly: true } mounts { container_path: '/one' host_path: '$PWD/b/file' readonly: true }""#, "kept\nkept"),
    row("a directory on a file, and a file on a directory", r#"$C run $P 'true' "mounts { container_path: '/etc/passwd' host_path: '$PWD' }" 2>&1 | grep -o 'not a directory'; touch f; $C run $P 'true' "mounts { container_path: '/mnt' host_path: '$PWD/f' }" 2>&1 | grep -o 'not a directory'"#, "not a directory\nnot a directory\n"),
    row("a device", r#"$C once $P 'head -c1 /dev/zz | wc -c; echo x > /dev/zz' "devices { container_path: '/dev/zz' host_path: '/dev/zero' permissions: 'r' }""#, "1\n"),
    row("devices that were not given", r#"$C once $P 'mknod /tmp/m c 1 1 && head -c1 /tmp/m'"#, "Operation not permitted"),
    row("a device for users", r#"$C once $P 'stat -c "%a %t %T" /dev/zz; echo x > /dev/zz && echo written' "devices { container_path: '/dev/zz' host_path: '/dev/null' permissions: 'rwm' } linux { security_context { run_as_user { value: 1000 } } }""#, "666 1 3\nwritten"),
    row("memory and processors", r#"c=$($C run $P 'exec sleep 1000' "linux { resources { memory_limit_in_bytes: 67108864 cpu_period: 50000 cpu_quota: 25000 cpu_shares: 512 cpuset_cpus: '0' cpuset_mems: '0' oom_score_adj: 500 } }"); cd /sys/fs/cgroup; cat memory$G/$c/memory.limit_in_bytes cpu$G/$c/cpu.cfs_period_us cpu$G/$c/cpu.cfs_quota_us cpu$G/$c/cpu.shares cpuset$G/$c/cpuset.cpus cpuset$G/$c/cpuset.mems; cat /proc/$($C pid $c)/oom_score_adj; $C rm $c"#, "67108864\n50000\n25000\n512\n0\n0\n500"),
    row("update", r#"c=$($C run $P 'exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 67108864 cpu_shares: 512 } }'); $C call UpdateContainerResources "container_id: '$c' linux { memory_limit_in_bytes: 33554432 cpu_period: 100000 cpu_quota: 30000 cpu_shares: 256 cpuset_cpus: '0' }"; cd /sys/fs/cgroup; cat memory$G/$c/memory.limit_in_bytes cpu$G/$c/cpu.cfs_quota_us cpu$G/$c/cpu.shares cpuset$G/$c/cpuset.cpus; $C call UpdateContainerResources "container_id: '$c' linux { memory_limit_in_bytes: 134217728 }"; cat memory$G/$c/memory.limit_in_bytes cpu$G/$c/cpu.cfs_quota_us; $C rm $c"#, "33554432\n30000\n256\n0\n134217728\n30000"),
    row("an update that the kernel refuses", r#"c=$($C run $P 'exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 67108864 } }'); $C call UpdateContainerResources "container_id: '$c' linux { cpuset_cpus: '4000' }" 2>/dev/null || echo refused; $C call UpdateContainerResources "container_id: '$c' linux { cpu_quota: 1 }" 2>/dev/null || echo refused; cat /sys/fs/cgroup/memory$G/$c/memory.limit_in_bytes; $C rm $c"#, "refused\nrefused\n67108864"),
    row("an OOM kill", r#"c=$($C run $P 'x=a; while :; do x=$x$x; done' 'linux { resources { memory_limit_in_bytes: 16777216 } }'); $C wait $c; $C how $c; $C rm $c"#, "OOMKilled 137"),
    row("cgroups of a pod", r#"c=$($C run $P 'cat /proc/self/cgroup | grep :pids: | cut -d: -f3; exec sleep 1000'); for k in memory cpu pids; do grep :.*$k.*: /proc/$($C pid $c)/cgroup | cut -d: -f3 | sed "s|$G|PARENT|"; done; $C log $c | sed "s|$G|PARENT|"; $C rm $c"#, "PARENT/ID\nPARENT/ID\nPARENT/ID"),
    row("statistics", r#"c=$($C run $P 'x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done; exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 67108864 } }'); $C call ContainerStats "container_id: '$c'" | grep -e '{' -e 'name:' | sed 's/"c.*"//'; test $($C call ContainerStats "container_id: '$c'" | grep -A1 usage_core | sed -n 's/.*value: //p') -gt 1000000 && echo worked; $C rm $c"#, "worked"),
    row("statistics of all, and of a pod", r#"p=$($C pod); a=$($C run $p 'exec sleep 1000'); b=$($C run $p 'sleep 999 & sleep 1000'); $C await "$C exec $b ps | grep -q 'sleep 999'"; $C call ListContainerStats "filter { pod_sandbox_id: '$p' }" | grep -c working_set; $C call PodSandboxStats "pod_sandbox_id: '$p'" > stats; grep -A1 process_count stats; grep -c working_set stats; grep 'name: "eth0"' stats; $C end $p"#, "value: 3"),
];

/// Ends of containerd and of its shims.
#[rustfmt::skip]
const RESTARTS: &[Row] = &[
    row("containerd is killed and comes back", r#"a=$($C run $P 'exec sleep 1000'); p=$($C pid $a); $C restart; $C podstatus $P; $C status $a | grep state; test $p = $($C pid $a) && echo the same; $C exec $a echo reached; $C once $P 'echo new'; $C stop $a 0; $C how $a; $C rm $a"#, "CONTAINER_RUNNING\nthe same\nreached\nnew\n"),
    row("an end while containerd is away", r#"a=$($C run $P 'until test -e /go; do sleep 0.1; done; sleep 1; exit 7'); $C exec $a touch /go; $C away 'sleep 2'; $C wait $a; $C how $a; $C rm $a"#, "Error 7"),
    row("a shim is killed", r#"p=$($C pod); a=$($C run $p 'exec sleep 1000'); i=$($C pid $a); kill -9 $(sed -n 's/^PPid:\t//p' /proc/$i/status); $C wait $a; $C how $a; grep -q '^State:.[SRD]' /proc/$i/status 2>/dev/null || echo ended; $C end $p && echo removed"#, "ended\nremoved"),
];

/// What runc gives up at, or starts only to see it fail.
#[rustfmt::skip]
const BEYOND: &[Row] = &[
    row("little memory", r#"$C once $P 'echo up' 'linux { resources { memory_limit_in_bytes: 1048576 } }'"#, "up\nstatus"),
    row("a capability that the node lacks is left out", r#"$C once $P 'grep CapEff /proc/self/status' "linux { security_context { capabilities { add_capabilities: 'SYS_RESOURCE' } } }""#, "CapEff:\t00000000a"),
    row("a filter without execve is refused", r#"echo '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}' > profile.json; $C run $P 'true' "linux { security_context { seccomp { profile_type: Localhost localhost_ref: '$PWD/profile.json' } } }""#, "execve must be allowed"),
];

/// Runs rows with both runtimes, side by side.
fn compare(rows: &[Row]) {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    let Some(case) = case() else { return };
    let ours = binary().canonicalize().expect("the runtime's path");
    let runtimes = [Path::new("/usr/sbin/runc"), &ours];
    let places =
        ["theirs", "ours"].map(|name| (case.path(name), format!("{}-{name}", case.cgroup)));
    let [theirs, ours] = std::thread::scope(|scope| {
        let both = [0, 1].map(|i| {
            let (runtime, (place, cgroup)) = (runtimes[i], &places[i]);
            scope.spawn(move || observe_all(place, cgroup, runtime, rows))
        });
        both.map(|one| one.join().expect("its part"))
    });
    assert_same(rows, &theirs, &ours);
}

/// What is seen in a pod of its own, which is there for all rows; when it has gone, nothing may be left.
fn observe_all(place: &Path, cgroup: &str, runtime: &Path, rows: &[Row]) -> Vec<Observed> {
    let cri = cri::start(place, runtime, cgroup, cri::Driver::Cgroupfs);
    cri.import_image();
    let scripts = place.join("scripts");
    fs::create_dir(&scripts).expect("a directory");
    let pod = cri.client(&["pod"]).ok().stdout.trim().to_owned();
    let mut variables = cri.variables();
    variables.push(("P", pod.clone()));
    let one = |row| observe(row, &[], &variables, &scripts);
    let all = rows.iter().map(one).collect();
    cri.client(&["end", &pod]).ok();
    let left = cri.residue();
    assert!(left.is_empty(), "{} has left {left:?}", runtime.display());
    all
}

#[test]
fn pods_are_as_with_runc() {
    compare(PODS);
}

#[test]
fn containers_are_as_with_runc() {
    compare(CONTAINERS);
}

#[test]
fn exec_is_as_with_runc() {
    compare(EXEC);
}

#[test]
fn security_is_as_with_runc() {
    compare(SECURITY);
}

#[test]
fn resources_are_as_with_runc() {
    compare(RESOURCES);
}

#[test]
fn restarts_are_survived_as_with_runc() {
    compare(RESTARTS);
}

#[test]
fn what_stops_runc_is_carried_out_or_explained() {
    if !only_ocirun("others give up") {
        return;
    }
    let Some(case) = case() else { return };
    let ours = binary().canonicalize().expect("the runtime's path");
    let cgroup = format!("{}-ours", case.cgroup);
    let all = observe_all(&case.path("ours"), &cgroup, &ours, BEYOND);
    assert_shown(BEYOND, &all);
}

#[test]
fn the_documentation_has_the_table() {
    let versions = ["containerd --version", "runc --version | head -1"];
    document(
        "cri",
        &versions,
        &[
            PODS, CONTAINERS, EXEC, SECURITY, RESOURCES, RESTARTS, BEYOND,
        ],
    );
}
