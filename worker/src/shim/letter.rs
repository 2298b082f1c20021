//! What the daemon and its nursery write to each other: one message each way, descriptors beside it. Knows
//! nothing of what is asked.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A request: a nonce and a path, which the kernel bounds at 4,096 bytes.
const LETTER_MAX_BYTES: usize = 8 << 10;
/// Descriptors beside one message: the voice, and the secrets' pipe.
const FDS_MAX: usize = 2;
/// Bytes of an answer: a number.
const ANSWER_BYTES: usize = 4;

/// Asks for the shim of the attempt in `dir`. The first of `fds` becomes its standard output, the second, if
/// there is one, its standard input.
pub fn ask(socket: BorrowedFd<'_>, nonce: &str, dir: &Path, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    send(socket, &[nonce.as_bytes(), b"\0", dir.as_os_str().as_bytes()].concat(), fds)
}

/// A request that was read.
#[derive(Debug)]
pub struct Asked {
    /// The start's own number.
    pub nonce: String,
    /// The attempt's folder.
    pub dir: PathBuf,
    /// What comes beside it.
    pub fds: Vec<OwnedFd>,
}

/// Waits for the next request; nothing once nobody can ask any more.
pub fn asked(socket: BorrowedFd<'_>) -> Result<Option<Asked>, Errno> {
    let mut bytes = [0; LETTER_MAX_BYTES];
    let (count, fds) = receive(socket, &mut bytes)?;
    if count == 0 {
        return Ok(None);
    }
    let mut parts = bytes[..count].splitn(2, |&byte| byte == 0);
    let nonce = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let dir = PathBuf::from(OsStr::from_bytes(parts.next().unwrap_or_default()));
    Ok(Some(Asked { nonce, dir, fds }))
}

/// Answers with a child and its pidfd, or with why there is none.
pub fn answer(socket: BorrowedFd<'_>, born: Result<(i32, OwnedFd), Errno>) -> Result<(), Errno> {
    match born {
        Ok((pid, pidfd)) => send(socket, &pid.to_le_bytes(), &[pidfd.as_fd()]),
        Err(errno) => send(socket, &(-errno.raw_os_error()).to_le_bytes(), &[]),
    }
}

/// Waits for the answer to [`ask`]: a pid with its pidfd, or why there is none. No answer at all is an
/// error of the socket.
pub fn answered(socket: BorrowedFd<'_>) -> Result<Result<(i32, OwnedFd), Errno>, Errno> {
    let mut bytes = [0; ANSWER_BYTES];
    let (count, mut fds) = receive(socket, &mut bytes)?;
    if count != ANSWER_BYTES {
        return Err(Errno::PIPE);
    }
    let number = i32::from_le_bytes(bytes);
    match fds.pop() {
        Some(pidfd) if number > 0 => Ok(Ok((number, pidfd))),
        _ => {
            Ok(Err(Errno::from_raw_os_error(number.checked_neg().filter(|&it| it > 0).unwrap_or(libc::EIO))))
        }
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}

fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let parts = &mut [IoSliceMut::new(&mut *bytes)];
        match recvmsg(socket, parts, &mut beside, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let fds = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((received.bytes, fds.flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::fs::File;
    use std::io::{Read, Write};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair")
    }

    #[test]
    fn a_request_arrives_with_its_descriptors_and_an_end_is_an_end() {
        let (here, there) = pair();
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        ask(here.as_fd(), "a nonce", Path::new("/scratch/a folder"), &[writer.as_fd()]).expect("sent");
        drop(writer);
        let mut got = asked(there.as_fd()).expect("read").expect("a request");
        assert_eq!((got.nonce.as_str(), got.dir.as_path()), ("a nonce", Path::new("/scratch/a folder")));
        let voice = got.fds.pop().expect("a descriptor");
        File::from(voice).write_all(b"started\n").expect("a word");
        let mut said = String::new();
        File::from(reader).read_to_string(&mut said).expect("all ends are closed");
        assert_eq!(said, "started\n");
        drop(here);
        assert!(asked(there.as_fd()).expect("an end").is_none());
    }

    #[test]
    fn an_answer_is_a_child_or_an_error_and_a_lost_one_is_neither() {
        let (here, there) = pair();
        let own = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).expect("we live");
        answer(there.as_fd(), Ok((own.as_raw_nonzero().get(), pidfd))).expect("sent");
        let (pid, _) = answered(here.as_fd()).expect("an answer").expect("a child");
        assert_eq!(pid, own.as_raw_nonzero().get());
        answer(there.as_fd(), Err(Errno::AGAIN)).expect("sent");
        assert_eq!(answered(here.as_fd()).expect("an answer").map(drop), Err(Errno::AGAIN));
        drop(there);
        assert!(answered(here.as_fd()).is_err());
    }
}
