/*
 * limit: the least work that makes the container of `cargo xtask bench`.
 *
 * It has no configuration, no state, no checks, no security reasoning and no way back after an error:
 * the same namespaces, cgroups, mounts, devices, masks, credentials and execve as the runtimes make for
 * the bench's config.json, written down in the order that needs the fewest system calls. It uses no libc
 * (whose start-up would be counted), and the process it starts shares its memory until execve. What a
 * runtime needs more than this is the price of being a runtime. It is a yardstick and nothing else: do
 * not run containers with it.
 *
 *   limit run    STATE ROOTFS CGROUP HIERARCHY... -- PROGRAM [ARG...]   wait, exit with its status
 *   limit create STATE ROOTFS CGROUP HIERARCHY... -- PROGRAM [ARG...]   leaves STATE/pid and STATE/start
 *   limit start  STATE
 *   limit delete STATE ROOTFS CGROUP HIERARCHY...
 *   limit exec   STATE ROOTFS CGROUP HIERARCHY... -- PROGRAM [ARG...]   in the created container
 *   limit mounts STATE ROOTFS CGROUP HIERARCHY... -- COUNT PROGRAM [ARG...]   run, with STATE bound to /mnt/0, /mnt/1, ... from
 *                                                                             fd to fd: no link below ROOTFS leads one elsewhere
 *   limit paths  STATE ROOTFS CGROUP HIERARCHY... -- COUNT PROGRAM [ARG...]   the same by path
 *
 * STATE is a directory that exists, ROOTFS an absolute path with proc, dev and sys in it, CGROUP a path
 * such as /bench/limit whose parent exists in each HIERARCHY, and a HIERARCHY a mount point named for its
 * v1 controller (/sys/fs/cgroup/memory) or the one mount point of cgroup v2 (with cgroup.controllers in
 * it). On v2 no device program is loaded, so there the bound is a little lower than it might be.
 *
 *   gcc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie limit.c -o limit
 */
#include "kernel.h"

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>

/* ---- what was asked for ---- */

enum { HIERARCHIES = 16, PATH = 512 };

static const char *state, *rootfs, *cgroup;
static char **program;
static struct hierarchy {
	const char *mount_point, *name;
	char path[PATH]; /* of the container's own cgroup */
	int dir;         /* the same, opened */
} hierarchies[HIERARCHIES];
static int hierarchy_count, unified;
static word binds;                /* `mounts` and `paths` only: how many */
static int by_path;               /* `paths` only */
static int gate = -1, ready = -1; /* `create` only: the fifo that `start` writes, the pipe to the caller */
static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
                                    "HOME=/root", NULL};

/* ---- cgroups ---- */

struct setting {
	const char *controller, *file, *value;
};

/* The limits of the bench's config.json; consecutive rows of one file are written through one descriptor. */
static const struct setting v1[] = {
	{"memory", "memory.limit_in_bytes", "268435456"},
	{"cpu", "cpu.shares", "512"},
	{"cpu", "cpu.cfs_period_us", "100000"},
	{"cpu", "cpu.cfs_quota_us", "200000"},
	{"pids", "pids.max", "128"},
	{"devices", "devices.deny", "a"},
	{"devices", "devices.allow", "c *:* m"},
	{"devices", "devices.allow", "b *:* m"},
	{"devices", "devices.allow", "c 1:3 rwm"},
	{"devices", "devices.allow", "c 1:8 rwm"},
	{"devices", "devices.allow", "c 1:7 rwm"},
	{"devices", "devices.allow", "c 5:0 rwm"},
	{"devices", "devices.allow", "c 1:5 rwm"},
	{"devices", "devices.allow", "c 1:9 rwm"},
	{"devices", "devices.allow", "c 5:1 rwm"},
	{"devices", "devices.allow", "c 136:* rwm"},
	{"devices", "devices.allow", "c 5:2 rwm"},
};
static const struct setting v2[] = {
	{"", "memory.max", "268435456"},
	{"", "cpu.weight", "59"},
	{"", "cpu.max", "200000 100000"},
	{"", "pids.max", "128"},
};

