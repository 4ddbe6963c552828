//! Debian's libseccomp, driven as runc drives it.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

use crate::seccomp::action::Operator;
use crate::seccomp::arch::Arch;
use crate::seccomp::bpf::Insn;
use crate::seccomp::policy::{Condition, Policy};
use crate::spec::seccomp::Seccomp;

#[repr(C)]
#[derive(Clone, Copy)]
struct Comparison {
    arg: c_uint,
    op: c_int,
    a: u64,
    b: u64,
}

#[link(name = "seccomp")]
unsafe extern "C" {
    fn seccomp_init(default: u32) -> *mut c_void;
    fn seccomp_release(context: *mut c_void);
    fn seccomp_arch_add(context: *mut c_void, arch: u32) -> c_int;
    fn seccomp_attr_set(context: *mut c_void, attribute: c_int, value: u32) -> c_int;
    fn seccomp_syscall_resolve_name(name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_name_arch(arch: u32, name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_num_arch(arch: u32, number: c_int) -> *mut c_char;
    fn seccomp_rule_add_array(
        context: *mut c_void,
        action: u32,
        syscall: c_int,
        count: c_uint,
        comparisons: *const Comparison,
    ) -> c_int;
    fn seccomp_export_bpf(context: *const c_void, fd: c_int) -> c_int;
}

const ATTRIBUTE_NNP: c_int = 3;
const ATTRIBUTE_OPTIMIZE: c_int = 8;
const EEXIST: c_int = -17;
/// `__NR_SCMP_ERROR`: known to no architecture.
const UNKNOWN: c_int = -1;

/// `SCMP_ARCH_*`: the audit token, but for x32.
fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 { 0x4000_003E } else { arch.token() }
}

/// What libseccomp takes `name` for on `arch`; negative where it has no such
/// call there.
pub(crate) fn resolve(arch: Arch, name: &str) -> i32 {
    let Ok(name) = CString::new(name) else { return UNKNOWN };
    // SAFETY: `name` is a C string that lives over the call.
    unsafe { seccomp_syscall_resolve_name_arch(token(arch), name.as_ptr()) }
}

/// Whether libseccomp can tell `name` from its number on `arch`: rules for the
/// other architectures go that way.
pub(crate) fn round_trips(arch: Arch, name: &str) -> bool {
    // SAFETY: takes values, gives a new C string or null.
    let back = unsafe { seccomp_syscall_resolve_num_arch(token(arch), resolve(arch, name)) };
    if back.is_null() {
        return false;
    }
    // SAFETY: a C string, see above.
    let same = unsafe { CStr::from_ptr(back) }.to_bytes() == name.as_bytes();
    // SAFETY: it is the caller's to free, and not used after this.
    unsafe { libc::free(back.cast()) };
    same
}

/// The program that libseccomp makes of `profile`, without runc's stub.
pub(crate) fn compile(profile: &Seccomp, native: Arch, optimize: u32) -> Result<Vec<Insn>, String> {
    let policy = Policy::new(profile, native).map_err(|e| format!("{e:?}"))?;
    // SAFETY: takes a value, gives a context or null.
    let context = unsafe { seccomp_init(policy.default.0) };
    if context.is_null() {
        return Err("seccomp_init".into());
    }
    let done = fill(context, &policy, optimize).and_then(|()| export(context));
    // SAFETY: `context` is from seccomp_init and not used after this.
    unsafe { seccomp_release(context) };
    done
}

fn fill(context: *mut c_void, policy: &Policy, optimize: u32) -> Result<(), String> {
    for arch in &policy.arches {
        // SAFETY: `context` is live; the rest are values.
        let ret = unsafe { seccomp_arch_add(context, token(*arch)) };
        if ret != 0 && ret != EEXIST {
            return Err(format!("seccomp_arch_add {arch:?}: {ret}"));
        }
    }
    for (attribute, value) in [(ATTRIBUTE_OPTIMIZE, optimize), (ATTRIBUTE_NNP, 0)] {
        // SAFETY: as above.
        let ret = unsafe { seccomp_attr_set(context, attribute, value) };
        if ret != 0 {
            return Err(format!("seccomp_attr_set {attribute}: {ret}"));
        }
    }
    for rule in policy.rules.iter().filter(|rule| rule.action != policy.default) {
        for name in rule.names {
            let name = CString::new(name.as_str()).map_err(|e| e.to_string())?;
            // SAFETY: `name` is a C string that lives over the call.
            let number = unsafe { seccomp_syscall_resolve_name(name.as_ptr()) };
            if number != UNKNOWN {
                add(context, rule.action.0, number, &rule.conditions)?;
            }
        }
    }
    Ok(())
}

fn add(context: *mut c_void, action: u32, number: i32, all: &[Condition]) -> Result<(), String> {
    let comparisons: Vec<Comparison> = all.iter().map(comparison).collect();
    let repeats = (0..6).any(|i| all.iter().filter(|one| one.index == i).count() > 1);
    let size = if repeats { 1 } else { comparisons.len().max(1) };
    let mut parts: Vec<&[Comparison]> = comparisons.chunks(size).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    for part in parts {
        // At most six.
        let count = part.len() as c_uint;
        // SAFETY: `part` has `count` comparisons and lives over the call.
        let ret = unsafe { seccomp_rule_add_array(context, action, number, count, part.as_ptr()) };
        if ret != 0 && ret != EEXIST {
            return Err(format!("seccomp_rule_add_array {number}: {ret}"));
        }
    }
    Ok(())
}

fn comparison(condition: &Condition) -> Comparison {
    let op = match condition.operator {
        Operator::Ne => 1,
        Operator::Lt => 2,
        Operator::Le => 3,
        Operator::Eq => 4,
        Operator::Ge => 5,
        Operator::Gt => 6,
        Operator::MaskedEq => 7,
    };
    Comparison { arg: condition.index.into(), op, a: condition.value, b: condition.value_two }
}

fn export(context: *mut c_void) -> Result<Vec<Insn>, String> {
    let mut file = memfd()?;
    // SAFETY: `context` is live; the descriptor is open.
    let ret = unsafe { seccomp_export_bpf(context, file.as_raw_fd()) };
    if ret != 0 {
        return Err(format!("seccomp_export_bpf: {ret}"));
    }
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).map_err(|e| e.to_string())?;
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(decode(&bytes))
}

