"""Times the way of a log: `python3 benchmarks/logs.py WINDLASS [GIB]`.

Starts a coordinator and a worker, has a run print GIB of text (1 by default), and prints: bytes per second from
its first word to the last in the head node's file, the longest lag of `logs --follow`, and `logs --tail 20` of the whole
log, raw and again once it is compressed (medians of 5; the client's own start is included).
"""

import glob
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PRINT = """
import os, sys, time
line = "an ordinary line of output, as long as those of a trainer are\\n" * 16384
left = %d
open("began", "w").write(repr(time.time()))
while left > 0:
    left -= sys.stdout.write(line)
sys.stdout.flush()
while not os.path.exists(%r):
    print("tick", time.time(), flush=True)
    time.sleep(0.3)
print("val: 1")
"""
# Lines whose way to the follower is timed.
LAGS = 40
CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: python3 print.py
editable_files: [a.txt]
gate: time
budget: 30
windlass:
  limits: {log_bytes: %d}
"""


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - start)


def main(windlass, gib):
    size = int(gib * (1 << 30))
    with tempfile.TemporaryDirectory() as place:
        data, project = os.path.join(place, "data"), os.path.join(place, "project")
        os.mkdir(project)
        enough = os.path.join(project, "enough")
        for name, text in (
            ("loop.run.yaml", CAMPAIGN % (4 * size)), ("print.py", PRINT % (size, enough)), ("a.txt", "x\n"),
        ):
            with open(os.path.join(project, name), "w") as file:
                file.write(text)
        client = [windlass, "--data-dir", data, "--quiet"]
        up = subprocess.Popen(client + ["up"], stdout=subprocess.DEVNULL)
        try:
            while b'"ready"' not in subprocess.run(
                client + ["--output", "json", "workers"], capture_output=True
            ).stdout:
                time.sleep(0.05)
            submit = subprocess.run(
                client + ["--output", "json", "submit", project], capture_output=True, check=True)
            campaign = json.loads(submit.stdout)["campaign"]
            folder = os.path.join(data, "logs", campaign)
            began = glob.glob(os.path.join(data, "worker", "attempts", "*", "**", "began"), recursive=True)
            while not began:
                time.sleep(0.002)
                began = glob.glob(os.path.join(data, "worker", "attempts", "*", "**", "began"), recursive=True)
            while sum(os.path.getsize(path) for path in glob.glob(os.path.join(folder, "*.log"))) < size:
                time.sleep(0.005)
            took = time.time() - float(open(began[0]).read())
            print("process to head node: %.0f MB/s" % (size / 1e6 / took))
            follow = subprocess.Popen(
                client + ["logs", campaign, "1", "--follow", "--raw", "--tail", "1"], stdout=subprocess.PIPE)
            # What was printed before it came is no lag of its own.
            since = time.time() + 1
            lags = []
            for line in follow.stdout:
                now = time.time()
                if line.startswith(b"tick ") and float(line.split()[1]) > since:
                    lags.append(1000 * (now - float(line.split()[1])))
                if len(lags) == LAGS:
                    break
            open(enough, "w").close()
            follow.kill()
            follow.wait()
            print("follow lags:          %.0f ms at most, median %.0f ms" % (max(lags), statistics.median(lags)))
            subprocess.run(client + ["wait", campaign, "1"], capture_output=True, check=True)
            tail = client + ["logs", campaign, "1", "--tail", "20"]
            print("tail, raw:            %.0f ms" % statistics.median(timed(tail) for _ in range(5)))
            while any(name.endswith((".log", ".new")) for name in os.listdir(folder)):
                time.sleep(0.5)
            print("tail, compressed:     %.0f ms" % statistics.median(timed(tail) for _ in range(5)))
            packed = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
            print("compressed to:        %.1f %%" % (100 * packed / size))
        finally:
            up.send_signal(signal.SIGINT)
            up.wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "windlass", float(sys.argv[2]) if len(sys.argv) > 2 else 1)
