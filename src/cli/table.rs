//! The grammar itself. Parsing, `--help`, completion and man pages are all
//! made from these constants.

use super::grammar::{Arg, BLANK, Command, Flag, Group, Kind, What};
use Kind::{Dir, File, List, Number, Text, Word};

/// Flags before the command.
pub(crate) const GLOBAL: &[Flag] = &[
    Flag::new("root", Dir("DIR"), "state of the containers (default /run/minke)"),
    Flag::new("log", File("FILE"), "append log lines to FILE, not to stderr"),
    Flag::new("log-format", Word("FORMAT", &["text", "json"]), "text (default) or json"),
    Flag::switch("debug", "log what is being done, too"),
    Flag::switch("systemd-cgroup", "short for --cgroup-manager systemd"),
    Flag::new(
        "cgroup-manager",
        Word("MANAGER", &["cgroupfs", "systemd", "disabled"]),
        "cgroupfs (default), systemd or disabled",
    ),
    Flag::new(
        "rootless",
        Word("WHEN", &["true", "false", "auto"]),
        "no error if cgroups are out of reach: true, false or auto (default)",
    ),
    HELP,
    Flag::switch("version", "show the version").short('v'),
];

/// Every command has it.
pub(crate) const HELP: Flag = Flag::switch("help", "show this help").short('h');

const BUNDLE: Flag =
    Flag::new("bundle", Dir("DIR"), "the bundle (default: the current directory)").short('b');
const CONFIG: Flag =
    Flag::new("config", File("FILE"), "read FILE instead of the bundle's config.json").short('f');
const CONSOLE_SOCKET: Flag =
    Flag::new("console-socket", File("SOCKET"), "send the terminal's descriptor to this socket");
const PIDFD_SOCKET: Flag =
    Flag::new("pidfd-socket", File("SOCKET"), "send the process's pidfd to this socket");
const PID_FILE: Flag = Flag::new("pid-file", File("FILE"), "write the process's pid to FILE");
const NO_PIVOT: Flag = Flag::switch("no-pivot", "no pivot_root (root file system on a ramdisk)");
const NO_NEW_KEYRING: Flag =
    Flag::switch("no-new-keyring", "keep the session keyring of the caller");
const PRESERVE_FDS: Flag =
    Flag::new("preserve-fds", Number("N"), "pass N descriptors more, after LISTEN_FDS");
const NO_SUBREAPER: Flag = Flag::switch("no-subreaper", "accepted, without effect").hidden();
const DETACH: Flag = Flag::switch("detach", "do not wait for the process to end").short('d');
const FORMAT: Flag =
    Flag::new("format", Word("FORMAT", &["table", "json"]), "table (default) or json").short('f');

const ID: Arg = Arg { name: "ID", what: What::Container, required: true, repeated: false };
const NEW_ID: Arg = Arg { name: "ID", what: What::Free, required: true, repeated: false };

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    CREATE,
    START,
    RUN,
    STATE,
    KILL,
    DELETE,
    LIST,
    EXEC,
    PS,
    PAUSE,
    RESUME,
    UPDATE,
    EVENTS,
    CHECKPOINT,
    RESTORE,
    SPEC,
    SECCOMP,
    FEATURES,
    HELP_COMMAND,
    VERSION,
    COMPLETION,
    MAN,
];

const CREATE: Command = Command {
    name: "create",
    about: "set a container up, ready to start",
    text: "Builds the container that the bundle's config.json describes, and stops just before \
           its program: `start` runs it. ID is yours to choose: letters, digits and any of _ + - . \
           It must not be taken.",
    examples: &[("minke create --bundle /srv/web web1", "set web1 up from the bundle /srv/web")],
    flags: &[
        BUNDLE,
        CONFIG,
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        PID_FILE,
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
        NO_SUBREAPER,
        HELP,
    ],
    args: &[NEW_ID],
    group: Group::Lifecycle,
    ..BLANK
};

const START: Command = Command {
    name: "start",
    about: "run the program of a created container",
    text: "Lets the program of a created container run, and returns as soon as it does.",
    flags: &[HELP],
    args: &[ID],
    group: Group::Lifecycle,
    ..BLANK
};

const RUN: Command = Command {
    name: "run",
    about: "create, start, wait and delete in one go",
    text: "Creates the container, starts it, passes signals and the size of the window on, and \
           exits with the status of its program (128 + N if signal N ended it). The container is \
           deleted then, unless --keep says otherwise. With --detach it returns once the program \
           runs.",
    examples: &[
        ("minke run demo", "run the bundle in the current directory"),
        ("minke run --detach --pid-file web.pid web1", "start web1 and come back at once"),
    ],
    flags: &[
        BUNDLE,
        CONFIG,
        DETACH,
        Flag::switch("keep", "do not delete it when its program has ended"),
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        PID_FILE,
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
        NO_SUBREAPER,
        HELP,
    ],
    args: &[NEW_ID],
    group: Group::Lifecycle,
    ..BLANK
};

