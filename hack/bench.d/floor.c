// The floor: what an OCI runtime must ask of the kernel for the bundle that `minke spec` describes, and nothing else, in
// one static program. It takes the same command lines as a runtime:
//
//   floor create --bundle DIR --pid-file FILE ID | start ID | exec ID PROGRAM | state ID | kill ID SIGNAL | delete ID
//
// What it leaves out: parsing and checking config.json (it reads the file, takes the program from it, and has the rest
// written down below), options, error texts, locks, the record made before the first side effect, the guard against
// overwriting the runtime's own binary, mount targets resolved against symlinks, waiting in `start` for what exec says.
//
// Of two ways of asking for the same thing it takes the faster. What the child does not need, the parent does while the
// child works: device rules (170 us on v2), the state file. (Tried without gain: making the network namespace, 280 of the
// 360 us that clone takes, in the parent while the child mounts.)
// It is built with musl, because the start of a static glibc program costs more than all else (68 cpuid instructions, each
// a trap in a virtual machine); and with glibc too, for comparison.
//
// A bundle with `uidMappings` is one for ids 0 to 65535 of a new user namespace, which are 100000 and on outside. The child
// finds the rootfs while it still has the ids of its parent, and binds the host's devices, for it can make none.
// One with limits of `pids` has those of limits.json.
//
// FLOOR_CGROUPS in the environment names the directories of the cgroup hierarchies, separated by colons: one, of cgroup2, is
// mode v2, else it is v1 or hybrid. Compiled with -DTIMES it prints how long each call took: pid, begin, microseconds, line, call.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#error "linux-libc-dev is too old"
#endif
#define MNT_DETACH 2  // of <sys/mount.h>, which does not go with <linux/mount.h>
extern int umount2(const char *, int);

#define STATE "/run/minke-floor"