static void write_file(int dir, const char *file, const char *value, size_t n) {
	/* O_NONBLOCK: `start` opens a fifo, and shall fail where nobody waits on it. */
	long fd = must(call4(__NR_openat, dir, file, O_WRONLY | O_CLOEXEC | O_NONBLOCK, 0), file);
	must(call3(__NR_write, fd, value, n), file);
	call1(__NR_close, fd);
}

/* A new v1 cpuset is empty and takes no process: it gets what its parent has. */
static void inherit_cpuset(int dir, const char *file, const char *parent_file) {
	char value[256];
	long fd = must(call4(__NR_openat, dir, parent_file, O_RDONLY | O_CLOEXEC, 0), parent_file);
	long n = must(call3(__NR_read, fd, value, sizeof value), parent_file);
	call1(__NR_close, fd);
	write_file(dir, file, value, (size_t)n);
}

static void apply_settings(const struct hierarchy *h, const struct setting *table, size_t rows) {
	const char *open_file = "";
	long fd = -1;
	for (const struct setting *s = table; s < table + rows; s++) {
		if (!unified && !same(s->controller, h->name))
			continue;
		if (!same(open_file, s->file)) {
			if (fd >= 0)
				call1(__NR_close, fd);
			fd = must(call4(__NR_openat, h->dir, s->file, O_WRONLY | O_CLOEXEC, 0), s->file);
			open_file = s->file;
		}
		must(call3(__NR_write, fd, s->value, length(s->value)), s->file);
	}
	if (fd >= 0)
		call1(__NR_close, fd);
}

static void open_cgroup(struct hierarchy *h) {
	h->dir = (int)must(call4(__NR_openat, AT_FDCWD, h->path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0), h->path);
}

static void create_cgroups(void) {
	for (struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++) {
		must(call3(__NR_mkdirat, AT_FDCWD, h->path, 0755), h->path);
		open_cgroup(h);
		if (unified)
			apply_settings(h, v2, sizeof v2 / sizeof *v2);
		else
			apply_settings(h, v1, sizeof v1 / sizeof *v1);
		if (same(h->name, "cpuset")) {
			inherit_cpuset(h->dir, "cpuset.cpus", "../cpuset.cpus");
			inherit_cpuset(h->dir, "cpuset.mems", "../cpuset.mems");
		}
	}
}

/* A single thread that moves itself through v1's `tasks` is the one case in which the kernel skips the lock over forks. */
static void join_cgroups(void) {
	for (struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++)
		write_file(h->dir, unified ? "cgroup.procs" : "tasks", "0", 1);
}

static void remove_cgroups(void) {
	for (struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++)
		must(call3(__NR_unlinkat, AT_FDCWD, h->path, AT_REMOVEDIR), h->path);
}

/* ---- the root file system ---- */

enum { RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8, REMOUNT = 32, BIND = 4096, REC = 16384, PRIVATE = 1 << 18, SLAVE = 1 << 19,
       RELATIME = 1 << 21, STRICTATIME = 1 << 24 };

