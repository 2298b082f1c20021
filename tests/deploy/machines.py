"""Machines for tests of operation: each a systemd of its own in namespaces of its own, with /etc, /var, /usr/local and
/root that are thrown away. They share one network, on which nothing else is. Needs root and a Linux with cgroup v2;
whatever is started ends with this process."""

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# What a systemd would do to the kernel and the devices of the machine that these are played on.
MASKED = """systemd-sysctl.service systemd-modules-load.service systemd-udevd.service systemd-udevd-kernel.socket
systemd-udevd-control.socket systemd-udev-trigger.service systemd-binfmt.service systemd-remount-fs.service
systemd-random-seed.service systemd-timesyncd.service systemd-tmpfiles-setup-dev.service systemd-hwdb-update.service
systemd-machine-id-commit.service systemd-firstboot.service systemd-update-utmp.service systemd-pstore.service
kmod-static-nodes.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount
sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
getty.target""".split()

# Folders of which each machine has its own copy, over what is there.
OWN = ["etc", "var", "usr/local", "root"]

# The longest that anything is waited for, seconds: it only ends a test that hangs.
PATIENCE = 180

BOOT = r"""set -eu
mount --make-rprivate /
mount --rbind "$STAGE/target" "$STAGE/bound"
mount -t tmpfs tmpfs "$STAGE/own"
for folder in OWN; do
    mkdir -p "$STAGE/own/up/$folder" "$STAGE/own/work/$folder"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$STAGE/own/up/$folder,workdir=$STAGE/own/work/$folder" "/$folder"
done
mkdir -p /root/windlass /root/target "$STAGE/own/up/repo" "$STAGE/own/work/repo"
mount -t overlay overlay -o "lowerdir=$REPOSITORY,upperdir=$STAGE/own/up/repo,workdir=$STAGE/own/work/repo" /root/windlass
mount --rbind "$STAGE/bound" /root/target
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /lib/systemd/system-generators
mount -t tmpfs -o mode=1777 tmpfs /tmp
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o remount,bind,ro /sys
hostname "$MACHINE"
echo "127.0.0.1 localhost head.lab $MACHINE" > /etc/hosts
: > /etc/fstab
rm -f /etc/machine-id && echo 0123456789abcdef0123456789abcdef > /etc/machine-id
rm -rf /etc/windlass
mkdir -p /run/systemd/system
for unit in MASKED; do ln -s /dev/null "/run/systemd/system/$unit"; done
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' > /run/systemd/system/machine.target
exec env -i container=windlass-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=machine.target --log-target=null --show-status=no
"""


class Failed(Exception):
    """What a machine did not do."""


def alone():
    """Goes on in a network and a process tree of this test's own: nothing outlives it, and no port is taken."""
    if os.environ.get("WINDLASS_TEST_ALONE") == "1":
        bring_loopback_up()
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        return
    os.environ["WINDLASS_TEST_ALONE"] = "1"
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def bring_loopback_up():
    """As `ip link set lo up` does, without the tool."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = 0x1 | 0x40
        set_flags = 0x8914
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up_and_running))


def until(what, condition, patience=PATIENCE):
    """Waits for a condition."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"never came: {what}")
        time.sleep(0.1)


class Machine:
    """One machine that has booted."""

    def __init__(self, name, repository, binary, folder):
        self.name, self.exports = name, []
        stage = pathlib.Path(folder) / name
        for part in ["target/release", "bound", "own", "tools"]:
            (stage / part).mkdir(parents=True)
        # What `cargo build --release` would have made: the binary under test.
        built = stage / "target/release/windlass"
        built.touch()
        subprocess.run(["mount", "--bind", binary, built], check=True)
        cargo = stage / "target/cargo"
        cargo.write_text('#!/bin/sh\n[ "$*" = "build --release" ]\n')
        cargo.chmod(0o755)
        cgroup = pathlib.Path(folder) / "cgroup" / f"windlass-test-{os.getpid()}-{os.urandom(4).hex()}-{name}"
        cgroup.mkdir()
        boot = BOOT.replace("OWN", " ".join(OWN)).replace("MASKED", " ".join(MASKED))
        enter = 'echo $$ > "$0/cgroup.procs"; exec unshare -m -p -f -u -i -C --kill-child --mount-proc bash -c "$1"'
        environment = dict(os.environ, STAGE=str(stage), REPOSITORY=str(repository), MACHINE=name)
        self.unshare = subprocess.Popen(["bash", "-c", enter, str(cgroup), boot], env=environment)
        self.cgroup = cgroup
        until(f"{name} boots", self.is_up)

    def is_up(self):
        if self.unshare.poll() is not None:
            raise Failed(f"{self.name} did not boot: exit code {self.unshare.returncode}")
        state = self.output("systemctl is-system-running || true").strip()
        return state in ("running", "degraded")

    def pid(self):
        children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
        return children[0] if children else None

    def output(self, script, check=True):
        """Runs a script as its root in the checkout; what it prints."""
        pid = self.pid()
        if pid is None or not os.path.exists(f"/proc/{pid}/root/run/systemd"):
            return ""
        environment = ["HOME=/root", "PATH=/root/target:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        environment += ["CARGO_TARGET_DIR=/root/target", "NO_COLOR=1", "LC_ALL=C.UTF-8"]
        script = "\n".join(["cd /root/windlass 2>/dev/null || cd /", *self.exports, script])
        command = ["nsenter", "-t", pid, "-m", "-p", "-u", "-i", "-C", "env", "-i", *environment]
        command += ["timeout", str(PATIENCE), "bash", "-eu", "-o", "pipefail", "-c", script]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and ran.returncode != 0:
            raise Failed(f"on {self.name}, exit code {ran.returncode}:\n{script}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def keep(self, exports):
        """Exports of a person's shell, for everything that is typed later."""
        self.exports += exports

    def read(self, path):
        return pathlib.Path(f"/proc/{self.pid()}/root{path}").read_text()

    def write(self, path, text):
        pathlib.Path(f"/proc/{self.pid()}/root{path}").write_text(text)

    def journal(self):
        """What its services said last."""
        return self.output("journalctl --no-pager -q -n 60 -o cat -u 'windlass-*' || true", check=False)

    def end(self):
        self.unshare.kill()
        self.unshare.wait()

        def is_empty():
            return "populated 0" in (self.cgroup / "cgroup.events").read_text()

        until(f"{self.name} is gone", is_empty)
        for folder in sorted(self.cgroup.rglob("*"), key=lambda path: -len(path.parts)):
            if folder.is_dir():
                folder.rmdir()
        self.cgroup.rmdir()


class Lab:
    """Machines by their names; all end when it is left."""

    def __init__(self, names, repository, binary):
        self.names, self.repository, self.binary, self.machines = names, repository, binary, {}

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="windlass-lab-")
        cgroup = pathlib.Path(self.folder) / "cgroup"
        cgroup.mkdir()
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", cgroup], check=True)
        try:
            for name in self.names:
                self.machines[name] = Machine(name, self.repository, self.binary, self.folder)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self.machines

    def __exit__(self, *_):
        for machine in self.machines.values():
            machine.end()
        # Mounts of the lab's own namespace; its folders are empty below them.
        for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            if self.folder in line.split()[1]:
                ctypes.CDLL(None).umount2(line.split()[1].encode(), 2)
        subprocess.run(["rm", "-rf", self.folder], check=True)
