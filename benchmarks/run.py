"""Measures Windlass beside its peers, interleaved, and writes one Markdown table (see run.sh).

Every figure is the median over the rounds; what is measured once says so. Processor time is that of the whole
machine while the experiments ran, divided by their number: shims and runs are in it, whoever their parents are.
What is not at hand, or could not be measured, is said. Nothing here passes or fails.
"""

import argparse
import glob
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date

from peers import (COMMANDS, EXPERIMENTS, LOG_BYTES, hyperqueue, process_ms, resident_mib, started_ns, task_spooler,
                   wait_for)

CAMPAIGN = """metric: val
metric_direction: maximize
entrypoint: "%s"
editable_files: [a.txt]
gate: time
budget: %s
"""
MARK = "<!-- measured by run.sh -->"


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

    def project(self, name, entrypoint, budget="10", **scripts):
        folder = os.path.join(self.place, name)
        os.makedirs(folder, exist_ok=True)
        files = [(script + ".sh", text) for script, text in scripts.items()]
        for file, text in [("loop.run.yaml", CAMPAIGN % (entrypoint, budget)), ("a.txt", "x\n")] + files:
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


def gate(options, place):
    """A run that ignores SIGTERM, with a budget of 1 s: when SIGTERM came, and when the tree was gone."""
    script = "echo started_ns $(date +%s%N)\ntrap 'echo term_ns $(date +%s%N)' TERM\nwhile :; do sleep 0.01; done\n"
    service = Windlass(options.windlass, place)
    try:
        folder = service.project("gate", "sh stubborn.sh", budget="%.6f" % (1 / 60), stubborn=script)
        campaign = service.submit(folder, "gate")
        found = []
        wait_for(lambda: found or found.extend(running("sh", "stubborn.sh")), "the run")
        pid = found[0]
        wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the end of the run")
        gone_ns = time.time_ns()
        service.ask("wait", campaign, "1")
        text = subprocess.run([options.windlass, "--data-dir", service.data, "--quiet", "logs", campaign, "1"],
                              stdout=subprocess.PIPE, check=True, text=True).stdout
        term_ns = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("term_ns"))
        return {"term_ms": (term_ns - started_ns(text)) / 1e6 - 1000, "gone_ms": (gone_ns - started_ns(text)) / 1e6 - 2000}
    finally:
        service.close()


def running(*words):
    """The processes of this machine that were started by these words."""
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                if file.read().split(b"\0")[:-1] == [word.encode() for word in words]:
                    pids.append(int(pid))
        except OSError:  # it ended meanwhile
            pass
    return pids


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


def script(options, name, *arguments):
    """Another script of this folder: what it prints."""
    command = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), name), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def logs(options, place):
    """How far `logs --follow` lags, and the end of a log of 256 MiB."""
    text = script(options, "logs.py", options.windlass, "0.25")
    figure = lambda pattern: float(re.search(pattern, text).group(1))
    return {"lag_ms": figure(r"at most, median (\d+) ms"), "tail_ms": figure(r"tail, compressed: +(\d+) ms")}


def edit(options, place):
    """A lever of five files in a workspace of 5,000, on one warm worker."""
    levers = json.loads(script(options, "edit.py", "--windlass", options.windlass, "--levers", "20", "--json"))
    milliseconds = sorted(lever["asked_to_running_ms"] for lever in levers)
    return {"edit_ms": statistics.median(milliseconds), "edit_most_ms": milliseconds[-1],
            "edit_moved": statistics.median(lever["moved_bytes"] / lever["edited_bytes"] for lever in levers)}


def restart(options, place):
    """A start on a ledger of 100,000 decided iterations: with every record replayed, and from a snapshot."""
    folder = os.path.join(place, "ledger")
    subprocess.run([options.micro, "make", folder, "100000"], stdout=subprocess.DEVNULL, check=True)
    starts = []
    for _ in range(4):
        text = subprocess.run([options.micro, "open", folder], stdout=subprocess.PIPE, check=True, text=True).stdout
        ready, memory = re.search(r"ready after (\d+) ms", text), re.search(r"VmRSS: (\d+)", text)
        starts.append((float(ready.group(1)), int(memory.group(1)) / 1024))
    return {"replay_ms": starts[0][0], "restart_ms": statistics.median(ms for ms, _ in starts[1:]),
            "restart_mib": statistics.median(mib for _, mib in starts[1:])}


