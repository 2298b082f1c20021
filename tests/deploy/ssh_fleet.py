"""Sets a fleet up by hand with deploy/ssh-fleet.sh, on two machines that only an ssh server reaches:
`python3 tests/deploy/ssh_fleet.py [WINDLASS]`, as root."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from machines import Failed, alone, until  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# Where the servers listen, and the port that each machine's tunnel has there: all share one network here.
HOSTS = {"gpu-1": (2201, 7071), "gpu-2": (2202, 7072)}
SSHD = """Port PORT
ListenAddress 127.0.0.1
HostKey FOLDER/host_key
AuthorizedKeysFile FOLDER/key.pub
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
"""


class Fleet:
    def __init__(self, folder, binary):
        self.folder, self.servers = pathlib.Path(folder), []
        (self.folder / "bin").mkdir()
        os.symlink(binary, self.folder / "bin/windlass")
        ssh = shutil.which("ssh")
        wrapper = self.folder / "bin/ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {self.folder}/config "$@"\n')
        wrapper.chmod(0o755)
        for key in ["key", "host_key"]:
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key]
            subprocess.run(make, check=True)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        config = f"IdentityFile {self.folder}/key\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\nLogLevel ERROR\n"
        for host, (port, _) in HOSTS.items():
            config += f"Host {host}\nHostName 127.0.0.1\nPort {port}\nUser root\n"
            settings = self.folder / f"sshd-{host}"
            settings.write_text(SSHD.replace("PORT", str(port)).replace("FOLDER", str(self.folder)))
            # Its home is its own: an empty one.
            serve = f"mount -t tmpfs tmpfs /root && exec {shutil.which('sshd')} -D -e -f {settings}"
            log = open(self.folder / f"sshd-{host}.log", "w")
            self.servers.append(subprocess.Popen(["unshare", "-m", "bash", "-c", serve], stderr=log))
        (self.folder / "config").write_text(config)
        self.environment = dict(
            os.environ, PATH=f"{self.folder}/bin:{os.environ['PATH']}", DATA=str(self.folder / "data"), NO_COLOR="1"
        )

    def run(self, *command, **more):
        environment = dict(self.environment, **more)
        ran = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180
        )
        if ran.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}{self.logs()}")
        return ran.stdout

    def windlass(self, *command):
        return json.loads(self.run("windlass", "--data-dir", f"{self.folder}/data", "--output", "json", *command))

    def set_up(self, host):
        self.run("sh", str(REPOSITORY / "deploy/ssh-fleet.sh"), host, FAR=str(HOSTS[host][1]))

    def state(self, name):
        states = [one["state"] for one in self.windlass("workers")["workers"] if one["info"]["name"] == name]
        return states[0] if states else None

    def tunnel(self, host):
        """The process that holds a machine's connection."""
        mark = f"127.0.0.1:{HOSTS[host][1]}:"
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            words = entry.read_bytes().decode(errors="replace").split("\0")
            if "-fN" in words and any(word.startswith(mark) for word in words):
                return int(entry.parent.name)
        return None

    def logs(self):
        return "".join(f"\n-- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.folder.rglob("*.log")))


def walk(fleet):
    for host in HOSTS:
        fleet.set_up(host)
        until(f"{host} is ready", lambda host=host: fleet.state(host) == "ready")
    project = fleet.folder / "project"
    project.mkdir()
    (project / "loop.run.yaml").write_text(
        "metric: val\nmetric_direction: maximize\nentrypoint: sh run.sh\neditable_files: [params.sh]\n"
        "gate: time\nbudget: 1\nwindlass: {name: tiny, fix_wait: 0}\n"
    )
    (project / "run.sh").write_text('. ./params.sh\necho "val: $VALUE"\n')
    (project / "params.sh").write_text("VALUE=0.5\n")
    fleet.windlass("submit", str(project))
    fleet.windlass("wait", "tiny", "1")
    row = fleet.windlass("results", "tiny", "--format", "json")["iterations"][0]
    if (row["status"], row["metric"]) != ("keep", "0.5"):
        raise Failed(f"the experiment went wrong: {row}")
    # A connection that is lost is a worker that is suspected; the script brings both back.
    os.kill(fleet.tunnel("gpu-1"), signal.SIGKILL)
    until("gpu-1 is suspected", lambda: fleet.state("gpu-1") != "ready")
    fleet.set_up("gpu-1")
    until("gpu-1 is back", lambda: fleet.state("gpu-1") == "ready")
    if len(fleet.windlass("workers")["workers"]) != len(HOSTS):
        raise Failed("a machine that is set up again is the worker that it was")
    print(f"{len(HOSTS)} machines set up")


def main():
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "target/debug/windlass").resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"{binary} is not there: build it first, or name it")
    alone()
    folder = tempfile.mkdtemp(prefix="windlass-ssh-")
    try:
        fleet = Fleet(folder, binary)
        try:
            walk(fleet)
        except Failed as problem:
            sys.exit(f"{problem}{fleet.logs()}")
    finally:
        # This is the first process of a tree of its own: everything else in it ends before its files go.
        if os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


main()
