//! The few system calls that have no safe wrapper, and small readings of the system.
#![allow(unsafe_code, reason = "fork, exec and signal dispositions have no safe interface")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::OnceLock;
use std::time::SystemTime;

use rustix::process::Pid;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Which side of a fork this is.
pub(crate) enum Forked {
    Parent(Pid),
    Child,
}

/// Forks the process. The caller has one thread, so the child may do anything.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the process is single-threaded (see the crate's invariants), so no lock can be
    // held by a thread that does not exist in the child.
    let pid = unsafe { libc::fork() };
    side_of(pid)
}

/// Says on which side we are, by what the call returned. No process has a negative number: signals
/// to such a one go to many.
fn side_of(returned: libc::pid_t) -> io::Result<Forked> {
    if returned == 0 {
        return Ok(Forked::Child);
    }
    let child = (returned > 0).then(|| Pid::from_raw(returned)).flatten();
    child.map(Forked::Parent).ok_or_else(io::Error::last_os_error)
}

/// Forks the process; the child is born in the control group whose directory this is. The caller
/// has one thread. Fails where the kernel knows no such birth.
pub(crate) fn fork_into(group: BorrowedFd<'_>) -> io::Result<Forked> {
    // SAFETY: all fields of clone_args are integers, for which zero is a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD.unsigned_abs().into();
    arguments.cgroup = group.as_raw_fd().unsigned_abs().into();
    // SAFETY: without flags for shared memory this is a fork, for which the caller has one
    // thread; the kernel reads no more than the size it is told.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    };
    side_of(libc::pid_t::try_from(pid).unwrap_or(-1))
}

/// Source: `linux/sched.h`; the constant in libc is too narrow on some platforms.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Replaces the program. Returns only with the error.
pub(crate) fn execve(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| {
        let mut pointers: Vec<*const libc::c_char> =
            list.iter().map(|item| item.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: all pointers are to NUL-terminated strings that live to the end of this function,
    // and both arrays end with a null pointer.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends the process at once: no destructors, no buffers of the parent's.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// What to do with a signal.
#[derive(Clone, Copy)]
pub(crate) enum Disposition {
    Default,
    Ignore,
}

/// Sets the disposition of a signal.
pub(crate) fn set_signal(signal: i32, disposition: Disposition) {
    let handler = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: SIG_DFL and SIG_IGN run no code of ours.
    unsafe { libc::signal(signal, handler) };
}

/// Makes every signal deliverable again, as a program expects it.
pub(crate) fn unblock_signals() {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Makes a descriptor one of the standard three of this process.
pub(crate) fn become_standard(fd: BorrowedFd<'_>, standard: i32) -> io::Result<()> {
    if fd.as_raw_fd() == standard {
        return rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).map_err(Into::into);
    }
    // SAFETY: dup2 onto 0, 1 or 2 of a process that is about to execute another program; nothing
    // here uses the standard streams after it.
    if unsafe { libc::dup2(fd.as_raw_fd(), standard) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Says whether the kernel spares this process when memory runs out, as it does a daemon. Read
/// once, as with the boot.
pub(crate) fn is_spared() -> bool {
    static IS_SPARED: OnceLock<bool> = OnceLock::new();
    let read = || fs::read_to_string(OOM_SCORE).is_ok_and(|text| text.starts_with('-'));
    *IS_SPARED.get_or_init(read)
}

/// Has the kernel treat this process as any other.
pub(crate) fn be_not_spared() -> io::Result<()> {
    fs::write(OOM_SCORE, "0")
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// Returns the id of this boot; another one after every restart of the machine. It is read once:
/// a process does not outlive its boot, and its forks know it too.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let read = || {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        text.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    BOOT_ID.get_or_init(read).clone()
}

/// Returns when a process was started, in clock ticks since boot; `None` where there is none.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat_field(&stat, 22)?.parse().ok()
}

/// Returns a field of `/proc/PID/stat` by its number in proc(5). The name in field 2 may hold
/// anything, so fields are counted from its last parenthesis.
pub(crate) fn stat_field(stat: &str, number: usize) -> Option<&str> {
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(number.checked_sub(3)?)
}

/// Returns boot time in µs.
pub(crate) fn boot_us() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// Turns µs into what `poll` takes.
pub(crate) fn timespec(us: i64) -> Timespec {
    Timespec { tv_sec: us / 1_000_000, tv_nsec: us % 1_000_000 * 1_000 }
}

/// Returns wall time in µs since 1970, by the C library: a test can give a daemon another time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall_us() -> i64 {
    let micros = |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(earlier) => -micros(earlier.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_made_no_child_is_an_error() {
        assert!(side_of(-1).is_err());
        assert!(matches!(side_of(0), Ok(Forked::Child)));
        assert!(matches!(side_of(7), Ok(Forked::Parent(pid)) if pid.as_raw_nonzero().get() == 7));
    }
}
