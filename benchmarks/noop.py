"""Times no-op experiments through a running coordinator and worker: `python3 benchmarks/noop.py WINDLASS`.

A no-op experiment is a campaign's baseline whose command prints its metric, with `builtin:log` as its only
deliverable. Prints medians, milliseconds; the client's own start is included.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

EXPERIMENTS = 25
CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: "echo 'val: 1'"
editable_files: [a.txt]
gate: time
budget: 1
"""


def main(windlass):
    with tempfile.TemporaryDirectory() as place:
        data, project = os.path.join(place, "data"), os.path.join(place, "project")
        os.mkdir(project)
        for name, text in (("loop.run.yaml", CAMPAIGN), ("a.txt", "x\n")):
            with open(os.path.join(project, name), "w") as file:
                file.write(text)
        client = [windlass, "--data-dir", data, "--quiet", "--output", "json"]
        up = subprocess.Popen([windlass, "--data-dir", data, "--quiet", "up"], stdout=subprocess.DEVNULL)
        try:
            while b'"ready"' not in subprocess.run(client + ["workers"], capture_output=True).stdout:
                time.sleep(0.05)
            accepted, known = [], []
            for number in range(EXPERIMENTS):
                start = time.perf_counter()
                command = client + ["submit", project, "--name", "noop%d" % number]
                campaign = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["campaign"]
                accepted.append(time.perf_counter() - start)
                subprocess.run(client + ["wait", campaign, "1"], capture_output=True, check=True)
                known.append(time.perf_counter() - start)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait()
    print("submit accepted: %.1f ms" % (1000 * statistics.median(accepted)))
    print("result known:    %.1f ms" % (1000 * statistics.median(known)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "windlass")
