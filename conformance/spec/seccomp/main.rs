//! config-linux.md#seccomp on the running kernel: filters that minke compiles,
//! loaded by a child of the test, which then tries a system call.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp>

// Parts of minke are used that it has for itself.
#![allow(dead_code)]
// Lints for what is no test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod child;
mod notify;
#[path = "../../../src/seccomp/mod.rs"]
mod seccomp;
#[path = "../../../src/spec"]
mod spec {
    pub(crate) mod seccomp;
}
#[path = "../../../src/sys"]
mod sys {
    pub(crate) mod seccomp;
}

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use child::{Call, Seen, profile, under};

const EPERM: i64 = 1;
const ENOSYS: i64 = 38;
const SIGSYS: i32 = 31;

fn native(number: i64, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call::Native(number, all)
}

/// Everything is allowed but `getppid`.
fn getppid(action: &str) -> Seen {
    let text = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["getppid"],{action}}}]}}"#
    );
    under(&profile(&text), native(libc::SYS_getppid, &[]))
}

#[test]
fn each_action_does_what_it_says() {
    let parent = i64::from(std::process::id());
    for (action, expected) in [
        (r#""action":"SCMP_ACT_ALLOW""#, Seen::Returned(parent)),
        (r#""action":"SCMP_ACT_LOG""#, Seen::Returned(parent)),
        (r#""action":"SCMP_ACT_ERRNO""#, Seen::Returned(-EPERM)),
        (r#""action":"SCMP_ACT_ERRNO","errnoRet":38"#, Seen::Returned(-ENOSYS)),
        (r#""action":"SCMP_ACT_ERRNO","errnoRet":4095"#, Seen::Returned(-4095)),
        (r#""action":"SCMP_ACT_ERRNO","errnoRet":0"#, Seen::Returned(0)),
        (r#""action":"SCMP_ACT_KILL""#, Seen::Died(SIGSYS)),
        (r#""action":"SCMP_ACT_KILL_THREAD""#, Seen::Died(SIGSYS)),
        (r#""action":"SCMP_ACT_KILL_PROCESS""#, Seen::Died(SIGSYS)),
        (r#""action":"SCMP_ACT_TRAP""#, Seen::Died(SIGSYS)),
        // Without a tracer there is no such call.
        (r#""action":"SCMP_ACT_TRACE""#, Seen::Returned(-ENOSYS)),
    ] {
        assert_eq!(getppid(action), expected, "{action}");
    }
}

/// `umask` under a condition on its argument, which the kernel takes as it is.
#[test]
fn conditions_are_held_against_the_arguments() {
    for (op, value, two, hits, misses) in [
        ("EQ", 8_u64, 0, vec![8], vec![0, 7, 9, 0x1_0000_0008]),
        ("NE", 8, 0, vec![0, 9, 0x1_0000_0008], vec![8]),
        ("LT", 0x1_0000_0000, 0, vec![0, 0xffff_ffff], vec![0x1_0000_0000, u64::MAX]),
        ("LE", 0x1_0000_0000, 0, vec![0, 0x1_0000_0000], vec![0x1_0000_0001, u64::MAX]),
        ("GT", 0x1_0000_0000, 0, vec![0x1_0000_0001, u64::MAX], vec![0, 0x1_0000_0000]),
        ("GE", 0x1_0000_0000, 0, vec![0x1_0000_0000, u64::MAX], vec![0, 0xffff_ffff]),
        ("MASKED_EQ", 0x1_0000_000f, 0x8, vec![0x8, 0xf8], vec![0, 0x1_0000_0008, 0x9]),
    ] {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
                {{"names":["umask"],"action":"SCMP_ACT_ERRNO","errnoRet":77,
                  "args":[{{"index":0,"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}]}}]}}"#
        );
        let profile = profile(&text);
        for (arg, hit) in hits.iter().map(|a| (a, true)).chain(misses.iter().map(|a| (a, false))) {
            let seen = under(&profile, native(libc::SYS_umask, &[*arg]));
            // The kernel's answer is the mask before.
            let as_expected =
                matches!(seen, Seen::Returned(mask) if hit == (mask == -77) && mask <= 0o777);
            assert!(as_expected, "{op} {value:#x}: {arg:#x}: {seen:?}");
        }
    }
}

/// A profile as engines have it: what is not listed is refused.
const ENGINE: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
    "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[
    {"names":["getppid","getpid","exit_group","openat2","getuid","no_such_call"],"action":"SCMP_ACT_ALLOW"},
    {"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
    {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}"#;

#[test]
fn an_engines_profile_holds() {
    let engine = profile(ENGINE);
    let parent = i64::from(std::process::id());
    let bad = u64::MAX;
    for (what, call, expected) in [
        ("allowed", native(libc::SYS_getppid, &[]), parent),
        ("not listed", native(libc::SYS_getpgid, &[0]), -EPERM),
        ("its own errno", native(libc::SYS_clone3, &[]), -ENOSYS),
        // The kernel's answer: EAFNOSUPPORT.
        ("family let through", native(libc::SYS_socket, &[200, 1, 0]), -97),
        ("family refused", native(libc::SYS_socket, &[40, 1, 0]), -EPERM),
        // The kernel's answer: EINVAL for a structure of no size.
        ("newest that is known", native(libc::SYS_openat2, &[bad, bad, bad, 0]), -22),
        ("newer than all", native(438, &[]), -ENOSYS),
        ("newer than the kernel", native(5000, &[]), -ENOSYS),
    ] {
        assert_eq!(under(&engine, call), Seen::Returned(expected), "{what}");
    }
}

/// Calls of architectures that are not listed kill.
#[cfg(target_arch = "x86_64")]
#[test]
fn other_architectures_are_told_apart() {
    let engine = profile(ENGINE);
    // getuid is 24 on x86 and 102 on x86_64; 102 is socketcall on x86, where
    // 2 is bind and the rest are no architecture's.
    if under(
        &profile(r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"]}"#),
        Call::X86(20, 0),
    ) == Seen::Returned(-ENOSYS)
    {
        println!("skipped: the kernel has no 32-bit calls");
        return;
    }
    assert!(matches!(under(&engine, Call::X86(64, 0)), Seen::Returned(id) if id > 0));
    assert_eq!(under(&engine, Call::X86(65, 0)), Seen::Returned(-EPERM));
    assert_eq!(under(&engine, Call::X86(102, 2)), Seen::Returned(-EPERM));
    // socketcall(SYS_SOCKET, NULL): the kernel's own EFAULT.
    assert_eq!(under(&engine, Call::X86(102, 1)), Seen::Returned(-14));
    assert_eq!(under(&engine, Call::X86(438, 0)), Seen::Returned(-ENOSYS));
    let only_64 = profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(under(&only_64, Call::X86(64, 0)), Seen::Died(SIGSYS));
    assert_eq!(under(&only_64, native(0x4000_0000 + 39, &[])), Seen::Died(SIGSYS));
}

/// The kernel logs what `SCMP_ACT_LOG` lets through: audit type 1326 with the
/// answer as `code`.
#[test]
fn a_logged_call_leaves_a_line() {
    let kmsg = std::fs::File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .and_then(|mut file| {
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map(|_| file)
        });
    let Ok(mut kmsg) = kmsg else {
        println!("skipped: the kernel's log cannot be read");
        return;
    };
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getpgid"],"action":"SCMP_ACT_LOG"}]}"#;
    assert!(
        matches!(under(&profile(text), native(libc::SYS_getpgid, &[0])), Seen::Returned(id) if id > 0)
    );
    let mut log = String::new();
    let mut record = [0; 8192];
    while let Ok(len) = kmsg.read(&mut record) {
        log += &String::from_utf8_lossy(&record[..len]);
    }
    let wanted = format!("syscall={} ", libc::SYS_getpgid);
    let line = log.lines().find(|line| line.contains("type=1326") && line.contains(&wanted));
    match line {
        Some(line) => assert!(line.contains("code=0x7ffc0000"), "{line}"),
        None => println!("skipped: the kernel keeps its audit lines elsewhere\n{log}"),
    }
}

/// `SCMP_ACT_TRACE`: the tracer gets the rule's data.
#[test]
fn a_tracer_gets_the_data() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["getppid"],"action":"SCMP_ACT_TRACE","errnoRet":4711}]}"#;
    let shared = child::Shared::new();
    let none = std::ptr::null_mut::<u8>();
    let child = child::fork(&profile(text), native(libc::SYS_getppid, &[]), shared, || {
        // SAFETY: asks to be traced by the parent; touches no memory.
        unsafe {
            libc::ptrace(
                libc::PTRACE_TRACEME,
                0,
                std::ptr::null_mut::<u8>(),
                std::ptr::null_mut::<u8>(),
            )
        };
        // SAFETY: stops this process until the tracer goes on.
        unsafe { libc::raise(libc::SIGSTOP) };
    });
    let mut status = 0;
    // SAFETY: `status` is writable and lives over the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert!(libc::WIFSTOPPED(status));
    let ptrace = |request, data: usize| {
        // SAFETY: the requests read `data` as a value.
        assert_eq!(unsafe { libc::ptrace(request, child, none, data) }, 0);
    };
    let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SETOPTIONS, usize::try_from(options).unwrap());
    ptrace(libc::PTRACE_CONT, 0);
    // SAFETY: as above.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status >> 8, libc::SIGTRAP | (libc::PTRACE_EVENT_SECCOMP << 8));
    let mut data: libc::c_ulong = 0;
    // SAFETY: the kernel writes one c_ulong to `data`.
    unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, child, none, &raw mut data) };
    assert_eq!(data, 4711);
    ptrace(libc::PTRACE_CONT, 0);
    assert_eq!(child::wait(child, shared), Seen::Returned(std::process::id().into()));
}

/// Flags reach the kernel, and each that minke may pass is known to it.
#[test]
fn flags_are_taken_by_the_kernel() {
    for flags in [
        r#"["SECCOMP_FILTER_FLAG_TSYNC"]"#,
        r#"["SECCOMP_FILTER_FLAG_LOG"]"#,
        r#"["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_TSYNC"]"#,
        "[]",
        "null",
    ] {
        let profile = profile(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","flags":{flags}}}"#));
        let seen = under(&profile, native(libc::SYS_getppid, &[]));
        assert_eq!(seen, Seen::Returned(std::process::id().into()), "{flags}");
    }
}

/// The longest program that the kernel takes is taken, and no longer one is
/// made.
#[test]
fn a_long_profile_is_loaded() {
    let rule = |i: u64| {
        format!(
            r#"{{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":77,"args":[{{"index":1,"value":{},"op":"SCMP_CMP_EQ"}}]}}"#,
            i * 2
        )
    };
    let rules: Vec<_> = (0..4000).map(rule).collect();
    let text = |count: usize| {
        format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, rules[..count].join(","))
    };
    let long = profile(&text(4000));
    let ioctl = |request| under(&long, native(libc::SYS_ioctl, &[u64::MAX, request]));
    // The kernel's answer to a bad descriptor: EBADF.
    assert_eq!(
        [ioctl(0), ioctl(1), ioctl(7998)],
        [Seen::Returned(-77), Seen::Returned(-9), Seen::Returned(-77)]
    );
}
