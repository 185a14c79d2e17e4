//! What the kubelet asks for where systemd makes the cgroups (`SystemdCgroup = true` below containerd, as on every node of today),
//! on pure cgroup v2: with runc and with the runtime under test the same units, the same values in the kernel's files, and
//! nothing left. Only the guest has such a systemd. One containerd has both runtimes as handlers.

use std::fs;
use std::path::Path;

use oci_runtime_integration::case::case;
use oci_runtime_integration::cgroup;
use oci_runtime_integration::cri::{self, Cri, Driver};
use oci_runtime_integration::engine::{Observed, Row, assert_same, document, observe, row};
use oci_runtime_integration::runtime::{only_ocirun, target_dir, tool};

/// What every pod needs.
#[rustfmt::skip]
const EVERY_POD: &[Row] = &[
    row("a scope, its limits as systemd and as the kernel have them, an update, a reload of systemd, and the end", r#"c=$($C run $P 'exec sleep 1000' "linux { resources { memory_limit_in_bytes: 67108864 cpu_period: 50000 cpu_quota: 25000 cpuset_cpus: '0' cpuset_mems: '0' oom_score_adj: 500 unified { key: 'memory.high' value: '50331648' } } }"); u=cri-containerd-$c.scope; systemctl show -p Id,ActiveState,SubState,Slice,ControlGroup,Delegate,DefaultDependencies,Transient,MemoryAccounting,CPUAccounting,TasksAccounting,MemoryMax,MemoryHigh,CPUQuotaPerSecUSec,CPUQuotaPeriodUSec,AllowedCPUs,AllowedMemoryNodes,TasksMax,DevicePolicy,OOMPolicy,KillMode $u | sort; cd /sys/fs/cgroup$G/$u; grep 0:: /proc/$(cat cgroup.procs)/cgroup; cat /proc/$(cat cgroup.procs)/oom_score_adj; grep . pids.max memory.max memory.high cpu.max cpuset.cpus cpuset.mems; $C call UpdateContainerResources "container_id: '$c' linux { memory_limit_in_bytes: 33554432 cpu_period: 100000 cpu_quota: 30000 cpuset_cpus: '0-1' }"; systemctl daemon-reload; systemctl show -p MemoryMax,CPUQuotaPerSecUSec,AllowedCPUs $u | sort; grep . memory.max cpu.max cpuset.cpus; cd /; $C rm $c; test -e /sys/fs/cgroup$G/$u || echo gone; systemctl list-units --all --plain --no-legend $u"#, "memory.max:67108864\nmemory.high:50331648\ncpu.max:25000 50000\ncpuset.cpus:0\ncpuset.mems:0\nAllowedCPUs=0-1\nCPUQuotaPerSecUSec=300ms\nMemoryMax=33554432\nmemory.max:33554432\ncpu.max:30000 100000\ncpuset.cpus:0-1\ngone\nstatus 0"),
    row("an OOM kill, and no failed unit", r#"c=$($C run $P '(x=a; while :; do x=$x$x; done); exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 16777216 } }'); $C await "$C how $c | grep OOMKilled > /dev/null"; $C stop $c 0; $C how $c; $C rm $c; systemctl list-units --all --plain --no-legend cri-containerd-$c.scope; test -e /sys/fs/cgroup$G/cri-containerd-$c.scope || echo gone"#, "OOMKilled 137\ngone\nstatus 0"),
];

/// What is asked for less often.
#[rustfmt::skip]
const SOME_PODS: &[Row] = &[
    row("exec and statistics", r#"c=$($C run $P 'exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 67108864 } }'); $C exec $c cat /proc/self/cgroup; $C exec $c sh -c 'exit 9'; echo $?; $C exec $c sleep 1001 & $C await "grep -qx 2 /sys/fs/cgroup$G/cri-containerd-$c.scope/pids.current"; $C call ContainerStats "container_id: '$c'" > stats; grep -c -e usage_core_nano -e working_set -e available_bytes stats; $C rm $c; wait"#, "0::/\n9\n3\n"),
    row("updates one of which the kernel refuses", r#"c=$($C run $P 'exec sleep 1000' 'linux { resources { memory_limit_in_bytes: 67108864 cpu_period: 100000 cpu_quota: 30000 } }'); u=cri-containerd-$c.scope; $C call UpdateContainerResources "container_id: '$c' linux { cpuset_cpus: '4000' }" 2>/dev/null || echo refused; cd /sys/fs/cgroup$G/$u; $C call UpdateContainerResources "container_id: '$c' linux { memory_limit_in_bytes: 134217728 }"; systemctl show -p MemoryMax,CPUQuotaPerSecUSec $u | sort; grep . memory.max cpu.max cpuset.cpus; cd /; $C rm $c"#, "refused\nCPUQuotaPerSecUSec=300ms\nMemoryMax=134217728\nmemory.max:134217728\ncpu.max:30000 100000\n"),
    row("a pod's life, in units", r#"p=$($C pod); c=$($C run $p 'exit 3'); $C wait $c; $C how $c; systemctl list-units --all --plain --no-legend "cri-containerd-$p.scope" "cri-containerd-$c.scope" | tr -s ' ' | cut -d' ' -f-4; $C call StopPodSandbox "pod_sandbox_id: '$p'"; systemctl list-units --all --plain --no-legend "cri-containerd-$p.scope" "cri-containerd-$c.scope"; $C end $p; ls /sys/fs/cgroup$G | grep $p"#, "Error 3\ncri-containerd-ID.scope loaded active running"),
    row("cgroups as a container sees them", r#"$C once $P 'cat /proc/self/cgroup; grep cgroup /proc/mounts | cut -d" " -f2-4 | cut -d, -f-5; cat /sys/fs/cgroup/memory.max; mkdir /sys/fs/cgroup/x' 'linux { resources { memory_limit_in_bytes: 67108864 } }'; p=$($C pod 'linux { security_context { privileged: true } }'); c=$($C run $p 'cut -d/ -f2 /proc/self/cgroup; grep cgroup /proc/mounts | cut -d" " -f2-4 | cut -d, -f-5; test -e /sys/fs/cgroup/init.scope && echo the node; exec sleep 1000' 'linux { security_context { privileged: true } }'); $C await "$C log $c | grep 'the node' > /dev/null"; $C log $c; $C end $p"#, "the node\nstatus 0"),
    row("devices, and a reload of systemd", r#"c=$($C run $P 'exec sleep 1000' "devices { container_path: '/dev/zz' host_path: '/dev/kmsg' permissions: 'w' }"); systemctl daemon-reload; $C exec $c sh -c 'echo x > /dev/zz && echo written; head -c1 /dev/zz; mknod /tmp/m c 1 1 && head -c1 /tmp/m; echo x > /dev/null && echo null'; systemctl show -p DevicePolicy,DeviceAllow cri-containerd-$c.scope | sort | uniq | sed s/char-pts/char-136/; $C rm $c"#, "written\nnull\n"),
    row("a pause", r#"c=$($C run $P 'exec sleep 1000'); ctr task pause $c; cd /sys/fs/cgroup$G/cri-containerd-$c.scope; grep frozen cgroup.events; ctr task ls | grep -o PAUSED; ctr task resume $c; grep frozen cgroup.events; cd /; $C exec $c echo thawed; $C rm $c"#, "frozen 1\nPAUSED\nfrozen 0\nthawed"),
    row("systemd stops a scope", r#"c=$($C run $P 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done'); $C await "$C log $c | grep -q up"; systemctl stop cri-containerd-$c.scope; $C wait $c; $C how $c; $C rm $c; systemctl list-units --all --plain --no-legend cri-containerd-$c.scope"#, "Error 3\nstatus 0"),
    row("a command that is missing leaves no unit", r#"c=$($C create $P '' "command: 'nonesuch'"); $C call StartContainer "container_id: '$c'"; $C how $c; $C rm $c; systemctl list-units --all --plain --no-legend cri-containerd-$c.scope; test -e /sys/fs/cgroup$G/cri-containerd-$c.scope || echo gone"#, "StartError 128\ngone"),
    row("several processes, ended at once", r#"c=$($C run $P 'for i in 1 2 3 4 5; do sleep 1000 & done; trap "" TERM; wait'); $C await "grep -qx 6 /sys/fs/cgroup$G/cri-containerd-$c.scope/pids.current"; $C stop $c 0; $C how $c; $C rm $c; systemctl list-units --all --plain --no-legend cri-containerd-$c.scope"#, "Error 137\nstatus 0"),
    row("statistics of a pod", r#"p=$($C pod); c=$($C run $p 'sleep 999 & sleep 1000'); $C await "grep -qx 2 /sys/fs/cgroup$G/cri-containerd-$c.scope/pids.current"; $C call PodSandboxStats "pod_sandbox_id: '$p'" > stats; grep -A1 process_count stats; grep -c working_set stats; $C end $p"#, "value: 2"),
];

fn compare(rows: &[Row]) {
    if !only_ocirun("it would be compared with itself") {
        return;
    }
    if !Path::new("/run/systemd/system").exists() {
        eprintln!("not run: this host has no systemd");
        return;
    }
    let Some(case) = case() else { return };
    // As the kubelet names it; systemd's names cannot have a dash within.
    let slice = format!("kubepods-burstable-pod{}.slice", case.id.replace('-', "_"));
    let parent = format!("/kubepods.slice/kubepods-burstable.slice/{slice}");
    let place = case.path("containerd");
    let runc = Path::new("/usr/sbin/runc");
    let cri = cri::start(&place, runc, &parent, Driver::Systemd);
    cri.import_image();
    fs::create_dir(place.join("scripts")).expect("a directory");
    let options = cgroup::v2_options();
    let ours = observe_all(&cri, "ocirun", &place, rows);
    assert_eq!(cgroup::v2_options(), options);
    let theirs = observe_all(&cri, "default", &place, rows);
    // Old versions of runc change them for the host when a container has the host's cgroup namespace.
    cgroup::restore_v2_options(&options);
    tool("systemctl", &["stop", &slice]);
    assert_same(rows, &theirs, &ours);
}

/// What is seen in a pod of its own, which is there for all rows; when it has gone, nothing may be left.
fn observe_all(cri: &Cri, handler: &str, place: &Path, rows: &[Row]) -> Vec<Observed> {
    let pod = cri.client(&["pod", "", handler]).ok().stdout;
    let pod = pod.trim();
    let mut variables = cri.variables();
    variables.push(("P", pod.to_owned()));
    variables.push(("CRI_HANDLER", handler.to_owned()));
    let one = |row| observe(row, &[], &variables, &place.join("scripts"));
    let all = rows.iter().map(one).collect();
    cri.client(&["end", pod]).ok();
    let left = cri.residue();
    assert!(left.is_empty(), "{handler} has left {left:?}");
    let units = [
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "cri-containerd-*",
    ];
    let units = tool("systemctl", &units);
    assert!(units.is_empty(), "{handler} has left {units}");
    all
}

#[test]
fn every_pod_is_as_with_runc() {
    compare(EVERY_POD);
}

#[test]
fn some_pods_are_as_with_runc() {
    compare(SOME_PODS);
}

/// The versions are those of the guest, whose image was made last.
#[test]
fn the_documentation_has_the_table() {
    let versions = format!(
        "grep -e ^containerd -e ^runc {}/vm/versions | paste -sd, | sed 's/,/, /g'",
        target_dir().display()
    );
    document("cri-systemd", &[&versions], &[EVERY_POD, SOME_PODS]);
}
