"""Types every command of docs/operate.md, in order, on the machines that the page names, and looks at what comes of it:
`python3 tests/deploy/operate.py [WINDLASS]`, as root. A block ```sh NAME is typed on the machine NAME."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from machines import Failed, Lab, alone, until  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/operate.md"

# A project as small as can be; with a file `hold` in a folder that all may see, its runs wait.
HOLD = "/tmp/hold"
CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: sh run.sh
editable_files: [params.sh]
gate: time
budget: 10
windlass: {name: NAME, fix_wait: 0}
"""
RUN = "while [ -e HOLD ]; do sleep 0.1; done\n. ./params.sh\necho \"val: $VALUE\"\n".replace("HOLD", HOLD)


class Person:
    """Somebody with a shell on a machine without services."""

    def __init__(self, home, binary):
        self.home, self.exports = pathlib.Path(home), []
        (self.home / "bin").mkdir()
        os.symlink(binary, self.home / "bin/windlass")

    def output(self, script, check=True):
        environment = {"HOME": str(self.home), "PATH": f"{self.home}/bin:/usr/bin:/bin", "NO_COLOR": "1"}
        command = ["timeout", "180", "bash", "-eu", "-o", "pipefail", "-c", "\n".join([*self.exports, script])]
        ran = subprocess.run(
            command, cwd=self.home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if check and ran.returncode != 0:
            raise Failed(f"as ada, exit code {ran.returncode}:\n{script}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def keep(self, exports):
        self.exports += exports

    def write(self, path, text):
        (self.home / path).write_text(text)

    def journal(self):
        return ""

    def project(self, name):
        """Lays a project out."""
        folder = self.home / name
        folder.mkdir()
        (folder / "loop.run.yaml").write_text(CAMPAIGN.replace("NAME", name if name != "project" else "tiny"))
        (folder / "run.sh").write_text(RUN)
        (folder / "params.sh").write_text("VALUE=0.5\n")


def blocks(page):
    """The commands of the page: heading, machine, script, line."""
    heading, found, machine, script, first = "", [], None, [], 0
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("## "):
            heading = line[3:]
        if machine is None and (start := re.fullmatch(r"```sh (\w[\w-]*)", line)):
            machine, script, first = start[1], [], number + 1
        elif machine is not None and line == "```":
            found.append((heading, machine, "\n".join(script), first))
            machine = None
        elif machine is not None:
            script.append(line)
    return found


class Walk:
    """The page, typed block by block."""

    def __init__(self, machines):
        self.machines, self.head, self.gpu = machines, machines["head"], machines["gpu-2"]
        self.ada = machines["ada"]
        self.typed = 0

    def type(self, heading):
        """Types the next blocks of one section."""
        mine = [block for block in blocks(PAGE.read_text()) if block[0] == heading]
        if not mine:
            raise Failed(f"the page has no commands under {heading!r} any more")
        for _, name, script, line in mine:
            yield name, script
            print(f"   line {line}, on {name}", flush=True)
            machine = self.machines[name]
            machine.output(script)
            machine.keep([one for one in script.splitlines() if one.startswith("export ")])
            self.typed += 1
            if "> token" in script:
                # Whoever sets machines up carries it there.
                token = self.head.read("/root/windlass/token")
                self.gpu.write("/root/windlass/token", token)
                self.ada.write("token", token)

    def type_all(self, heading):
        for _ in self.type(heading):
            pass

    def json(self, command):
        return json.loads(self.head.output(f"windlass --output json {command}"))

    def workers(self):
        return self.json("workers")["workers"]

    def wait_ready(self, what):
        def is_ready():
            return any(worker["info"]["name"] == "gpu-2" and worker["state"] == "ready" for worker in self.workers())

        until(what, is_ready)

    def phase(self, campaign):
        attempt = ((self.json(f"status {campaign}").get("open") or {}).get("attempt")) or {}
        return attempt.get("phase")

    def incarnations(self):
        lines = self.head.output("windlass ledger export").splitlines()
        bodies = [json.loads(line)["record"]["body"] for line in lines]
        return [body["incarnation"] for body in bodies if body["kind"] == "incarnation_started"]


def expect(condition, what):
    if not condition:
        raise Failed(what)


def walk(machines):
    it = Walk(machines)
    it.type_all("Install")
    for unit in ["windlass-coordinator.service", "windlass-backup.timer"]:
        it.head.output(f"systemctl is-active {unit} && systemctl is-enabled {unit}")
    user = it.head.output("stat -c %U /proc/$(systemctl show -p MainPID --value windlass-coordinator)").strip()
    expect(user == "windlass", f"the coordinator runs as {user}")
    it.head.output("test -s /usr/local/share/man/man1/windlass-submit.1")

    it.type_all("A second machine in two commands")
    it.wait_ready("the second machine is ready")
    containment = it.workers()[0]["info"]["containment"]
    expect(containment == "cgroup", f"Delegate= gives each run a cgroup of its own, not {containment}")

    it.ada.project("project")
    it.type_all("People and agents")
    expect("tiny" in it.ada.output("windlass campaigns"), "ada sees her campaign")

    for _ in it.type("Who is known, and an end of that"):
        pass
    it.wait_ready("a new token lets the machine in again")

    it.type_all("Machines come and go")

    before = it.incarnations()
    it.type_all("Back up and restore")
    it.wait_ready("the worker is known to the restored ledger")
    expect("tiny" in it.head.output("windlass campaigns"), "the campaign is restored")
    after = it.incarnations()
    expect(len(after) == len(set(after)) and after[: len(before)] == before, f"I15: {before} became {after}")
    expect(len(after) > len(before), "I15: the restored ledger began a life of its own")
    it.head.output("windlass ledger verify")

    # A run that is under way while both are upgraded.
    it.gpu.output(f"touch {HOLD}")
    it.ada.project("long")
    it.ada.output("windlass submit long")
    until("the run is under way", lambda: it.phase("long") == "running")
    find = "pgrep -f '[s]h run.sh' || true"
    runs = set(it.gpu.output(find).split())
    it.type_all("Upgrade")
    left = set(it.gpu.output(find).split())
    expect(runs and runs <= left, f"the run's own process outlives the restart: {runs} were there, {left} are")
    expect(it.gpu.output("systemctl show -p NRestarts --value windlass-worker").strip() == "0", "it was told to")
    it.wait_ready("the worker is back")
    it.gpu.output(f"rm {HOLD}")
    it.ada.output("windlass wait long 1")
    attempts = it.json("show long 1")["attempts"]
    runs = [attempt for attempt in attempts if attempt["kind"] == "run"]
    expect(len(runs) == 1, f"the run was not started again: {attempts}")

    it.type_all("Rotate")
    it.wait_ready("the machine joined the new CA")
    refused = it.ada.output("windlass campaigns 2>&1 || true")
    expect("another coordinator" in refused or "join" in refused, f"ada has to join the new CA: {refused}")

    # The units as systemd reads them, and how far each service is confined.
    for machine in [it.head, it.gpu]:
        said = machine.output("systemd-analyze --man=no verify /usr/local/lib/systemd/system/windlass-* 2>&1")
        expect(said == "", f"systemd-analyze verify: {said}")
    it.head.output("systemd-analyze --no-pager security --threshold=20 windlass-coordinator")
    it.gpu.output("systemd-analyze --no-pager security --threshold=65 windlass-worker")
    it.gpu.output("systemctl stop windlass-worker && ! systemctl is-active -q windlass-worker")
    it.head.output("deploy/install.sh --uninstall && test -e /etc/windlass/windlass.toml && test -d /var/lib/windlass")
    expect(it.typed == len(blocks(PAGE.read_text())), "every block of the page was typed")
    print(f"{it.typed} blocks typed")


def main():
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "target/debug/windlass").resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"{binary} is not there: build it first, or name it")
    alone()
    # ada looks the head node up like everybody.
    home = tempfile.mkdtemp(prefix="windlass-ada-")
    hosts = pathlib.Path(home) / "hosts"
    hosts.write_text("127.0.0.1 localhost head.lab\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    try:
        with Lab(["head", "gpu-2"], REPOSITORY, binary) as machines:
            machines = dict(machines, ada=Person(home, binary))
            try:
                walk(machines)
            except Failed as problem:
                journals = "".join(f"\n-- {name}\n{machine.journal()}" for name, machine in machines.items())
                sys.exit(f"{problem}{journals}")
    finally:
        shutil.rmtree(home, ignore_errors=True)


main()
