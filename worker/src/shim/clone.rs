//! One system call: a child of this process, in a cgroup or in namespaces of its own from its first
//! instruction on. The one place of the shim where a process becomes two.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::process::Pid;
use std::io;

/// A child that is born in a cgroup: a flag of clone3 alone, above the 32 bits of the others.
const INTO_CGROUP: u64 = 1 << 33;
/// A pid namespace, with a mount namespace for the `/proc` that belongs to it.
pub const PID_NAMESPACE: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
/// What lets everybody make the namespaces above.
pub const USER_NAMESPACE: i32 = libc::CLONE_NEWUSER;

/// Who a wait finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary child.
    Child,
    /// One that an ordinary wait does not see: it is no part of the run.
    Aside,
}

/// Where the call returns.
#[derive(Debug)]
pub enum Side {
    /// Here, with the child and a descriptor that is readable when it has ended.
    Parent(Pid, OwnedFd),
    /// In the child. It must end by exec or exit, never by returning into what its parent was doing.
    Child,
}

/// Clones this process, whose only thread is the calling one: what the shim is. `namespaces` are flags of
/// clone; with `cgroup` the child is born in it.
#[expect(unsafe_code, reason = "no safe wrapper offers a child that is born in a cgroup or a namespace")]
pub fn clone(kind: Kind, namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all zeros is a valid value: every field is a number, and zero means absent.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64 | namespaces as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = if kind == Kind::Child { libc::SIGCHLD as u64 } else { 0 };
    if let Some(cgroup) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no memory is shared and no stack is given, so this is a fork; the arguments live across the
    // call, and with one thread no lock can be held by another that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(Side::Child),
        1.. => {
            let pid = Pid::from_raw(pid as i32).ok_or_else(io::Error::last_os_error)?;
            // SAFETY: the kernel has just made it for us.
            Ok(Side::Parent(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends a child of [`clone`] without anything that belongs to its parent's life.
#[expect(unsafe_code, reason = "the runtime's own exit would run what the parent has registered")]
pub fn exit(code: i32) -> ! {
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(code) }
}
