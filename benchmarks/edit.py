"""Measures what a lever of five files costs in a workspace of 5,000 on a warm worker.

`python3 benchmarks/edit.py --windlass target/release/windlass [--files 5000] [--levers 10] [--json]` starts a coordinator
and a worker in a temporary folder, submits the workspace, and pulls one lever after another, each of which edits five
files. For each it prints the bytes of the edited files, the bytes that the coordinator sent to the worker, and the time
from the moment that the client asked to the moment that the run printed its own; both clocks are this machine's. The
bytes are counted on the socket between the two, from before the lever to after its decision: blobs, what says how the
trees differ, the orders of the run and of its analysis, and every other word. Run it on a machine with nothing else to
do. Nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: sh run.sh
editable_files: ["src/**", value.txt]
gate: time
budget: 5
"""
# The metric grows with every lever, so that each is kept and the next one lies on it.
RUN = "date +%s.%N > $WINDLASS_RESULTS/began.txt; echo \"val: $(cat value.txt)\"\n"
LEVER = """title: edit {n}
kind: change
files: [{files}]
tree: tree-{n}
anchor: {{file: began.txt, pattern: '^([0-9]+)[.]'}}
prediction: none
analysis:
  - {{script: look.sh, output: look-{n}.txt, dimension: look-{n}, question: what?, if_helped: this, if_not: that}}
"""
EDITED = 5


def project(place, files):
    """A workspace of `files` small files; their paths."""
    folder = os.path.join(place, "project")
    paths = []
    for n in range(files - 3):
        path = f"src/m{n % 50}/f{n}.py"
        os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(folder, path), "w") as file:
            file.write(f"# line of file {n}, as long as lines of programs are\n" * 80)
        paths.append(path)
    for name, text in (("loop.run.yaml", CAMPAIGN), ("run.sh", RUN), ("value.txt", "0\n")):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    return folder, paths


def lever(place, folder, paths, n):
    """A lever file that edits five files, and the bytes of these."""
    edited = [paths[(n * 37 + k * 101) % len(paths)] for k in range(EDITED - 1)] + ["value.txt"]
    root = os.path.join(place, "levers")
    tree = os.path.join(root, f"tree-{n}")
    size = 0
    for path in edited:
        to = os.path.join(tree, path)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        text = f"{n}\n" if path == "value.txt" else open(os.path.join(folder, path)).read() + f"# edit {n}\n"
        with open(to, "w") as file:
            file.write(text)
        size += len(text)
    with open(os.path.join(root, "look.sh"), "w") as file:
        file.write("echo looked\n")
    path = os.path.join(root, f"{n}.yaml")
    with open(path, "w") as file:
        file.write(LEVER.format(n=n, files=", ".join(edited)))
    return path, size


class Wire:
    """A Unix socket in front of the coordinator's, which counts what the coordinator says."""

    def __init__(self, path, behind):
        self.behind, self.said = behind, 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.behind)
            threading.Thread(target=self.pass_on, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(far, near, True), daemon=True).start()

    def pass_on(self, source, sink, counts):
        try:
            while data := source.recv(1 << 16):
                if counts:
                    with self.lock:
                        self.said += len(data)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--windlass", required=True)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--levers", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON document in place of the table")
    options = parser.parse_args()
    binary = os.path.abspath(options.windlass)
    place = tempfile.mkdtemp(prefix="windlass-edit-")
    data = os.path.join(place, "data")
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    roles = [subprocess.Popen([binary, "--data-dir", data, "coordinator"], **quiet)]

    def ask(*arguments):
        done = subprocess.run([binary, "--data-dir", data, "--quiet", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"windlass {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    try:
        def wait_for_workers(least):
            until = time.time() + 60
            asked = [binary, "--data-dir", data, "--quiet", "--output", "json", "workers"]
            while True:
                answer = subprocess.run(asked, capture_output=True, text=True)
                if answer.returncode == 0 and len(json.loads(answer.stdout)["workers"]) >= least:
                    return
                if time.time() > until:
                    raise SystemExit("coordinator or worker do not answer")
                time.sleep(0.05)

        wait_for_workers(0)
        between = os.path.join(place, "wire.sock")
        wire = Wire(between, os.path.join(data, "windlass.sock"))
        work = [binary, "--data-dir", os.path.join(place, "worker"), "--coordinator", f"unix:{between}", "worker"]
        roles.append(subprocess.Popen(work, **quiet))
        wait_for_workers(1)
        folder, paths = project(place, options.files)
        campaign = ask("submit", folder, "--name", "edit").strip()
        ask("wait", campaign, "1")
        rows = []
        for n in range(1, options.levers + 1):
            file, edited = lever(place, folder, paths, n)
            before = wire.said
            asked = time.time()
            ask("lever", "add", campaign, file)
            ask("wait", campaign, str(n + 1))
            moved = wire.said - before
            began = float(ask("get", campaign, str(n + 1), "results/began.txt"))
            rows.append((edited, moved, 1000 * (began - asked)))
        if options.json:
            names = ("edited_bytes", "moved_bytes", "asked_to_running_ms")
            print(json.dumps([dict(zip(names, row)) for row in rows]))
            return
        print(f"{options.files} files, {EDITED} edited, {options.levers} levers")
        print("| edited bytes | bytes moved | times the edit | asked to running, ms |")
        print("|---|---|---|---|")
        for edited, moved, ms in rows:
            print(f"| {edited} | {moved} | {moved / edited:.2f} | {ms:.0f} |")
        print(f"median {statistics.median(row[2] for row in rows):.0f} ms, most {max(row[2] for row in rows):.0f} ms")
    finally:
        for role in reversed(roles):
            role.send_signal(signal.SIGINT)
            role.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