static const struct mount {
	const char *make, *source, *target, *type;
	word flags;
	const char *data;
} mounts[] = {
	{NULL, "proc", "proc", "proc", 0, NULL},
	{NULL, "tmpfs", "dev", "tmpfs", NOSUID | STRICTATIME, "mode=755,size=65536k"},
	{"dev/pts", "devpts", "dev/pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"dev/shm", "shm", "dev/shm", "tmpfs", NOSUID | NOEXEC | NODEV, "mode=1777,size=65536k"},
	{"dev/mqueue", "mqueue", "dev/mqueue", "mqueue", NOSUID | NOEXEC | NODEV, NULL},
	{NULL, "sysfs", "sys", "sysfs", NOSUID | NOEXEC | NODEV | RDONLY, NULL},
};

static const struct device {
	const char *path;
	unsigned major, minor;
} devices[] = {
	{"dev/null", 1, 3}, {"dev/zero", 1, 5},    {"dev/full", 1, 7},
	{"dev/tty", 5, 0},  {"dev/random", 1, 8},  {"dev/urandom", 1, 9},
};

static const char *const links[][2] = {
	{"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
	{"/proc/self/fd/2", "dev/stderr"}, {"/proc/kcore", "dev/core"},      {"pts/ptmx", "dev/ptmx"},
};

static const char *const masked[] = {
	"/proc/acpi",       "/proc/asound",     "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",        "/sys/firmware",
};
static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

static long mount(const char *source, const char *target, const char *type, word flags, const char *data) {
	return call5(__NR_mount, source, target, type, flags, data);
}

static void mount_cgroups(void) {
	enum { FLAGS = NOSUID | NOEXEC | NODEV | RELATIME };
	if (unified) {
		must(mount("cgroup", "sys/fs/cgroup", "cgroup2", FLAGS | RDONLY, NULL), "mount cgroup2");
		return;
	}
	must(mount("cgroup", "sys/fs/cgroup", "tmpfs", NOSUID | NOEXEC | NODEV, "mode=755"), "mount sys/fs/cgroup");
	for (const struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++) {
		char target[PATH];
		append(append(target, "sys/fs/cgroup/"), h->name);
		must(call3(__NR_mkdirat, AT_FDCWD, target, 0755), target);
		must(mount(h->path, target, NULL, BIND, NULL), target);
		must(mount(NULL, target, NULL, BIND | REMOUNT | RDONLY | FLAGS, NULL), target);
	}
	must(mount(NULL, "sys/fs/cgroup", NULL, BIND | REMOUNT | RDONLY | NOSUID | NOEXEC | NODEV, NULL), "sys/fs/cgroup");
}

static void bind_by_path(const char *target) {
	must(mount(state, target, NULL, BIND | REC, NULL), target);
	must(mount(NULL, target, NULL, REC | PRIVATE, NULL), target);
}

static void bind_by_fd(const char *target) {
	const word tree_flags = OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE;
	const struct mount_attr private = {.propagation = PRIVATE};
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	/* open_tree_attr, which Linux has since 6.15. */
	long tree = call5(467, AT_FDCWD, state, tree_flags, &private, sizeof private);
	if (tree == -38 /* ENOSYS */) {
		tree = must(call3(__NR_open_tree, AT_FDCWD, state, tree_flags), state);
		must(call5(__NR_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &private, sizeof private), state);
	}
	must(tree, state);
	long point = must(call4(__NR_openat2, AT_FDCWD, target, &how, sizeof how), target);
	must(call5(__NR_move_mount, tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH), target);
	call1(__NR_close, tree);
	call1(__NR_close, point);
}

static void populate_root(void) {
	must(mount(NULL, "/", NULL, REC | SLAVE, NULL), "make / a slave");
	must(mount(rootfs, rootfs, NULL, BIND | REC, NULL), rootfs);
	must(call1(__NR_chdir, rootfs), rootfs);
	call1(__NR_umask, 0);
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		const struct mount *m = mounts + i;
		if (m->make)
			must(call3(__NR_mkdirat, AT_FDCWD, m->make, 0755), m->make);
		must(mount(m->source, m->target, m->type, m->flags, m->data), m->target);
	}
	mount_cgroups();
	for (word i = 0; i < binds; i++) {
		char target[PATH];
		append_number(append(target, "mnt/"), i);
		if (by_path)
			bind_by_path(target);
		else
			bind_by_fd(target);
	}
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		must(call4(__NR_mknodat, AT_FDCWD, devices[i].path, 0020666, devices[i].major << 8 | devices[i].minor),
		     devices[i].path);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		must(call3(__NR_symlinkat, links[i][0], AT_FDCWD, links[i][1]), links[i][1]);
	call1(__NR_umask, 022);
}

static void enter_root(void) {
	must(call2(__NR_pivot_root, ".", "."), "pivot_root");
	must(call2(__NR_umount2, ".", 2 /* MNT_DETACH */), "umount the old root");
	must(mount(NULL, "/", NULL, BIND | REMOUNT | RDONLY, NULL), "make / read-only");
	for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++) {
		long r = mount(readonly[i], readonly[i], NULL, BIND | REC, NULL);
		if (r == -ENOENT_)
			continue;
		must(r, readonly[i]);
		must(mount(NULL, readonly[i], NULL, BIND | REMOUNT | RDONLY, NULL), readonly[i]);
	}
	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
		long r = mount("/dev/null", masked[i], NULL, BIND, NULL);
		if (r == -20 /* ENOTDIR: the path is a directory */)
			r = mount("tmpfs", masked[i], "tmpfs", RDONLY, "size=0k");
		if (r != -ENOENT_)
			must(r, masked[i]);
	}
}