fn memfd() -> Result<File, String> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"bpf".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Instructions from their bytes, in this machine's order.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Insn> {
    let insns = bytes.chunks_exact(8).map(|b| Insn {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    });
    insns.collect()
}

fn encode(program: &[Insn]) -> Vec<u8> {
    let bytes = program.iter().flat_map(|insn| {
        let [a, b] = insn.code.to_ne_bytes();
        let [e, f, g, h] = insn.k.to_ne_bytes();
        [a, b, insn.jt, insn.jf, e, f, g, h]
    });
    bytes.collect()
}

/// As [`compile`], in a process of its own that is killed when it takes longer
/// than `limit`: libseccomp can take minutes for a dozen rules.
pub(crate) fn compile_within(
    profile: &Seccomp,
    native: Arch,
    optimize: u32,
    limit: Duration,
) -> Result<Vec<Insn>, String> {
    let answer = in_child(limit, || {
        let done = compile(profile, native, optimize);
        match done {
            Ok(program) => [b"+".as_slice(), &encode(&program)].concat(),
            Err(told) => [b"-".as_slice(), told.as_bytes()].concat(),
        }
    })?;
    match answer.split_first() {
        Some((b'+', bytes)) => Ok(decode(bytes)),
        Some((_, told)) => Err(String::from_utf8_lossy(told).into_owned()),
        None => Err("time limit".into()),
    }
}

/// What `work` gives, run in a child of this single-threaded process; empty
/// when `limit` ends it.
pub(crate) fn in_child(limit: Duration, work: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, String> {
    let (mut reader, mut writer) = std::io::pipe().map_err(|e| e.to_string())?;
    // SAFETY: this process has one thread, so the child finds no lock taken.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().to_string()),
        0 => {
            drop(reader);
            // SAFETY: takes a value; ends the child when its time is over.
            unsafe { libc::alarm(u32::try_from(limit.as_secs().max(1)).unwrap_or(1)) };
            let answer = work();
            let _ = writer.write_all(&answer);
            // SAFETY: never returns; runs nothing of the parent's.
            unsafe { libc::_exit(0) }
        }
        child => {
            drop(writer);
            let mut answer = Vec::new();
            let read = reader.read_to_end(&mut answer);
            let mut status = 0;
            // SAFETY: `status` lives over the call.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            read.map_err(|e| e.to_string())?;
            Ok(if status == 0 { answer } else { Vec::new() })
        }
    }
}