const STATE: Command = Command {
    name: "state",
    about: "print the state of a container as JSON",
    text: "Prints id, pid, status, bundle, time of creation and annotations as JSON. The status is \
           one of creating, created, running, paused and stopped.",
    flags: &[HELP],
    args: &[ID],
    group: Group::Lifecycle,
    ..BLANK
};

/// Names that completion offers; `kill` knows all signals.
const SIGNALS: &[&str] = &["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT"];

const KILL: Command = Command {
    name: "kill",
    about: "send a signal to a container's program",
    text: "SIGNAL is a name with or without SIG, in any case, or a number; TERM if it is left \
           out.",
    examples: &[
        ("minke kill web1", "ask web1 to end"),
        ("minke kill web1 KILL", "end it at once; so does SIGKILL or 9"),
    ],
    flags: &[Flag::switch("all", "send it to every process of the container").short('a'), HELP],
    args: &[
        ID,
        Arg { name: "SIGNAL", what: What::Word(SIGNALS), required: false, repeated: false },
    ],
    ends_at_argument: true,
    group: Group::Lifecycle,
};

const DELETE: Command = Command {
    name: "delete",
    about: "remove a container that has stopped",
    text: "Removes what is left of a container: its cgroups and its state. One that was created \
           but never started is killed first; a running one only with --force.",
    flags: &[
        Flag::switch("force", "kill it first if it runs; no error if there is no such container")
            .short('f'),
        HELP,
    ],
    args: &[ID],
    group: Group::Lifecycle,
    ..BLANK
};

const LIST: Command = Command {
    name: "list",
    about: "list the containers below the state directory",
    text: "Lists the containers whose state is below the global --root.",
    flags: &[FORMAT, Flag::switch("quiet", "print IDs only").short('q'), HELP],
    group: Group::Lifecycle,
    ..BLANK
};

const EXEC: Command = Command {
    name: "exec",
    about: "run one more program in a container",
    text: "Runs COMMAND in a running container and exits with its status, or with 255 if minke \
           itself fails. With --process the program comes from a JSON file and COMMAND may be left \
           out. Options end at ID: what follows is the program's.",
    examples: &[
        ("minke exec -t web1 sh", "a shell in web1"),
        ("minke exec --user 1000:1000 --cwd /srv web1 ls -l", "as another user, elsewhere"),
    ],
    flags: &[
        Flag::new("process", File("FILE"), "read the process, as in config.json, from FILE")
            .short('p'),
        Flag::switch("tty", "give it a terminal").short('t'),
        DETACH,
        Flag::new("cwd", Text("DIR"), "its working directory, in the container"),
        Flag::new("env", List("NAME=VALUE"), "add to its environment (repeatable)").short('e'),
        Flag::new("user", Text("UID[:GID]"), "its user and group, as numbers").short('u'),
        Flag::new("additional-gids", List("GID"), "one more group of it (repeatable)").short('g'),
        Flag::new("cap", List("CAP"), "one more capability for it (repeatable)").short('c'),
        Flag::switch("no-new-privs", "it cannot gain privileges"),
        Flag::new("apparmor", Text("PROFILE"), "its AppArmor profile"),
        Flag::new("process-label", Text("LABEL"), "its SELinux label"),
        Flag::new("cgroup", List("[CTRL:]PATH"), "put it into this sub-cgroup (repeatable)"),
        Flag::switch("ignore-paused", "do so in a paused container, too"),
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        PID_FILE,
        PRESERVE_FDS,
        HELP,
    ],
    args: &[ID, Arg { name: "COMMAND", what: What::Free, required: false, repeated: true }],
    ends_at_argument: true,
    group: Group::Running,
};

const PS: Command = Command {
    name: "ps",
    about: "list the processes of a container",
    text: "Shows the lines of the host's ps that belong to the container. Options end at ID: what \
           follows goes to ps (default -ef).",
    examples: &[("minke ps web1 aux", "as `ps aux`, of web1 only")],
    flags: &[FORMAT, HELP],
    args: &[ID, Arg { name: "PS-OPTION", what: What::Free, required: false, repeated: true }],
    ends_at_argument: true,
    group: Group::Running,
};

const PAUSE: Command = Command {
    name: "pause",
    about: "freeze all processes of a container",
    flags: &[HELP],
    args: &[ID],
    group: Group::Running,
    ..BLANK
};

const RESUME: Command = Command {
    name: "resume",
    about: "let the processes of a paused container go on",
    flags: &[HELP],
    args: &[ID],
    group: Group::Running,
    ..BLANK
};