def placement(options, place):
    """The core by itself, by criterion."""
    command = [options.placement, "--bench", "--noplot", "--warm-up-time", "1", "--measurement-time", "5"]
    subprocess.run(command, cwd=place, env=dict(os.environ, CRITERION_HOME=place), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    found = {}
    for path in glob.glob(os.path.join(place, "**", "new", "estimates.json"), recursive=True):
        with open(path) as file:
            median_ns = json.load(file)["median"]["point_estimate"]
        is_pass = "full pass" in path
        found["pass_ms" if is_pass else "change_us"] = median_ns / (1e6 if is_pass else 1e3)
    return found


def attempt(measure, options, problems):
    """One measurement; what it could not is said under the table."""
    try:
        return in_folder(measure, options)
    except Exception as problem:  # one that fails must not cost the others
        problems.append("%s: %s" % (measure.__name__, str(problem).strip().splitlines()[-1] if str(problem).strip() else problem))
        return {}


def in_folder(measure, options):
    place = tempfile.mkdtemp()
    try:
        return measure(options, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def median(rounds, key):
    values = [one[key] for one in rounds if key in one]
    return statistics.median(values) if values else None


def throughput(options, binary):
    done = subprocess.run([options.load, binary, options.noop, "throughput", str(EXPERIMENTS), "64", "8"],
                          stdout=subprocess.PIPE, check=True, text=True)
    return {"rate_" + key: value for key, value in json.loads(done.stdout).items()}


def main():
    parser = argparse.ArgumentParser()
    for name in ("windlass", "load", "noop", "micro", "placement", "hq", "base", "write"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.windlass, options.load = os.path.abspath(options.windlass), os.path.abspath(options.load)
    began, problems = time.monotonic(), []
    has_hq, has_tsp = bool(options.hq), shutil.which("tsp") is not None
    ours, queue, spooler, base = [], [], [], []
    for number in range(options.rounds):
        print("round %d of %d" % (number + 1, options.rounds), file=sys.stderr)
        one = in_folder(windlass_commands, options)
        one.update({"open_" + key: value for key, value in load(options, "latency", "100").items()})
        one.update(throughput(options, options.windlass))
        if options.base:
            base.append(throughput(options, options.base))
        one.update({"log_" + key: value for key, value in load(options, "log", str(LOG_BYTES)).items()})
        one.update(attempt(gate, options, problems))
        ours.append(one)
        if has_hq:
            queue.append(attempt(hyperqueue, options, problems))
        if has_tsp:
            spooler.append(attempt(task_spooler, options, problems))
    once = [suspicion, beside_a_run, logs, edit]
    once += [restart] if options.micro else []
    once += [placement] if options.placement else []
    for measure in once:
        print(measure.__name__, file=sys.stderr)
        ours[0].update(attempt(measure, options, problems))
    missing = [name for name, there in (("HyperQueue (HQ=)", has_hq), ("task-spooler (tsp)", has_tsp)) if not there]
    text = table(ours, queue, spooler, base, time.monotonic() - began)
    text += "".join("\nNot at hand, so not measured: %s.\n" % name for name in missing)
    text += "".join("\nCould not be measured: %s.\n" % problem for problem in problems)
    print(text)
    if options.write:
        write(options.write, text)


def write(path, text):
    """Puts the table between the marks of a file, in the place of the last one."""
    with open(path) as file:
        before, _, rest = file.read().partition(MARK)
    after = rest.partition(MARK)[2]
    with open(path + ".new", "w") as file:
        file.write("%s%s\n%s%s%s" % (before.rstrip() + "\n\n", MARK, text, MARK, after or "\n"))
    os.replace(path + ".new", path)


def table(ours, queue, spooler, base, seconds):
    lines = ["Measured %s on %s, %d CPUs, Linux %s, in %.0f s; medians of %d interleaved rounds. Rows with * were "
             "measured once.\n" % (date.today(), platform.machine(), os.cpu_count(),
                                   platform.release().split("-")[0], seconds, len(ours)),
             "| path | Windlass | accept | aim | HyperQueue | task-spooler |", "|---|---|---|---|---|---|"]

    def cell(value, unit):
        if value is None:
            return "–"
        return "%s%s" % (("%.2f" if value < 10 else "%.1f" if value < 100 else "%.0f") % value, unit)

    rows = [
        ("client command → process started", "start_ms", " ms", "15 ms", "8 ms", "start_ms"),
        ("the same over an open connection", "open_started_ms_p50", " ms", "", "3 ms", None),
        ("client command → result known, no-op", "known_ms", " ms", "30 ms", "12 ms", "known_ms"),
        ("the same over an open connection", "open_known_ms_p50", " ms", "", "", None),
        ("`submit` accepted, durable", "submit_ms", " ms", "", "", None),
        ("no-op experiments a second", "rate_per_second", "", "400", "900", "per_second"),
        ("machine's processor time for each", "rate_machine_cpu_ms_each", " ms", "", "", "cpu_ms"),
        ("of it the coordinator's", "rate_coordinator_cpu_ms_each", " ms", "", "", None),
        ("of it the worker daemon's", "rate_worker_cpu_ms_each", " ms", "", "", None),
        ("log from process to durable", "log_mb_per_second", " MB/s", "200 MB/s", "400 MB/s", "log_mb"),
        ("lag of `logs --follow` *", "lag_ms", " ms", "250 ms", "", None),
        ("`logs --tail 20` of 256 MiB, compressed *", "tail_ms", " ms", "100 ms", "", None),
        ("5-file edit of 5,000 files to one warm worker, median *", "edit_ms", " ms", "", "", None),
        ("the slowest of 20 *", "edit_most_ms", " ms", "500 ms", "300 ms", None),
        ("bytes sent to the worker for each edited byte, orders and all *", "edit_moved", "", "", "2", None),
        ("placement, 10,000 × 8 GPUs, 100,000 queued, a full pass *", "pass_ms", " ms", "50 ms", "10 ms", None),
        ("placement, one change *", "change_us", " µs", "", "100 µs", None),
        ("restart with 100,000 decided iterations *", "restart_ms", " ms", "1000 ms", "300 ms", None),
        ("the same with every record replayed *", "replay_ms", " ms", "", "", None),
        ("memory after it *", "restart_mib", " MiB", "100 MB", "60 MB", None),
        ("time gate: SIGTERM after the budget", "term_ms", " ms", "50 ms", "", None),
        ("time gate: tree gone after twice the budget", "gone_ms", " ms", "1000 ms", "100 ms", None),
        ("silent worker suspected *", "suspected_s", " s", "3 s", "", None),
        ("memory of the coordinator after %d campaigns" % COMMANDS, "coordinator_mib", " MiB", "40 MB", "25 MB",
         "coordinator_mib"),
        ("memory of the worker", "worker_mib", " MiB", "25 MB", "20 MB", "worker_mib"),
        ("memory of a shim *", "shim_mib", " MiB", "6 MB", "4 MB", None),
        ("a worker beside a run, of one core *", "worker_percent", " %", "1 %", "", None),
    ]
    for name, key, unit, accept, aim, peer in rows:
        peers = [cell(median(one, peer), unit) if peer else "" for one in (queue, spooler)]
        lines.append("| %s | %s | %s | %s | %s | %s |" % (name, cell(median(ours, key), unit), accept, aim, *peers))
    if base:
        key = "rate_machine_cpu_ms_each"
        lines.append("\nAn earlier binary in the same rounds: %s experiments a second, %s of processor time for each."
                     % (cell(median(base, "rate_per_second"), ""), cell(median(base, key), " ms")))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
