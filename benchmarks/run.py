"""Measures Windlass beside its peers, interleaved, and prints one Markdown table (see run.sh).

Every figure is the median over the rounds. Processor time is that of the whole machine while the
experiments ran, divided by their number: shims and runs are in it, whoever their parents are. What is not
at hand is said. Nothing here passes or fails.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date

CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: "%s"
editable_files: [a.txt]
gate: time
budget: %s
"""
EXPERIMENTS = 1000
COMMANDS = 25
LOG_BYTES = 1_000_000_000


def machine_ms():
    """Busy time of the machine since its start, milliseconds."""
    with open("/proc/stat") as stat:
        ticks = [int(text) for text in stat.readline().split()[1:]]
    return 10.0 * (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7])


def process_ms(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return 10.0 * (int(fields[11]) + int(fields[12]))


def resident_mib(pid):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0


def started_ns(text):
    for line in text.splitlines():
        if line.startswith("started_ns "):
            return int(line.split()[1])
    raise ValueError("the run did not say when it started: %r" % text[:200])


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited %d s for %s" % (seconds, what))
        time.sleep(0.02)


class Windlass:
    """A coordinator and a worker of its own, through the client's commands."""

    def __init__(self, binary, place, slots=2):
        self.binary, self.place = binary, place
        self.data = os.path.join(place, "data")
        self.client = [binary, "--data-dir", self.data, "--quiet", "--output", "json"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        base = [binary, "--data-dir", self.data, "--quiet"]
        self.coordinator = subprocess.Popen(base + ["coordinator"], **quiet)
        self.worker = subprocess.Popen(base + ["worker", "--cpu-slots", str(slots)], **quiet)
        wait_for(lambda: '"ready"' in self.ask("workers", check=False), "the worker")

    def ask(self, *arguments, check=True):
        done = subprocess.run(self.client + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode:
            raise RuntimeError("%s: %s" % (arguments, done.stderr))
        return done.stdout

    def project(self, name, entrypoint, budget="10"):
        folder = os.path.join(self.place, name)
        os.makedirs(folder, exist_ok=True)
        for file, text in (("loop.run.yaml", CAMPAIGN % (entrypoint, budget)), ("a.txt", "x\n")):
            with open(os.path.join(folder, file), "w") as out:
                out.write(text)
        return folder

    def submit(self, folder, name):
        return json.loads(self.ask("submit", folder, "--name", name))["campaign"]

    def close(self):
        for role in (self.worker, self.coordinator):
            role.send_signal(signal.SIGTERM)
            role.wait(20)


def windlass_commands(options, place):
    """Client commands, start of the client included."""
    service = Windlass(options.windlass, place)
    try:
        folder = service.project("noop", options.noop)
        accepted, started, known = [], [], []
        for number in range(COMMANDS):
            wall_ns, start = time.time_ns(), time.perf_counter()
            campaign = service.submit(folder, "noop%d" % number)
            accepted.append(time.perf_counter() - start)
            service.ask("wait", campaign, "1")
            known.append(time.perf_counter() - start)
            text = subprocess.run(
                [options.windlass, "--data-dir", service.data, "--quiet", "logs", campaign, "1"],
                stdout=subprocess.PIPE, check=True, text=True,
            ).stdout
            started.append((started_ns(text) - wall_ns) / 1e9)
        time.sleep(2)
        memory = resident_mib(service.coordinator.pid), resident_mib(service.worker.pid)
    finally:
        service.close()
    ms = lambda values: 1000 * statistics.median(values)
    return {"submit_ms": ms(accepted), "start_ms": ms(started), "known_ms": ms(known),
            "coordinator_mib": memory[0], "worker_mib": memory[1]}


def load(options, *arguments):
    done = subprocess.run([options.load, options.windlass, options.noop] + list(arguments),
                          stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


class HyperQueue:
    """A server with a journal and a worker; everything synced as its defaults have it."""

    def __init__(self, binary, place):
        self.binary, self.place = binary, place
        self.environment = dict(os.environ, HQ_SERVER_DIR=os.path.join(place, "hq"))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": self.environment, "cwd": place}
        journal = os.path.join(place, "journal")
        self.server = subprocess.Popen([binary, "server", "start", "--journal", journal], **quiet)
        wait_for(lambda: self.run("server", "info", check=False).returncode == 0, "HyperQueue's server")
        self.worker = subprocess.Popen([binary, "worker", "start", "--cpus", "8", "--no-detect-resources"], **quiet)
        wait_for(lambda: "RUNNING" in self.run("worker", "list", check=False).stdout, "HyperQueue's worker")

    def run(self, *arguments, check=True):
        return subprocess.run([self.binary] + list(arguments), env=self.environment, cwd=self.place, check=check,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def close(self):
        self.run("server", "stop", check=False)
        for role in (self.worker, self.server):
            role.terminate()
            role.wait(20)


def hyperqueue(options, place):
    service = HyperQueue(options.hq, place)
    try:
        started, known = [], []
        for number in range(COMMANDS):
            out = os.path.join(place, "out%d" % number)
            wall_ns, start = time.time_ns(), time.perf_counter()
            service.run("submit", "--wait", "--stdout", out, "--stderr", "none", "--", options.noop)
            known.append(time.perf_counter() - start)
            with open(out) as text:
                started.append((started_ns(text.read()) - wall_ns) / 1e9)
        busy_ms, start = machine_ms(), time.perf_counter()
        service.run("submit", "--array", "1-%d" % EXPERIMENTS, "--wait", "--stdout", "none", "--stderr", "none",
                    "--", options.noop)
        seconds = time.perf_counter() - start
        cpu_ms = (machine_ms() - busy_ms) / EXPERIMENTS
        memory = resident_mib(service.server.pid), resident_mib(service.worker.pid)
        start = time.perf_counter()
        service.run("submit", "--wait", "--stream", os.path.join(place, "stream"), "--", options.noop, str(LOG_BYTES))
        log_seconds = time.perf_counter() - start
    finally:
        service.close()
    return {"start_ms": 1000 * statistics.median(started), "known_ms": 1000 * statistics.median(known),
            "per_second": EXPERIMENTS / seconds, "cpu_ms": cpu_ms, "log_mb": LOG_BYTES / 1e6 / log_seconds,
            "coordinator_mib": memory[0], "worker_mib": memory[1]}


def task_spooler(options, place):
    environment = dict(os.environ, TS_SOCKET=os.path.join(place, "socket"), TMPDIR=place, TS_MAXFINISHED="10000")
    tsp = lambda *arguments: subprocess.run(["tsp"] + list(arguments), env=environment, check=True,
                                            stdout=subprocess.PIPE, text=True).stdout
    tsp("-S", "2")
    started, known = [], []
    for _ in range(COMMANDS):
        wall_ns, start = time.time_ns(), time.perf_counter()
        out = tsp("-n", "-f", options.noop)
        known.append(time.perf_counter() - start)
        started.append((started_ns(out) - wall_ns) / 1e9)
    busy_ms, start = machine_ms(), time.perf_counter()
    for _ in range(EXPERIMENTS):
        tsp("-n", options.noop)
    tsp("-w")
    seconds = time.perf_counter() - start
    cpu_ms = (machine_ms() - busy_ms) / EXPERIMENTS
    tsp("-K")
    return {"start_ms": 1000 * statistics.median(started), "known_ms": 1000 * statistics.median(known),
            "per_second": EXPERIMENTS / seconds, "cpu_ms": cpu_ms}


def gate(options, place):
    """A run that ignores SIGTERM, with a budget of 1 s: when SIGTERM came, and when the tree was gone."""
    script = os.path.join(place, "stubborn.sh")
    with open(script, "w") as out:
        out.write("echo started_ns $(date +%%s%%N)\ntrap 'echo term_ns $(date +%%s%%N)' TERM\necho $$ > %s/pid\n"
                  "while :; do sleep 0.01; done\n" % place)
    service = Windlass(options.windlass, place)
    try:
        folder = service.project("gate", "sh " + script, budget="%.6f" % (1 / 60))
        campaign = service.submit(folder, "gate")
        wait_for(lambda: os.path.exists(os.path.join(place, "pid")), "the run")
        time.sleep(0.2)
        pid = int(open(os.path.join(place, "pid")).read())
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the end of the run")
        gone_ns = time.time_ns()
        service.ask("wait", campaign, "1")
        text = subprocess.run([options.windlass, "--data-dir", service.data, "--quiet", "logs", campaign, "1"],
                              stdout=subprocess.PIPE, check=True, text=True).stdout
        term_ns = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("term_ns"))
        return {"term_ms": (term_ns - started_ns(text)) / 1e6 - 1000, "gone_ms": (gone_ns - started_ns(text)) / 1e6 - 2000}
    finally:
        service.close()


def suspicion(options, place):
    """Seconds from the freeze of a worker's daemon to the word `suspected`."""
    service = Windlass(options.windlass, place)
    try:
        start = time.perf_counter()
        service.worker.send_signal(signal.SIGSTOP)
        wait_for(lambda: '"suspected"' in service.ask("workers"), "the suspicion")
        seconds = time.perf_counter() - start
        service.worker.send_signal(signal.SIGCONT)
        return {"suspected_s": seconds}
    finally:
        service.close()


def beside_a_run(options, place):
    """What the worker's daemon and its shim take of one core beside a quiet run of 20 s."""
    service = Windlass(options.windlass, place)
    try:
        folder = service.project("beside", "echo running; sleep 20; echo 'val: 1'")
        campaign = service.submit(folder, "beside")
        wait_for(lambda: '"running"' in service.ask("status", campaign), "the run")
        time.sleep(2)
        shims = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_shim(pid, service.data)]
        before, start = process_ms(service.worker.pid), time.perf_counter()
        time.sleep(15)
        percent = 100 * (process_ms(service.worker.pid) - before) / (1000 * (time.perf_counter() - start))
        return {"worker_percent": percent, "shim_mib": resident_mib(shims[0]) if shims else 0.0}
    finally:
        service.close()


def is_shim(pid, data):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except OSError:
        return False
    return "shim" in words[1:2] or any(word.startswith(data) and "/attempts/" in word for word in words)


def in_folder(measure, options):
    place = tempfile.mkdtemp()
    try:
        return measure(options, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def median(rounds, key):
    values = [one[key] for one in rounds if key in one]
    return statistics.median(values) if values else None


def main():
    parser = argparse.ArgumentParser()
    for name in ("windlass", "load", "noop", "hq"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.windlass, options.load = os.path.abspath(options.windlass), os.path.abspath(options.load)
    has_hq, has_tsp = bool(options.hq), shutil.which("tsp") is not None
    ours, queue, spooler = [], [], []
    for number in range(options.rounds):
        print("round %d of %d" % (number + 1, options.rounds), file=sys.stderr)
        one = in_folder(windlass_commands, options)
        one.update({"open_" + key: value for key, value in load(options, "latency", "100").items()})
        one.update({"rate_" + key: value for key, value in load(options, "throughput", str(EXPERIMENTS), "64", "8").items()})
        one.update({"log_" + key: value for key, value in load(options, "log", str(LOG_BYTES)).items()})
        one.update(in_folder(gate, options))
        ours.append(one)
        if has_hq:
            queue.append(in_folder(hyperqueue, options))
        if has_tsp:
            spooler.append(in_folder(task_spooler, options))
    ours[0].update(in_folder(suspicion, options))
    ours[0].update(in_folder(beside_a_run, options))
    show(ours, queue, spooler)
    for name, there in (("HyperQueue (HQ=)", has_hq), ("task-spooler (tsp)", has_tsp)):
        if not there:
            print("\nNot at hand, so not measured: %s." % name)


def show(ours, queue, spooler):
    print("Measured %s on %s, %d CPUs, Linux %s; medians of %d interleaved rounds.\n"
          % (date.today(), platform.machine(), os.cpu_count(), platform.release().split("-")[0], len(ours)))
    print("| path | Windlass | accept | aim | HyperQueue | task-spooler |\n|---|---|---|---|---|---|")
    cell = lambda value, unit: "–" if value is None else "%s%s" % (("%.1f" if value < 100 else "%.0f") % value, unit)
    rows = [
        ("client command → process started", "start_ms", " ms", "15 ms", "8 ms", "start_ms"),
        ("the same over an open connection", "open_started_ms_p50", " ms", "", "3 ms", None),
        ("client command → result known, no-op", "known_ms", " ms", "30 ms", "12 ms", "known_ms"),
        ("the same over an open connection", "open_known_ms_p50", " ms", "", "", None),
        ("`submit` accepted, durable", "submit_ms", " ms", "", "", None),
        ("no-op experiments a second", "rate_per_second", "", "400", "900", "per_second"),
        ("machine's processor time for each", "rate_machine_cpu_ms_each", " ms", "", "", "cpu_ms"),
        ("log from process to durable", "log_mb_per_second", " MB/s", "200 MB/s", "400 MB/s", "log_mb"),
        ("time gate: SIGTERM after the budget", "term_ms", " ms", "50 ms", "", None),
        ("time gate: tree gone after twice the budget", "gone_ms", " ms", "1000 ms", "100 ms", None),
        ("silent worker suspected", "suspected_s", " s", "3 s", "", None),
        ("memory of the coordinator after %d campaigns" % COMMANDS, "coordinator_mib", " MiB", "40 MiB", "25 MiB", "coordinator_mib"),
        ("memory of the worker", "worker_mib", " MiB", "25 MiB", "20 MiB", "worker_mib"),
        ("memory of a shim", "shim_mib", " MiB", "6 MiB", "4 MiB", None),
        ("a worker beside a run, of one core", "worker_percent", " %", "1 %", "", None),
    ]
    for name, key, unit, accept, aim, peer in rows:
        peers = [cell(median(one, peer), unit) if peer else "" for one in (queue, spooler)]
        print("| %s | %s | %s | %s | %s | %s |" % (name, cell(median(ours, key), unit), accept, aim, *peers))


if __name__ == "__main__":
    main()