static void die(const char *what) {
  dprintf(2, "floor: %s: %s\n", what, strerror(errno));
  _exit(1);
}
#ifndef TIMES
#define must(call)              \
  ({                            \
    long value_ = (long)(call); \
    if (value_ < 0) die(#call); \
    (int)value_;                \
  })
#define forget_times()
#define print_times()
#else  // each call is timed; a process tells before it exits or execs
static struct { const char *what; int line; double begin, end; } times[400];
static int calls;
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}
#define must(call)                               \
  ({                                             \
    double begin_ = now();                       \
    long value_ = (long)(call);                  \
    double end_ = now();                         \
    if (value_ < 0) die(#call);                  \
    times[calls].what = #call;                   \
    times[calls].line = __LINE__;                \
    times[calls].begin = begin_;                 \
    times[calls++].end = end_;                   \
    (int)value_;                                 \
  })
static void forget_times(void) { calls = 0; }
static void print_times(void) {
  for (int i = 0; i < calls; i++)
    dprintf(2, "%d\t%.1f\t%.1f\t%d\t%.90s\n", getpid(), times[i].begin, times[i].end - times[i].begin, times[i].line, times[i].what);
}
#endif

static const char *hierarchy[16];
static int hierarchies, v2, userns, limited;
static const char *id;

// --- files ---------------------------------------------------------------------------------------------------------

static int write_file(int dir, const char *path, const char *text, int flags) {
  int fd = openat(dir, path, O_WRONLY | O_CLOEXEC | flags, 0600);
  if (fd < 0) return -1;
  ssize_t n = write(fd, text, strlen(text));
  close(fd);
  return n < 0 ? -1 : 0;
}

static char *read_file(int dir, const char *path, char *into, size_t size) {
  int fd = must(openat(dir, path, O_RDONLY | O_CLOEXEC));
  into[must(read(fd, into, size - 1))] = 0;
  close(fd);
  return into;
}

static void replace_file(int dir, const char *temporary, const char *path, const char *text) {
  must(write_file(dir, temporary, text, O_CREAT | O_EXCL));
  must(renameat(dir, temporary, dir, path));
}

static int state_dir(void) {
  char path[256];
  snprintf(path, sizeof path, STATE "/%s", id);
  return must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int saved_pid(int dir) {
  char text[32];
  userns = !!strchr(read_file(dir, "state.json", text, sizeof text), 'u');
  return atoi(text);
}

// --- cgroups -------------------------------------------------------------------------------------------------------

static void find_cgroups(void) {
  static char all[1024] = "/sys/fs/cgroup";
  if (getenv("FLOOR_CGROUPS")) strcpy(all, getenv("FLOOR_CGROUPS"));
  for (char *one = strtok(all, ":"); one; one = strtok(0, ":")) hierarchy[hierarchies++] = one;
  struct statfs fs;
  must(statfs(hierarchy[0], &fs));
  v2 = fs.f_type == CGROUP2_SUPER_MAGIC && hierarchies == 1;
}

static char *cgroup(int i, const char *file) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s%s%s", hierarchy[i], id, file ? "/" : "", file ? file : "");
  return path;
}

static int is(int i, const char *controller) { return !strcmp(strrchr(hierarchy[i], '/') + 1, controller); }

// A v1 cpuset takes no process before it has processors and memory nodes.
static void fill_cpuset(int i) {
  static const char *files[] = {"cpuset.cpus", "cpuset.mems"};
  char from[256], text[256];
  for (int f = 0; f < 2; f++) {
    snprintf(from, sizeof from, "%s/%s", hierarchy[i], files[f]);
    must(write_file(AT_FDCWD, cgroup(i, files[f]), read_file(AT_FDCWD, from, text, sizeof text), 0));
  }
}

static void make_cgroups(void) {
  if (v2 && limited) {
    char path[256];
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", hierarchy[0]);
    must(write_file(AT_FDCWD, path, "+cpu +memory +pids", 0));
  }
  for (int i = 0; i < hierarchies; i++) {
    must(mkdir(cgroup(i, 0), 0755));
    if (is(i, "cpuset")) fill_cpuset(i);
  }
}

// One write a limit, in the hierarchy of its controller; on v2 that is always the same.
static void set_limits(void) {
  static const struct { const char *controller, *file, *value; } v1_limits[] = {
      {"memory", "memory.limit_in_bytes", "536870912"}, {"memory", "memory.memsw.limit_in_bytes", "1073741824"},
      {"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", "150000"}, {"pids", "pids.max", "100"},
  };
  static const char *const v2_limits[][2] = {
      {"pids.max", "100"}, {"memory.swap.max", "536870912"}, {"memory.max", "536870912"}, {"cpu.max", "150000 100000"},
  };
  for (size_t l = 0; v2 && l < sizeof v2_limits / sizeof *v2_limits; l++) must(write_file(AT_FDCWD, cgroup(0, v2_limits[l][0]), v2_limits[l][1], 0));
  for (size_t l = 0; !v2 && l < sizeof v1_limits / sizeof *v1_limits; l++) {
    int i = 0;
    while (!is(i, v1_limits[l].controller))
      if (++i == hierarchies) die(v1_limits[l].controller);
    must(write_file(AT_FDCWD, cgroup(i, v1_limits[l].file), v1_limits[l].value, 0));
  }
}

// What runc and crun allow beside the bundle's rule `deny all`: nodes made but not opened, and the usual devices.
static const struct { char type; int major, minor; const char *access; } allowed[] = {
    {'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 7, "rwm"},
    {'c', 5, 0, "rwm"}, {'c', 1, 5, "rwm"}, {'c', 1, 9, "rwm"}, {'c', 136, -1, "rwm"}, {'c', 5, 2, "rwm"},
    {'c', 10, 200, "rwm"}, {'c', 5, 1, "rwm"},  // the last two with limits only
};
#define ALLOWED (sizeof allowed / sizeof *allowed - (limited ? 0 : 2))

static void device_rules_v1(void) {
  char rule[64], number[2][12];
  int i = 0;
  while (!is(i, "devices"))
    if (++i == hierarchies) return;
  must(write_file(AT_FDCWD, cgroup(i, "devices.deny"), "a", 0));
  int fd = must(open(cgroup(i, "devices.allow"), O_WRONLY | O_CLOEXEC));
  for (size_t r = 0; r < ALLOWED; r++) {
    snprintf(number[0], 12, allowed[r].major < 0 ? "*" : "%d", allowed[r].major);
    snprintf(number[1], 12, allowed[r].minor < 0 ? "*" : "%d", allowed[r].minor);
    must(write(fd, rule, sprintf(rule, "%c %s:%s %s", allowed[r].type, number[0], number[1], allowed[r].access)));
  }
  close(fd);
}

#define INSN(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

static void device_rules_v2(int cgroup_fd) {
  struct bpf_insn p[16 + 8 * sizeof allowed / sizeof *allowed];
  int n = 0;
  p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);  // r2 = access << 16 | type
  p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
  p[n++] = INSN(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);  // r2 = type
  p[n++] = INSN(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);      // r3 = access
  p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);       // r4 = major
  p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);       // r5 = minor
  for (size_t r = 0; r < ALLOWED; r++) {
    int any = strcmp(allowed[r].access, "rwm"), major = allowed[r].major, minor = allowed[r].minor;
    int left = 2 + (any ? 2 : 0) + (major >= 0) + (minor >= 0);  // instructions to the next rule
    p[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, 2, 0, left, allowed[r].type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (any) {  // mknod only: no other bit set
      p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 3, 0, 0);
      p[n++] = INSN(BPF_JMP | BPF_JSET | BPF_K, 1, 0, left - 2, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE);
    }
    if (major >= 0) p[n] = INSN(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 2 + (minor >= 0), major), n++;
    if (minor >= 0) p[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 2, minor);
    p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
    p[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
  p[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uintptr_t)p, .insn_cnt = n, .license = (uintptr_t) "Apache-2.0"};
  int program = must(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
  union bpf_attr attach = {.target_fd = cgroup_fd, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
  must(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
  close(program);
}

// A thread that writes "0" to `tasks` moves itself alone, which is dearer by far for `cgroup.procs`: that stops all forks.
static void join_cgroup(int i) { must(write_file(AT_FDCWD, cgroup(i, is(i, "unified") ? "cgroup.procs" : "tasks"), "0", 0)); }

static int remove_directory(const char *path) { return rmdir(path) == 0 ? 0 : errno == EBUSY ? 1 : -1; }

static void remove_cgroups(void) {
  for (int i = 0; i < hierarchies; i++)
    for (int tries = 0; must(remove_directory(cgroup(i, 0))); tries++) {
      if (tries == 1000) die("cgroup");
      usleep(50);
    }
}

// --- the child -----------------------------------------------------------------------------------------------------

static void new_filesystem(const char *type, const char *on, unsigned attributes, const char *const options[][2]) {
  int context = must(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
  for (; options && (*options)[0]; options++) must(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, (*options)[0], (*options)[1], 0));
  must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0));
  int fd = must(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
  must(syscall(SYS_move_mount, fd, "", AT_FDCWD, on, MOVE_MOUNT_F_EMPTY_PATH));
  close(fd);
  close(context);
}

static void bind_mount(const char *from, const char *to, unsigned flags, unsigned attributes) {
  int tree = syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
  if (tree < 0 && errno == ENOENT) return;
  must(tree);
  struct mount_attr attr = {.attr_set = attributes};
  if (attributes) must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr));
  must(syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
  close(tree);
}

static void make_device(const char *path, int major, int minor) {
  char from[32];
  if (!userns) {
    must(mknod(path, S_IFCHR | 0666, makedev(major, minor)));
    return;
  }
  snprintf(from, sizeof from, "/%s", path);
  must(mknod(path, S_IFREG | 0666, 0));
  bind_mount(from, path, 0, 0);
}

static void make_dev(void) {
  umask(0);
  make_device("dev/null", 1, 3);
  make_device("dev/zero", 1, 5);
  make_device("dev/full", 1, 7);
  make_device("dev/random", 1, 8);
  make_device("dev/urandom", 1, 9);
  make_device("dev/tty", 5, 0);
  must(symlink("pts/ptmx", "dev/ptmx"));
  must(symlink("/proc/self/fd", "dev/fd"));
  must(symlink("/proc/self/fd/0", "dev/stdin"));
  must(symlink("/proc/self/fd/1", "dev/stdout"));
  must(symlink("/proc/self/fd/2", "dev/stderr"));
  umask(022);
}

static const char *const no_options[][2] = {{0, 0}};

static void mount_cgroups(void) {
  unsigned flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
  if (v2) {
    new_filesystem("cgroup2", "sys/fs/cgroup", flags, no_options);
    return;
  }
  static const char *const options[][2] = {{"mode", "755"}, {0, 0}};
  new_filesystem("tmpfs", "sys/fs/cgroup", flags & ~MOUNT_ATTR_RDONLY, options);
  for (int i = 0; i < hierarchies; i++) {
    char to[128];
    if (is(i, "unified")) continue;
    snprintf(to, sizeof to, "sys/fs/cgroup/%s", strrchr(hierarchy[i], '/') + 1);
    must(mkdir(to, 0755));
    int tree = must(syscall(SYS_open_tree, AT_FDCWD, cgroup(i, 0), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    struct mount_attr attr = {.attr_set = flags};
    must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr));
    must(syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
    close(tree);
  }
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  must(syscall(SYS_mount_setattr, AT_FDCWD, "sys/fs/cgroup", 0, &attr, sizeof attr));
}

static void make_mounts(void) {
  static const char *const dev[][2] = {{"mode", "755"}, {"size", "65536k"}, {0, 0}};
  static const char *const pts[][2] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}, {0, 0}};
  static const char *const shm[][2] = {{"mode", "1777"}, {"size", "65536k"}, {0, 0}};
  unsigned strict = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;
  new_filesystem("proc", "proc", 0, no_options);
  new_filesystem("tmpfs", "dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, dev);
  must(mkdir("dev/pts", 0755));
  new_filesystem("devpts", "dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts);
  must(mkdir("dev/shm", 0755));
  new_filesystem("tmpfs", "dev/shm", strict, shm);
  must(mkdir("dev/mqueue", 0755));
  new_filesystem("mqueue", "dev/mqueue", strict, no_options);
  new_filesystem("sysfs", "sys", strict | MOUNT_ATTR_RDONLY, no_options);
  mount_cgroups();
}

static void protect_proc(void) {
  static const char *const read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
  static const char *const files[] = {"proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug"};
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
    bind_mount(read_only[i], read_only[i], AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (faccessat(AT_FDCWD, files[i], F_OK, 0) == 0) bind_mount("dev/null", files[i], 0, 0);
}

// One empty tmpfs serves all masked directories.
static void mask_directory(const char *path) {
  static int empty = -1;
  int tree;
  if (faccessat(AT_FDCWD, path, F_OK, 0) != 0) return;
  if (empty < 0) {
    int context = must(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
    must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0));
    tree = empty = must(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
  } else {
    tree = must(syscall(SYS_open_tree, empty, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  }
  must(syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));
}

static void fill_rootfs(void) {
  struct mount_attr slave = {.propagation = MS_SLAVE};
  must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &slave, sizeof slave));
  int tree = must(syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  must(syscall(SYS_move_mount, tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH));
  must(fchdir(tree));
  make_mounts();
  make_dev();
  protect_proc();
  mask_directory("proc/acpi");
  mask_directory("proc/asound");
  mask_directory("proc/scsi");
  mask_directory("sys/firmware");
}

static void enter_rootfs(void) {
  must(syscall(SYS_pivot_root, ".", "."));
  must(umount2(".", MNT_DETACH));
  must(chdir("/"));
  struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
  must(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &read_only, sizeof read_only));
}

static void loopback_up(void) {
  int fd = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  must(ioctl(fd, SIOCSIFFLAGS, &request));
  close(fd);
}

static void join_keyring(void) {
  char name[128];
  snprintf(name, sizeof name, "_ses.%s", id);
  int ring = must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name));
  must(syscall(SYS_keyctl, KEYCTL_SETPERM, ring, 0x3f1f0000 | 0x00080000));
}

