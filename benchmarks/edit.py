"""Measures what a lever of five files costs in a workspace of 5,000 on a warm worker.

`python3 benchmarks/edit.py --windlass target/release/windlass [--files 5000] [--levers 10] [--json]` starts `windlass up`
in a temporary folder, submits the workspace, and pulls one lever after another, each of which edits five files.
For each it prints the bytes of the edited files, the bytes that the worker fetched, and the time from the moment
that the client asked to the moment that the run printed its own; both clocks are this machine's. Run it on a
machine with nothing else to do. Nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
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
anchor: {{file: began.txt, pattern: '([0-9]+)'}}
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
            file.write(f"# file {n}\n" * 20)
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


def blob_bytes(data):
    """Bytes in the worker's cache, by blob."""
    found = {}
    for folder, _, names in os.walk(os.path.join(data, "worker", "blobs")):
        for name in names:
            try:
                found[name] = os.path.getsize(os.path.join(folder, name))
            except FileNotFoundError:
                pass
    return found


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
    up = subprocess.Popen([binary, "--data-dir", data, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(*arguments):
        done = subprocess.run([binary, "--data-dir", data, "--quiet", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"windlass {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    try:
        until = time.time() + 30
        while subprocess.run([binary, "--data-dir", data, "--quiet", "workers"], capture_output=True).returncode:
            if time.time() > until:
                raise SystemExit("windlass up does not answer")
            time.sleep(0.05)
        folder, paths = project(place, options.files)
        campaign = ask("submit", folder, "--name", "edit").strip()
        ask("wait", campaign, "1")
        rows = []
        for n in range(1, options.levers + 1):
            file, edited = lever(place, folder, paths, n)
            before = blob_bytes(data)
            asked = time.time()
            ask("lever", "add", campaign, file)
            ask("wait", campaign, str(n + 1))
            began = float(ask("get", campaign, str(n + 1), "results/began.txt"))
            # What the worker made itself (results, manifests of results) is no part of what was moved to it.
            new = {name: size for name, size in blob_bytes(data).items() if name not in before}
            manifest = json.loads(ask("--output", "json", "show", campaign, str(n + 1)))["tree"].split(":")
            moved = sum(size for name, size in new.items() if name != manifest[0] and size > 120)
            rows.append((edited, moved, int(manifest[1]), 1000 * (began - asked)))
        if options.json:
            names = ("edited_bytes", "moved_bytes", "manifest_bytes", "asked_to_running_ms")
            print(json.dumps([dict(zip(names, row)) for row in rows]))
            return
        print(f"{options.files} files, {EDITED} edited, {options.levers} levers")
        print("| edited bytes | blob bytes moved | manifest bytes | asked to running, ms |")
        print("|---|---|---|---|")
        for edited, moved, manifest, ms in rows:
            print(f"| {edited} | {moved} | {manifest} | {ms:.0f} |")
        print(f"median {statistics.median(row[3] for row in rows):.0f} ms, most {max(row[3] for row in rows):.0f} ms")
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