/* ---- the process ---- */

static void loopback_up(void) {
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	long fd = must(call3(__NR_socket, 2 /* AF_INET */, 2 | O_CLOEXEC /* SOCK_DGRAM */, 0), "socket");
	must(call3(__NR_ioctl, fd, 0x8914 /* SIOCSIFFLAGS */, &request), "lo up");
	call1(__NR_close, fd);
}

/* The three capabilities of the default configuration, no_new_privs, 1024 descriptors, no supplementary groups. */
static void restrict_process(void) {
	enum { KEPT = 1 << CAP_AUDIT_WRITE | 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE };
	word limit[2] = {1024, 1024};
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{KEPT, KEPT, KEPT}, {0, 0, 0}};
	must(call4(__NR_prlimit64, 0, 7 /* RLIMIT_NOFILE */, limit, NULL), "RLIMIT_NOFILE");
	must(call2(__NR_setgroups, 0, NULL), "setgroups");
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap > 31 || !(KEPT & 1u << cap))
			must(call2(__NR_prctl, PR_CAPBSET_DROP, cap), "PR_CAPBSET_DROP");
	must(call2(__NR_capset, &header, data), "capset");
	for (int cap = 0; cap < 32; cap++)
		if (KEPT & 1u << cap)
			must(call5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0), "PR_CAP_AMBIENT");
	must(call5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static _Noreturn void become_program(void) {
	must(call3(__NR_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */), "close_range");
	fail(program[0], call3(__NR_execve, program[0], program, environment));
}

static void container(void) {
	if (!unified)
		join_cgroups();
	call0(__NR_setsid);
	must(call2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "join a session keyring");
	populate_root();
	enter_root();
	must(call2(__NR_sethostname, "limit", 5), "sethostname");
	loopback_up();
	restrict_process();
	if (gate >= 0) {
		char byte = 0;
		must(call3(__NR_write, ready, &byte, 1), "say ready");
		must(call3(__NR_read, gate, &byte, 1), "wait for start");
	}
	become_program();
}

static void executed(void) {
	call0(__NR_setsid);
	must(call2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "join a session keyring");
	must(call1(__NR_chdir, "/"), "chdir");
	restrict_process();
	become_program();
}

static char stack[16384] __attribute__((aligned(16)));

static long spawn(word flags, void (*body)(void)) {
	struct clone_args args = {
		.flags = flags | CLONE_VM,
		.exit_signal = CLONE_SIGNAL,
		.stack = (word)stack,
		.stack_size = sizeof stack,
	};
	return must(clone3(&args, body), "clone3");
}

static long spawn_container(word flags) {
	struct clone_args args = {
		.flags = flags | CLONE_VM | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = CLONE_SIGNAL,
		.stack = (word)stack,
		.stack_size = sizeof stack,
	};
	if (unified) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (word)hierarchies[0].dir;
	}
	return must(clone3(&args, container), "clone3");
}

static int wait_for(long pid) {
	int status = 0;
	must(call4(__NR_wait4, pid, &status, 0, NULL), "wait4");
	return status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
}

/* ---- the verbs ---- */

static _Noreturn void run(void) {
	create_cgroups();
	int status = wait_for(spawn_container(CLONE_VFORK));
	remove_cgroups();
	leave(status);
}

static _Noreturn void run_with_mounts(void) {
	for (const char *digit = *program++; *digit; digit++)
		binds = binds * 10 + (word)(*digit - '0');
	/* The new process reads this memory, which the compiler cannot know. */
	__asm__ volatile("" ::: "memory");
	run();
}

