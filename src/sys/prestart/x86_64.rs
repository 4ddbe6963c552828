//! The entry on x86-64.
//!
//! Nothing is relocated yet and there is no thread-local storage, so this code
//! calls nothing but itself, and takes no address of data. Where anything is
//! not as expected it does nothing: the guard proper still runs.

use std::arch::{asm, naked_asm};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;

use super::COPY;
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MountAttr};

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
            return become_copy(stack, argv, envp);
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

/// The calls of this file, whose paths are on the stack and not literals: no
/// data is to be found yet.
fn become_copy(stack: *const usize, argv: *const usize, envp: *const usize) {
    let path: [u64; 2] = [u64::from_ne_bytes(*b"/proc/se"), u64::from_ne_bytes(*b"lf/exe\0\0")];
    let empty = 0u64;
    let (path, empty) = (path.as_ptr().addr(), (&raw const empty).addr());
    let mut fs = MaybeUninit::<Statfs>::uninit();
    let known = call(libc::SYS_statfs, [path, fs.as_mut_ptr().addr(), 0, 0, 0, 0]);
    // SAFETY: filled by the kernel when it answers 0.
    if known != 0 || unsafe { fs.assume_init_ref().flags } & libc::ST_RDONLY != 0 {
        return;
    }
    // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    let flags = 1 | libc::O_CLOEXEC;
    let here = libc::AT_FDCWD as usize;
    let tree = call(libc::SYS_open_tree, [here, path, flags as usize, 0, 0, 0]);
    if tree < 0 {
        return;
    }
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, userns_fd: 0 };
    let (at, size) = ((&raw const attr).addr(), size_of::<MountAttr>());
    let by_itself = libc::AT_EMPTY_PATH as usize;
    let readonly = [tree as usize, empty, by_itself, at, size, 0];
    if call(libc::SYS_mount_setattr, readonly) == 0 {
        // A missing standard stream is not to be this.
        if tree > 2 && move_to(tree, stack, argv, envp) {
            COPY.store(tree as i32, Ordering::Relaxed);
            return;
        }
        let again = [tree as usize, empty, argv.addr(), envp.addr(), by_itself, 0];
        call(libc::SYS_execveat, again);
    }
    call(libc::SYS_close, [tree as usize, 0, 0, 0, 0, 0]);
}

