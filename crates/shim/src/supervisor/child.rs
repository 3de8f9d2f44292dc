//! From fork to exec: the child waits at a gate, then becomes the command.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use secret::Secret;

use crate::group::{Entrance, Group};
use crate::spec::{Spec, Stdin};
use crate::sys::{self, Disposition, Forked, exit_now};

/// The prepared process, still at its gate.
pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) out: OwnedFd,
    pub(super) err: OwnedFd,
    pub(super) stdin: Option<OwnedFd>,
    /// Ends without a byte when the program was executed; else holds the error.
    pub(super) status: OwnedFd,
    gate: OwnedFd,
}

impl Child {
    /// Lets the process run. Only after `started` is written.
    pub(super) fn open_gate(&self) -> io::Result<()> {
        rustix::io::write(&self.gate, b"g")?;
        Ok(())
    }
}

/// Everything exec needs, made before the fork.
struct Program {
    /// Tried in order, as a shell looks through `PATH`.
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
}

/// The child's ends of the pipes.
struct Ends {
    stdin: OwnedFd,
    out: OwnedFd,
    err: OwnedFd,
    gate: OwnedFd,
    status: OwnedFd,
    /// Of the control group.
    doors: Vec<OwnedFd>,
}

/// Forks the process, into its group where it has one, and leaves it at the gate.
pub(super) fn prepare(
    spec: &Spec,
    secrets: &[Secret],
    group: Option<&Group<'_>>,
) -> io::Result<Child> {
    let program = Program::new(spec, secrets)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let (out, child_out) = pipe()?;
    let (err, child_err) = pipe()?;
    let (child_gate, gate) = pipe()?;
    let (status, child_status) = pipe()?;
    let (child_stdin, stdin) = match spec.stdin {
        Stdin::Null => (File::open("/dev/null")?.into(), None),
        Stdin::Pipe => pipe().map(|(read, write)| (read, Some(write)))?,
    };
    let supervisor = rustix::process::getpid();
    let (forked, doors) = fork_into(group)?;
    match forked {
        Forked::Parent(pid) => Ok(Child { pid, out, err, stdin, status, gate }),
        Forked::Child => {
            drop((out, err, gate, status, stdin));
            let ends = Ends {
                stdin: child_stdin,
                out: child_out,
                err: child_err,
                gate: child_gate,
                status: child_status,
                doors,
            };
            become_command(&program, &ends, supervisor)
        }
    }
}

/// Forks into a group; where the kernel has no such birth, the child has doors to enter by.
fn fork_into(group: Option<&Group<'_>>) -> io::Result<(Forked, Vec<OwnedFd>)> {
    let Some(group) = group else { return Ok((sys::fork()?, Vec::new())) };
    let Entrance { cradle, doors } = group.entrance()?;
    let Some(cradle) = cradle else { return Ok((sys::fork()?, doors)) };
    match sys::fork_into(cradle.as_fd()) {
        Ok(forked) => Ok((forked, doors)),
        Err(_) => {
            let doors = group.back_door()?.doors;
            Ok((sys::fork()?, doors))
        }
    }
}

impl Program {
    fn new(spec: &Spec, secrets: &[Secret]) -> io::Result<Self> {
        let strings = |list: &[Vec<u8>]| -> io::Result<Vec<CString>> {
            list.iter().map(|item| Ok(CString::new(item.clone())?)).collect()
        };
        let Some(name) = spec.argv.first().filter(|name| !name.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no program to run"));
        };
        let path = spec.env.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
        let folders = path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
        let candidates = if name.contains(&b'/') {
            vec![name.clone()]
        } else {
            folders.split(|byte| *byte == b':').map(|folder| join(folder, name)).collect()
        };
        let mut env = strings(&spec.env)?;
        for variable in secrets {
            env.push(CString::new(variable.expose())?);
        }
        Ok(Self {
            candidates: strings(&candidates)?,
            argv: strings(&spec.argv)?,
            env,
            cwd: CString::new(spec.cwd.clone())?,
        })
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let folder = if folder.is_empty() { b"." } else { folder };
    [folder, b"/", name].concat()
}

/// The child's side. Never returns.
fn become_command(program: &Program, ends: &Ends, supervisor: Pid) -> ! {
    let failed = match enter(program, ends, supervisor) {
        Ok(()) => execute(program),
        Err(error) => error,
    };
    let code = failed.raw_os_error().unwrap_or(libc::EIO);
    // The supervisor reads the error; should it be gone, so is this process.
    rustix::io::write(&ends.status, &code.to_le_bytes()).ok();
    exit_now(127)
}

fn enter(program: &Program, ends: &Ends, supervisor: Pid) -> io::Result<()> {
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(supervisor) {
        // It died before the death signal was set.
        exit_now(127);
    }
    if sys::is_spared() {
        sys::be_not_spared()?;
    }
    for door in &ends.doors {
        rustix::io::write(door, b"0")?;
    }
    if !gate_opened(ends.gate.as_fd())? {
        exit_now(127);
    }
    for signal in 1..=31 {
        sys::set_signal(signal, Disposition::Default);
    }
    sys::unblock_signals();
    sys::become_standard(ends.stdin.as_fd(), 0)?;
    sys::become_standard(ends.out.as_fd(), 1)?;
    sys::become_standard(ends.err.as_fd(), 2)?;
    rustix::process::chdir(program.cwd.as_c_str())?;
    Ok(())
}

fn gate_opened(gate: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        match rustix::io::read(gate, &mut [0u8; 1]) {
            Ok(count) => return Ok(count == 1),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tries the candidates; the most telling error wins.
fn execute(program: &Program) -> io::Error {
    let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in &program.candidates {
        let error = sys::execve(candidate, &program.argv, &program.env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => worst = error,
            _ => return error,
        }
    }
    worst
}

/// Explains why the program was not executed.
pub(super) fn explain(spec: &Spec, code: i32) -> String {
    let name = spec.argv.first().map(|name| String::from_utf8_lossy(name).into_owned());
    let name = name.unwrap_or_default();
    let cwd = String::from_utf8_lossy(&spec.cwd).into_owned();
    let error = io::Error::from_raw_os_error(code);
    if code == libc::ENOENT && !Path::new(&cwd).is_dir() {
        return format!("cannot run `{name}`: its directory {cwd} does not exist");
    }
    format!("cannot run `{name}`: {error}")
}