const UPDATE: Command = Command {
    name: "update",
    about: "change the limits of a container",
    text: "Sizes are bytes, or take a unit (512m, 2g); -1 means no limit. With --resources the \
           values come from JSON in the form of config.json's linux.resources, and all other \
           options are ignored.",
    examples: &[
        ("minke update --memory 512m --pids-limit 100 web1", "two new limits"),
        ("echo '{\"cpu\": {\"shares\": 512}}' | minke update -r - web1", "from JSON"),
    ],
    flags: &[
        Flag::new("resources", File("FILE"), "read the limits from FILE, or - for standard input")
            .short('r'),
        Flag::switch("dry-run", "only show what would be written, and what the kernel makes of it"),
        Flag::new("memory", Text("SIZE"), "memory"),
        Flag::new("memory-reservation", Text("SIZE"), "memory kept for it when it is scarce"),
        Flag::new("memory-swap", Text("SIZE"), "memory and swap together"),
        Flag::new("pids-limit", Number("N"), "processes and threads"),
        Flag::new("cpu-share", Text("N"), "weight of its CPU time against others (1024 is usual)"),
        Flag::new("cpu-quota", Text("USEC"), "CPU time in a period"),
        Flag::new("cpu-period", Text("USEC"), "length of that period"),
        Flag::new("cpu-burst", Text("USEC"), "unused CPU time it may save up"),
        Flag::new("cpu-rt-period", Text("USEC"), "length of a period of realtime"),
        Flag::new("cpu-rt-runtime", Text("USEC"), "realtime in such a period"),
        Flag::new(
            "cpu-idle",
            Word("0|1", &["0", "1"]),
            "1: run only when the CPU has no other work",
        ),
        Flag::new("cpuset-cpus", Text("LIST"), "CPUs that it may use (0-3,7)"),
        Flag::new("cpuset-mems", Text("LIST"), "memory nodes that it may use"),
        Flag::new(
            "blkio-weight",
            Number("N"),
            "weight of its block I/O against others, 10 to 1000",
        ),
        Flag::new("l3-cache-schema", Text("SCHEMA"), "Intel RDT: share of the L3 cache"),
        Flag::new("mem-bw-schema", Text("SCHEMA"), "Intel RDT: share of the memory bandwidth"),
        Flag::new("kernel-memory", Text("SIZE"), "accepted, without effect").hidden(),
        Flag::new("kernel-memory-tcp", Text("SIZE"), "accepted, without effect").hidden(),
        HELP,
    ],
    args: &[ID],
    group: Group::Running,
    ..BLANK
};

const EVENTS: Command = Command {
    name: "events",
    about: "print statistics and out-of-memory events",
    text: "Prints a JSON object a line, until the container ends.",
    flags: &[
        Flag::new("interval", Text("TIME"), "time between statistics, such as 500ms (default 5s)"),
        Flag::switch("stats", "print the statistics once"),
        Flag::switch(
            "all",
            "tell of exit (with its code, since Linux 6.15), pause, resume and memory pressure, too",
        ),
        HELP,
    ],
    args: &[ID],
    group: Group::Running,
    ..BLANK
};

const IMAGE_PATH: Flag =
    Flag::new("image-path", Dir("DIR"), "CRIU's images (default ./checkpoint)");
const WORK_PATH: Flag = Flag::new("work-path", Dir("DIR"), "CRIU's logs and working files");
const TCP_ESTABLISHED: Flag = Flag::switch("tcp-established", "allow open TCP connections");
const EXT_UNIX_SK: Flag = Flag::switch("ext-unix-sk", "allow unix sockets that lead outside");
const SHELL_JOB: Flag = Flag::switch("shell-job", "allow a program started by a shell");
const LAZY_PAGES: Flag = Flag::switch("lazy-pages", "move memory when it is first used");
const FILE_LOCKS: Flag = Flag::switch("file-locks", "handle file locks");
const CGROUPS_MODE: Flag = Flag::new(
    "manage-cgroups-mode",
    Word("MODE", &["soft", "full", "strict", "ignore"]),
    "soft (default), full, strict or ignore",
);
const EMPTY_NS: Flag =
    Flag::new("empty-ns", List("NAMESPACE"), "make it new, restore nothing in it (network)");
const AUTO_DEDUP: Flag = Flag::switch("auto-dedup", "drop memory that a later image holds");

