//! The heap of a daemon: what is freed goes back to the system.
//!
//! glibc gives each thread an arena of its own, up to eight times as many as there are cores. An
//! arena keeps what its thread once needed, and daemons have many threads that live for a moment.
//! It also learns from the first large buffer that is freed to keep such buffers from then on.
//! Either makes a daemon grow for thousands of builds although nothing leaks. The daemons wait for
//! disks and sockets, so one arena is enough for them. Other libraries of C are left as they are.

/// Buffers from here on are mapped by themselves, and unmapped when they are freed. In bytes;
/// what glibc begins with.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 * 1024;

/// Keeps the heap of this process small. To be called before there is a second thread.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    one_arena();
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "the allocator of C has no safe interface")]
fn one_arena() {
    for (setting, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE_BYTES)] {
        // SAFETY: mallopt takes two numbers, locks by itself, and refuses what it does not know.
        // A refusal leaves a heap that works, only larger.
        unsafe { libc::mallopt(setting, value) };
    }
}