static void drop_privileges(void) {
  enum { KILL = 5, NET_BIND_SERVICE = 10, AUDIT_WRITE = 29, LAST = 40 };
  struct rlimit files = {1024, 1024};
  must(setrlimit(RLIMIT_NOFILE, &files));
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  for (int cap = 0; cap <= LAST; cap++)
    if (cap != KILL && cap != NET_BIND_SERVICE && cap != AUDIT_WRITE) must(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
  struct { uint32_t version; int pid; } header = {0x20080522, 0};
  struct { uint32_t effective, permitted, inheritable; } sets[2] = {{0x20000420, 0x20000420, 0}, {0, 0, 0}};
  must(syscall(SYS_capset, &header, sets));
}

static void become(char *const program[]) {
  static char *const environment[] = {"PATH=/bin", "TERM=xterm", 0};
  must(syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC));
  print_times();
  execve(program[0], program, environment);
  die(program[0]);
}

static void become_root(void) {
  must(setgroups(0, 0));
  must(setresgid(0, 0, 0));
  must(setresuid(0, 0, 0));
}

static const unsigned long others = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;

static void init(const char *rootfs, int fifo, int mapped, int parent, char *const program[]) {
  int devices = -1;
  char text[32];
  forget_times();
  must(setsid());
  must(chdir(rootfs));
  for (int i = 0; !v2 && i < hierarchies; i++)
    if (is(i, "devices")) devices = must(open(cgroup(i, "tasks"), O_WRONLY | O_CLOEXEC));
    else join_cgroup(i);
  if (userns) {
    must(read(mapped, text, 1));
    become_root();
    must(unshare(others | (v2 ? CLONE_NEWCGROUP : 0)));
  }
  join_keyring();
  loopback_up();
  must(sethostname("minke", 5));
  fill_rootfs();
  enter_rootfs();
  // So late because the parent is writing the rules, and `deny all`, which comes first, denies mknod.
  if (devices >= 0) must(write(devices, "0", 1));
  drop_privileges();
  must(write(parent, "", 1));
  snprintf(text, sizeof text, "/proc/self/fd/%d", fifo);
  fifo = must(open(text, O_WRONLY | O_CLOEXEC));
  must(write(fifo, "", 1));
  become(program);
}