const CHECKPOINT: Command = Command {
    name: "checkpoint",
    about: "save a running container to disk",
    text: "Saves the processes of a container with CRIU, however long that takes, and ends it \
           unless told otherwise.",
    flags: &[
        IMAGE_PATH,
        WORK_PATH,
        Flag::new("parent-path", Dir("DIR"), "images of an earlier --pre-dump, relative to these"),
        Flag::switch("leave-running", "let the container go on"),
        Flag::switch("pre-dump", "save memory only, and let the container go on"),
        TCP_ESTABLISHED,
        Flag::switch("tcp-skip-in-flight", "leave out TCP connections that are being made"),
        Flag::switch("link-remap", "link unlinked files back where possible"),
        EXT_UNIX_SK,
        SHELL_JOB,
        FILE_LOCKS,
        LAZY_PAGES,
        Flag::new("status-fd", Number("FD"), "write a NUL to FD when --lazy-pages is ready"),
        Flag::new("page-server", Text("ADDRESS:PORT"), "send memory to this page server"),
        CGROUPS_MODE,
        EMPTY_NS,
        AUTO_DEDUP,
        HELP,
    ],
    args: &[ID],
    group: Group::Checkpoint,
    ..BLANK
};

const RESTORE: Command = Command {
    name: "restore",
    about: "bring a saved container back to life",
    text: "Makes a container from a bundle and the images that `checkpoint` has written.",
    flags: &[
        BUNDLE,
        IMAGE_PATH,
        WORK_PATH,
        DETACH,
        CONSOLE_SOCKET,
        PID_FILE,
        NO_PIVOT,
        NO_SUBREAPER,
        TCP_ESTABLISHED,
        EXT_UNIX_SK,
        SHELL_JOB,
        FILE_LOCKS,
        LAZY_PAGES,
        CGROUPS_MODE,
        EMPTY_NS,
        AUTO_DEDUP,
        Flag::new("lsm-profile", Text("TYPE:NAME"), "AppArmor profile or SELinux label for it"),
        Flag::new("lsm-mount-context", Text("CONTEXT"), "SELinux context of the mounts"),
        HELP,
    ],
    args: &[NEW_ID],
    group: Group::Checkpoint,
    ..BLANK
};

const SPEC: Command = Command {
    name: "spec",
    about: "write a config.json to start from",
    text: "Writes a config.json that runs `sh` in a root file system called rootfs. An existing \
           file is left alone.",
    examples: &[
        ("minke spec", "write ./config.json"),
        ("minke spec --rootless", "one that works without root privileges"),
    ],
    flags: &[
        BUNDLE,
        Flag::new("file", File("FILE"), "write FILE instead of config.json").short('f'),
        Flag::switch("rootless", "for a container of an ordinary user"),
        HELP,
    ],
    ..BLANK
};

const SECCOMP: Command = Command {
    name: "seccomp",
    about: "tell what a seccomp profile answers, and why",
    text: "PROFILE is a bundle, its config.json, or a file with what is in its linux.seccomp. \
           Without options it tells how large and how deep the filter is, and what it leaves out; \
           with --call, what it answers to that system call and by which rule.",
    examples: &[
        ("minke seccomp --call 'socket(40, 1, 0)' --call mount /srv/web", "two calls"),
        ("minke seccomp --arch x86 --call 'socketcall(1)' profile.json", "of 32-bit programs"),
    ],
    flags: &[
        Flag::new("arch", Text("ARCH"), "the architecture of the calls (default: this machine's)"),
        Flag::new("call", List("NAME(ARGS)"), "answer this system call (repeatable)"),
        Flag::switch("disasm", "show the program, instruction by instruction"),
        HELP,
    ],
    args: &[Arg { name: "PROFILE", what: What::Free, required: true, repeated: false }],
    ..BLANK
};

const FEATURES: Command = Command {
    name: "features",
    about: "print what this build can do as JSON",
    text: "The JSON is that of the runtime-spec's features.md.",
    flags: &[HELP],
    ..BLANK
};

const HELP_COMMAND: Command = Command {
    name: "help",
    about: "show help, for all or for one command",
    flags: &[HELP],
    args: &[Arg { name: "COMMAND", what: What::Command, required: false, repeated: false }],
    ..BLANK
};

const VERSION: Command =
    Command { name: "version", about: "show the version", flags: &[HELP], ..BLANK };

const COMPLETION: Command = Command {
    name: "completion",
    about: "print a script that completes minke's command line",
    examples: &[
        ("minke completion bash > /etc/bash_completion.d/minke", "for bash, for everybody"),
        ("minke completion zsh > /usr/local/share/zsh/site-functions/_minke", "for zsh"),
        ("minke completion fish > ~/.config/fish/completions/minke.fish", "for fish"),
    ],
    flags: &[HELP],
    args: &[Arg {
        name: "SHELL",
        what: What::Word(&["bash", "zsh", "fish"]),
        required: true,
        repeated: false,
    }],
    ..BLANK
};

const MAN: Command = Command {
    name: "man",
    about: "write the manual pages",
    text: "Writes minke.8 and a page for each command into DIR, which is made if need be.",
    examples: &[("minke man /usr/local/share/man/man8", "install them")],
    flags: &[HELP],
    args: &[Arg { name: "DIR", what: What::Dir, required: true, repeated: false }],
    ..BLANK
};