/// A system call, without libc.
fn call(number: libc::c_long, args: [usize; 6]) -> isize {
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
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The parts of an ELF header and of a program header, elf(5).
#[repr(C)]
struct Header {
    before: [u64; 4],
    /// Where the program headers are in the file, and so in memory.
    program_headers: u64,
    after: [u64; 2],
    /// Of one program header, their number, and what does not matter here.
    sizes: [u16; 4],
}

#[repr(C)]
struct Segment {
    kind: u32,
    /// `PF_*`.
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    size_in_file: u64,
    size: u64,
    align: u64,
}

/// `struct prctl_mm_map`, prctl(2).
#[repr(C)]
struct MemoryMap {
    code: [u64; 2],
    data: [u64; 2],
    brk: [u64; 2],
    stack: u64,
    args: [u64; 2],
    env: [u64; 2],
    auxv: u64,
    auxv_size: u32,
    exe: u32,
}

const PAGE: usize = 4096;

/// Maps the program from the file that `tree` is, in the place where it is
/// mapped now, and makes that file the one that the process runs. Linux 3.18
/// with `CONFIG_CHECKPOINT_RESTORE`; if it fails, the process is as good as
/// before.
fn move_to(tree: isize, stack: *const usize, argv: *const usize, envp: *const usize) -> bool {
    // "/proc/self/fd/", and room for the number's digits.
    let mut path = [u64::from_ne_bytes(*b"/proc/se"), u64::from_ne_bytes(*b"lf/fd/\0\0"), 0, 0];
    let (mut at, mut power) = ((&raw mut path).addr() + 14, 1);
    while tree / power >= 10 {
        power *= 10;
    }
    while power > 0 {
        // SAFETY: in `path`: no descriptor's number has more than ten digits.
        // Volatile: see `enters_a_container`.
        unsafe { (at as *mut u8).write_volatile(b'0' + (tree / power % 10) as u8) };
        at += 1;
        power /= 10;
    }
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    let file = call(libc::SYS_openat, [0, path.as_ptr().addr(), flags, 0, 0, 0]);
    if file < 0 {
        return false;
    }
    let mut map = MemoryMap {
        code: [0; 2],
        data: [0; 2],
        brk: [call(libc::SYS_brk, [0; 6]) as u64; 2],
        stack: stack.addr() as u64,
        args: strings(argv),
        env: strings(envp),
        auxv: 0,
        auxv_size: 0,
        exe: file as u32,
    };
    if map.env[0] == 0 {
        map.env = [map.args[1]; 2];
    }
    let moved = map_again(file, &mut map) && {
        let (at, size) = ((&raw const map).addr(), size_of::<MemoryMap>());
        let set = [libc::PR_SET_MM as usize, libc::PR_SET_MM_MAP as usize, at, size, 0, 0];
        call(libc::SYS_prctl, set) == 0
    };
    call(libc::SYS_close, [file as usize, 0, 0, 0, 0, 0]);
    moved
}

/// Where the strings of a list begin and end: the kernel puts them one after
/// the other.
fn strings(list: *const usize) -> [u64; 2] {
    // SAFETY: a list of pointers to C strings that ends with a null, as is
    // all that is read here.
    unsafe {
        let (begin, mut index, mut last) = (*list, 0, *list);
        while *list.add(index) != 0 {
            last = *list.add(index);
            index += 1;
        }
        if last != 0 {
            while (last as *const u8).read_volatile() != 0 {
                last += 1;
            }
            last += 1;
        }
        [begin as u64, last as u64]
    }
}

/// Each segment once more, from `file`. Nothing has been written to any but the
/// zeros that the kernel puts behind the last bytes of a file.
fn map_again(file: isize, map: &mut MemoryMap) -> bool {
    let header: *const Header;
    // SAFETY: the address of the program's own first byte; no memory is read.
    unsafe {
        asm!("lea {}, [rip + __executable_start]", out(reg) header, options(nomem, nostack));
    }
    let base = header.addr();
    // SAFETY: the ELF header is the first that is mapped of a program.
    let (table, count) = unsafe { ((*header).program_headers as usize, (*header).sizes[2]) };
    let mut index = 0;
    while index < count {
        // SAFETY: the program headers follow the header, mapped with it.
        let segment = unsafe { &*((base + table) as *const Segment).add(usize::from(index)) };
        index += 1;
        if segment.kind != libc::PT_LOAD {
            continue;
        }
        let address = base + segment.address as usize;
        let within = address % PAGE;
        let end = address + segment.size_in_file as usize;
        // PF_X, PF_W and PF_R are PROT_EXEC, PROT_WRITE and PROT_READ in reverse.
        let prot = (segment.flags & 1) << 2 | segment.flags & 2 | (segment.flags & 4) >> 2;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        let (offset, length) = (segment.offset as usize - within, end - address + within);
        let again =
            [address - within, length, prot as usize, flags as usize, file as usize, offset];
        if call(libc::SYS_mmap, again) < 0 {
            return false;
        }
        let range = [address as u64, end as u64];
        if segment.flags & libc::PF_X != 0 {
            map.code = range;
        }
        if segment.flags & libc::PF_W == 0 {
            continue;
        }
        map.data = range;
        if segment.size > segment.size_in_file {
            let mut zero = end;
            while zero % PAGE != 0 {
                // SAFETY: the rest of the segment's last page, which nobody
                // has used yet.
                unsafe { (zero as *mut u8).write_volatile(0) };
                zero += 1;
            }
        }
    }
    true
}