// --- the commands --------------------------------------------------------------------------------------------------

// All that it takes from config.json: the words of `"args": [`.
static char *const *program(const char *bundle) {
  static char text[1 << 16], *words[16];
  snprintf(text, sizeof text, "%s/config.json", bundle);
  read_file(AT_FDCWD, text, text, sizeof text);
  userns = !!strstr(text, "uidMappings");
  limited = !!strstr(text, "\"pids\":");
  char *args = strstr(text, "\"args\": ["), *end = args ? strchr(args, ']') : 0;
  if (!end) die("args");
  *end = 0;
  strtok(args + strlen("\"args\": "), "\"");
  for (int n = 0; n < 15 && (words[n] = strtok(0, "\"")); n++) strtok(0, "\"");
  return words;
}

// The ids of the child's user namespace.
static void map_ids(int pid, int mapped) {
  char path[64];
  for (const char *kind = "ug"; *kind; kind++) {
    snprintf(path, sizeof path, "/proc/%d/%cid_map", pid, *kind);
    must(write_file(AT_FDCWD, path, "0 100000 65536\n", 0));
  }
  must(write(mapped, "", 1));
}

static void create(const char *bundle, const char *pid_file) {
  char rootfs[512], path[300], text[16], *const *words = program(bundle);
  snprintf(rootfs, sizeof rootfs, "%s/rootfs", bundle);
  mkdir(STATE, 0700);
  snprintf(path, sizeof path, STATE "/%s", id);
  must(mkdir(path, 0700));
  int state = state_dir();
  must(mkfifoat(state, "start", 0600));
  if (userns) must(fchmodat(state, "start", 0622, 0));
  int fifo = must(openat(state, "start", O_PATH | O_CLOEXEC));
  make_cgroups();

  int ends[2], mapped[2] = {-1, -1}, pidfd, cgroup_fd = -1;
  must(pipe2(ends, O_CLOEXEC));
  if (userns) must(pipe2(mapped, O_CLOEXEC));
  struct clone_args args = {
      .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_PIDFD | (userns ? CLONE_NEWUSER : others),
      .exit_signal = SIGCHLD,
      .pidfd = (uintptr_t)&pidfd,
  };
  if (v2) {
    cgroup_fd = must(open(cgroup(0, 0), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    args.flags |= CLONE_INTO_CGROUP | (userns ? 0 : CLONE_NEWCGROUP);
    args.cgroup = cgroup_fd;
  }
  int pid = must(syscall(SYS_clone3, &args, sizeof args));
  if (!pid) init(rootfs, fifo, mapped[0], ends[1], words);

  close(ends[1]);
  if (userns) map_ids(pid, mapped[1]);
  if (limited) set_limits();
  if (v2) device_rules_v2(cgroup_fd);
  else device_rules_v1();
  snprintf(text, sizeof text, "%d%s", pid, userns ? "u" : "");
  must(write_file(state, "state.tmp", text, O_CREAT | O_EXCL));
  char done;
  if (must(read(ends[0], &done, 1)) != 1) exit(1);  // it has said why
  must(renameat(state, "state.tmp", state, "state.json"));
  if (pid_file) {
    snprintf(path, sizeof path, "%s.tmp", pid_file);
    snprintf(text, sizeof text, "%d", pid);
    replace_file(AT_FDCWD, path, pid_file, text);
  }
}

static void start(void) {
  int state = state_dir(), fifo = must(openat(state, "start", O_RDONLY | O_CLOEXEC));
  char going;
  must(read(fifo, &going, 1));
  must(unlinkat(state, "start", 0));
}

static int exec(char *const command[]) {
  int pidfd = must(syscall(SYS_pidfd_open, saved_pid(state_dir()), 0)), status;
  struct clone_args args = {.exit_signal = SIGCHLD};
  must(setns(pidfd, CLONE_NEWPID));
  if (v2) {
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = must(open(cgroup(0, 0), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  int pid = must(syscall(SYS_clone3, &args, sizeof args));
  if (!pid) {
    forget_times();
    for (int i = 0; !v2 && i < hierarchies; i++) join_cgroup(i);
    join_keyring();
    must(setns(pidfd, CLONE_NEWNS | others | (v2 ? CLONE_NEWCGROUP : 0) | (userns ? CLONE_NEWUSER : 0)));
    if (userns) become_root();
    drop_privileges();
    become(command);
  }
  must(waitpid(pid, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void state(void) {
  int pid = saved_pid(state_dir());
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  read_file(AT_FDCWD, path, text, sizeof text);  // is it the same process, and alive?
  int n = snprintf(text, sizeof text, "{\n  \"id\": \"%s\",\n  \"pid\": %d,\n  \"status\": \"running\"\n}\n", id, pid);
  must(write(1, text, n));
}

static void delete (void) {
  int state = state_dir();
  int pidfd = syscall(SYS_pidfd_open, saved_pid(state), 0);
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  if (pidfd >= 0 && !poll(&end, 1, 0)) die("it lives");
  remove_cgroups();
  must(unlinkat(state, "state.json", 0));
  char path[300];
  snprintf(path, sizeof path, STATE "/%s", id);
  must(rmdir(path));
}

int main(int count, char **words) {
  if (count < 3) return 2;
  const char *command = words[1], *bundle = ".", *pid_file = 0;
  int at = 2;
  for (; at + 1 < count && words[at][0] == '-'; at++)
    if (!strcmp(words[at], "--bundle")) bundle = words[++at];
    else if (!strcmp(words[at], "--pid-file")) pid_file = words[++at];
  id = words[at++];
  find_cgroups();
  if (!strcmp(command, "create")) create(bundle, pid_file);
  else if (!strcmp(command, "start")) start();
  else if (!strcmp(command, "exec")) return exec(words + at);
  else if (!strcmp(command, "state")) state();
  else if (!strcmp(command, "kill")) must(syscall(SYS_pidfd_send_signal, must(syscall(SYS_pidfd_open, saved_pid(state_dir()), 0)), atoi(words[at]), 0, 0));
  else if (!strcmp(command, "delete")) delete ();
  else return 2;
  print_times();
  return 0;
}
