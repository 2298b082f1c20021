"""The peers beside which Windlass is measured, and what measuring shares (see run.py)."""

import os
import statistics
import subprocess
import time

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


class HyperQueue:
    """A server with a journal and a worker; everything synced as its defaults have it."""

    def __init__(self, binary, place):
        self.binary, self.place = binary, place
        self.environment = dict(os.environ, HQ_SERVER_DIR=os.path.join(place, "hq"))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": self.environment, "cwd": place}
        journal = os.path.join(place, "journal")
        self.server = subprocess.Popen([binary, "server", "start", "--journal", journal], **quiet)
        wait_for(lambda: self.run("server", "info", check=False).returncode == 0, "HyperQueue's server")
        self.worker = subprocess.Popen([binary, "worker", "start", "--cpus", "8", "--detect-resources", "none"], **quiet)
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
