//! The same commands on a terminal: its width, colour, and nothing on it that could do harm.

use super::Desk;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

/// What a command shows on a terminal of this width, and whether it ended well.
fn shown(desk: &Desk, columns: u16, args: &[&str]) -> (String, bool) {
    answered(desk, columns, args, "")
}

/// The same, with somebody who types these lines.
fn answered(desk: &Desk, columns: u16, args: &[&str], lines: &str) -> (String, bool) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    tcsetwinsize(&theirs, Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut command = desk.command(args);
    command.env("TERM", "xterm").stdout(Stdio::from(theirs.try_clone().unwrap()));
    if !lines.is_empty() {
        command.stdin(Stdio::from(theirs.try_clone().unwrap()));
        rustix::io::write(&ours, lines.as_bytes()).unwrap();
    }
    command.stderr(Stdio::from(theirs));
    let mut child = command.spawn().unwrap();
    // The last copies of the other end must be the child's, so that its end is ours.
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut terminal, mut text, mut piece) = (File::from(ours), Vec::new(), [0; 4096]);
        // A terminal whose other end is closed answers with an error, not with an end.
        while let Ok(n @ 1..) = terminal.read(&mut piece) {
            text.extend_from_slice(&piece[..n]);
        }
        text
    });
    let is_good = child.wait().unwrap().success();
    let text = String::from_utf8(reader.join().unwrap()).unwrap();
    (text.replace("\r\n", "\n"), is_good)
}

/// Without our own colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn pages_fit_the_terminal_and_break_between_words() {
    let desk = Desk::new();
    for columns in [60, 80, 132] {
        for args in [&["status", "digits"][..], &["watch", "digits"], &["show", "digits", "3"], &["workers"]]
        {
            let (text, is_good) = shown(&desk, columns, args);
            assert!(is_good, "{text}");
            assert!(text.contains("\u{1b}["), "colour on a terminal: {args:?}");
            let text = plain(&text);
            let wide = text.lines().find(|line| line.chars().count() > usize::from(columns));
            assert_eq!(wide, None, "{args:?} at {columns}");
        }
    }
    // A sentence that is wrapped is the same sentence.
    let (text, _) = shown(&desk, 60, &["watch", "digits"]);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (wide, _) = shown(&desk, 400, &["watch", "digits"]);
    assert_eq!(words(&plain(&text)), words(&plain(&wide)));
}

#[test]
fn a_terminal_is_shown_safe_text_and_nothing_binary() {
    let desk = Desk::new();
    let (text, is_good) = shown(&desk, 80, &["get", "digits", "2", "run.log"]);
    assert!(is_good && text.contains("[31mred[0m") && !text.contains('\u{1b}'), "{text:?}");
    let (text, is_good) = shown(&desk, 80, &["get", "digits", "2", "artifacts/model.bin"]);
    assert!(!is_good && text.contains("no text for a terminal") && !text.contains('\u{1}'), "{text:?}");
}

#[test]
fn init_asks_on_a_terminal_and_takes_what_is_answered() {
    let desk = Desk::unattended();
    let project = desk.dir.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let script = "print(f'val_loss: {x}')\nprint(f'val_acc: {y}')\n";
    std::fs::write(project.join("train.py"), script).unwrap();
    // The second metric; what is proposed; an own command; one file of our own; own minutes.
    let answers = "2\n\npython3 -u train.py\ntrain.py\n2.5\n";
    let (text, is_good) = answered(&desk, 80, &["init", "project"], answers);
    assert!(is_good, "{text}");
    let text = plain(&text);
    for said in ["1  val_acc", "2  val_loss   (train.py:1 prints it)", "metric [1]:", "train.py   (training)"]
    {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    let written = std::fs::read_to_string(project.join("loop.run.yaml")).unwrap();
    for line in [
        "metric: val_loss  # train.py:1 prints it",
        "metric_direction: minimize  # its name",
        "entrypoint: python3 -u train.py  # as answered",
        "  - train.py  # as answered",
        "budget: 2.5  # as answered",
    ] {
        assert!(written.lines().any(|written| written == line), "{line:?} in {written}");
    }
}

#[test]
fn an_error_on_a_terminal_is_broken_between_words() {
    let desk = Desk::new();
    let (text, is_good) = shown(&desk, 40, &["show", "digits", "9"]);
    assert!(!is_good);
    let text = plain(&text);
    assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= 40), "{text}");
}
