//! The first instructions of a command that enters a container: the guard of
//! CVE-2019-5736 before libc starts.
//!
//! `container::guard` has minke execute itself once more, from a read-only
//! copy of its mount. glibc's start-up asks the processor some 70 questions
//! (`cpuid`), each of which traps in a virtual machine: half a millisecond
//! that would be paid twice. So the linker is told to enter here
//! (`hack/build.rs`): the second execution is the first that starts libc.
//!
//! Nothing is relocated yet and there is no thread-local storage, so this code
//! calls nothing but itself, and takes no address of data. Where anything is
//! not as expected it does nothing: the guard proper still runs.

use std::arch::{asm, naked_asm};
use std::mem::MaybeUninit;

use super::mount::{MOUNT_ATTR_RDONLY, MountAttr};

/// Where the kernel enters: the stack has `argc`, `argv` and `envp`; `rdx` is
/// for libc's own entry, to which it goes on.
#[unsafe(naked)]
// SAFETY: the name is used by the linker's `--entry` alone.
#[unsafe(no_mangle)]
unsafe extern "C" fn minke_start() {
    naked_asm!(
        "mov rdi, rsp",
        "push rdx",
        "push rdx", // the stack is aligned to 16 bytes at a call
        "call {guard}",
        "pop rdx",
        "pop rdx",
        "jmp _start",
        guard = sym guard,
    )
}

/// `stack` is what the kernel gives a new program.
extern "C" fn guard(stack: *const usize) {
    // SAFETY: the kernel's layout: argc, then that many pointers and a null,
    // then the environment in the same way.
    let argc = unsafe { *stack };
    // SAFETY: as above.
    let argv = unsafe { stack.add(1) };
    // SAFETY: as above.
    let envp = unsafe { argv.add(argc + 1) };
    let mut index = 1;
    while index < argc {
        // SAFETY: below argc, so a pointer to a C string.
        let arg = unsafe { *argv.add(index) };
        if enters_a_container(arg as *const u8) {
            return execute_copy(argv, envp);
        }
        index += 1;
    }
}

/// Whether the word is one of the commands that do. An ID may be the same
/// word: then one execution too many is all that happens.
fn enters_a_container(word: *const u8) -> bool {
    let mut packed = 0u64;
    let mut length = 0;
    while length < 8 {
        // SAFETY: the bytes of a C string up to its end. Volatile keeps the
        // compiler from calling libc's strlen, which is not there yet.
        let byte = unsafe { word.add(length).read_volatile() };
        if byte == 0 {
            break;
        }
        packed = packed << 8 | u64::from(byte);
        length += 1;
    }
    packed == word_of(b"create")
        || packed == word_of(b"run")
        || packed == word_of(b"exec")
        || packed == word_of(b"restore")
}

const fn word_of(name: &[u8]) -> u64 {
    let (mut packed, mut at) = (0, 0);
    while at < name.len() {
        packed = packed << 8 | name[at] as u64;
        at += 1;
    }
    packed
}

/// `struct statfs` of x86-64, statfs(2).
#[repr(C)]
struct Statfs {
    before: [u64; 10],
    /// `ST_*` bits of the mount.
    flags: u64,
    after: [u64; 4],
}

fn execute_copy(argv: *const usize, envp: *const usize) {
    // On the stack, and not as literals: no data is to be found yet.
    let path: [u64; 2] = [u64::from_ne_bytes(*b"/proc/se"), u64::from_ne_bytes(*b"lf/exe\0\0")];
    let empty = 0u64;
    let (path, empty) = (path.as_ptr().addr(), (&raw const empty).addr());
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    let exe = call(libc::SYS_openat, [libc::AT_FDCWD as usize, path, flags as usize, 0, 0]);
    if exe < 0 {
        return;
    }
    let mut fs = MaybeUninit::<Statfs>::uninit();
    let known = call(libc::SYS_fstatfs, [exe as usize, fs.as_mut_ptr().addr(), 0, 0, 0]);
    // SAFETY: filled by the kernel when it answers 0.
    if known != 0 || unsafe { fs.assume_init_ref().flags } & libc::ST_RDONLY != 0 {
        call(libc::SYS_close, [exe as usize, 0, 0, 0, 0]);
        return;
    }
    // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    let flags = 1 | libc::O_CLOEXEC | libc::AT_EMPTY_PATH;
    let tree = call(libc::SYS_open_tree, [exe as usize, empty, flags as usize, 0, 0]);
    call(libc::SYS_close, [exe as usize, 0, 0, 0, 0]);
    if tree < 0 {
        return;
    }
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, userns_fd: 0 };
    let (at, size) = ((&raw const attr).addr(), size_of::<MountAttr>());
    let readonly = [tree as usize, empty, libc::AT_EMPTY_PATH as usize, at, size];
    if call(libc::SYS_mount_setattr, readonly) == 0 {
        let again = [tree as usize, empty, argv.addr(), envp.addr(), libc::AT_EMPTY_PATH as usize];
        call(libc::SYS_execveat, again);
    }
    call(libc::SYS_close, [tree as usize, 0, 0, 0, 0]);
}

/// A system call, without libc.
fn call(number: libc::c_long, args: [usize; 5]) -> isize {
    let result;
    // SAFETY: the kernel's convention: it changes rax, rcx and r11. Pointers
    // among `args` are to live memory of the callers above.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}