static _Noreturn void run_with_paths(void) {
	by_path = 1;
	run_with_mounts();
}

static char *state_path(char *path, const char *name) {
	append(append(append(path, state), "/"), name);
	return path;
}

static _Noreturn void create(void) {
	char path[PATH], pid[24];
	int ends[2];
	state_path(path, "start");
	must(call4(__NR_mknodat, AT_FDCWD, path, 0010600, 0), path);
	gate = (int)must(call4(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0), path);
	must(call2(__NR_pipe2, ends, O_CLOEXEC), "pipe2");
	ready = ends[1];
	create_cgroups();
	char *end = append_number(pid, (word)spawn_container(0));
	call1(__NR_close, ends[1]);
	if (must(call3(__NR_read, ends[0], path, 1), "wait until ready") != 1)
		leave(1);
	state_path(path, "pid");
	long fd = must(call4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path);
	must(call3(__NR_write, fd, pid, end - pid), path);
	/* Not exit_group: the container still runs on this memory, which is its own from here on. */
	leave(0);
}

static _Noreturn void start(void) {
	char path[PATH];
	write_file(AT_FDCWD, state_path(path, "start"), "", 1);
	leave(0);
}

static _Noreturn void delete(void) {
	char path[PATH];
	remove_cgroups();
	must(call3(__NR_unlinkat, AT_FDCWD, state_path(path, "start"), 0), path);
	must(call3(__NR_unlinkat, AT_FDCWD, state_path(path, "pid"), 0), path);
	leave(0);
}

static long read_pid(void) {
	char path[PATH], digits[24];
	long fd = must(call4(__NR_openat, AT_FDCWD, state_path(path, "pid"), O_RDONLY | O_CLOEXEC, 0), path);
	long n = must(call3(__NR_read, fd, digits, sizeof digits), path), pid = 0;
	call1(__NR_close, fd);
	for (long i = 0; i < n; i++)
		pid = pid * 10 + (digits[i] - '0');
	return pid;
}

static _Noreturn void exec(void) {
	long pidfd = must(call2(__NR_pidfd_open, read_pid(), 0), "pidfd_open");
	for (struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++)
		open_cgroup(h);
	join_cgroups();
	must(call2(__NR_setns, pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "setns");
	leave(wait_for(spawn(CLONE_VFORK, executed)));
}

static const struct verb {
	const char *name;
	void (*act)(void);
} verbs[] = {{"run", run}, {"create", create}, {"start", start}, {"delete", delete}, {"exec", exec},
             {"mounts", run_with_mounts},
             {"paths", run_with_paths}};

static void add_hierarchy(const char *mount_point) {
	struct hierarchy *h = hierarchies + hierarchy_count++;
	char probe[PATH];
	if (hierarchy_count > HIERARCHIES)
		fail("too many hierarchies", -7);
	h->mount_point = mount_point;
	h->name = last_component(mount_point);
	append(append(h->path, mount_point), cgroup);
	append(append(probe, mount_point), "/cgroup.controllers");
	if (same(h->name, "cgroup"))
		unified = call3(__NR_faccessat, AT_FDCWD, probe, 0) == 0;
}

__attribute__((used, noreturn)) void entry(word *stack_top) {
	char **argv = (char **)(stack_top + 1);
	if (stack_top[0] < 3)
		fail("usage: limit VERB STATE [ROOTFS CGROUP HIERARCHY... [-- PROGRAM [ARG...]]]", -22);
	for (char **a = argv; *a; a++)
		if (length(*a) > PATH / 4)
			fail("argument too long", -36);
	state = argv[2];
	if (stack_top[0] > 4) {
		rootfs = argv[3];
		cgroup = argv[4];
		char **a = argv + 5;
		for (; *a && !same(*a, "--"); a++)
			add_hierarchy(*a);
		program = *a ? a + 1 : a;
	}
	for (const struct verb *v = verbs; v < verbs + sizeof verbs / sizeof *verbs; v++)
		if (same(v->name, argv[1]))
			v->act();
	fail(argv[1], -22);
}
