#!/usr/bin/env bash
# What only a real GPU can show: the inventory, a run on the leased UUID (PyTorch, else the CUDA driver
# itself), memory that is clean after a kill, telemetry. Needs the built binary, bash, and for the runs
# python3; where torch is missing, ctypes on libcuda holds the memory. Runs unattended.
#
#   tests/gpu/run.sh WINDLASS FINDINGS
#
# FINDINGS gets one line for each finding. Without a GPU the finding is "no GPU" and the exit code is 0;
# else it is 0 when every check held and 1 when one did not.
set -uo pipefail

if [ $# -ne 2 ]; then
    echo "usage: $0 WINDLASS FINDINGS" >&2
    exit 2
fi
windlass=$(realpath "$1") || exit 2
findings=$(realpath -m "$2")
# Far beyond what any step needs: it only ends a script that hangs.
patience=180

dir=$(mktemp -d "${TMPDIR:-/tmp}/windlass-gpu-XXXXXX")
pids=()
finish() {
    for pid in "${pids[@]+"${pids[@]}"}"; do
        kill -INT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$dir"
}
trap finish EXIT

: > "$findings"
failed=0
found() { printf '%s\n' "$*" | tee -a "$findings"; }
good() { found "ok: $*"; }
bad() { found "FAILED: $*"; failed=1; }
# verdict CONDITION-STATUS WHAT
verdict() { if [ "$1" = 0 ]; then good "$2"; else bad "$2"; fi; }

client() { "$windlass" --data-dir "$dir/data" "$@"; }
# now_ms: a clock for figures, not for checks.
now_ms() { date +%s%3N; }
# until_true WHAT COMMAND...: waits for a condition.
until_true() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            bad "waited in vain for $what"
            return 1
        fi
        sleep 0.2
    done
}

found "windlass $("$windlass" --version 2>/dev/null | awk '{print $2}'), $(date -u +%Y-%m-%dT%H:%MZ)"
"$windlass" --data-dir "$dir/data" coordinator >"$dir/coordinator.log" 2>&1 &
pids+=($!)
"$windlass" --data-dir "$dir/data" worker --name gpu-check --work-dir "$dir/work" >"$dir/worker.log" 2>&1 &
pids+=($!)

workers() { client --output json workers; }
has_devices() { workers | grep -q '"devices":[^]]*"id"'; }
until_true "the worker" has_devices || { tail -5 "$dir"/*.log >> "$findings"; exit 1; }

# ---- the inventory

uuids=$(workers | grep -o '"id": *"\(GPU\|MIG\)-[^"]*"' | sed 's/.*"\([^"]*\)"$/\1/' | sort -u)
if [ -z "$uuids" ]; then
    found "no GPU: NVML is not here or shows none; nothing was checked"
    exit 0
fi
count=$(printf '%s\n' "$uuids" | wc -l)
found "devices: $count: $(printf '%s' "$uuids" | tr '\n' ' ')"
found "listing: $(workers | tr -d '\n' | cut -c1-4000)"
if command -v nvidia-smi >/dev/null 2>&1; then
    smi=$(nvidia-smi -L | grep -o '\(GPU\|MIG\)-[0-9a-fA-F-]*' | sort -u)
    strange=0
    for uuid in $uuids; do
        printf '%s\n' "$smi" | grep -qx "$uuid" || strange=1
    done
    verdict $strange "every device is one that nvidia-smi names"
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)
    workers | grep -q "\"driver\": *\"$driver\""
    verdict $? "the driver's version is $driver, as nvidia-smi says"
else
    found "nvidia-smi is not here: the inventory is not compared"
fi
workers | grep -q '"compute_capability"'
verdict $? "the compute capability is read"
workers | grep -q '"pci"'
verdict $? "the PCI address is read"

# ---- a run on the leased UUID

if ! command -v python3 >/dev/null 2>&1; then
    found "python3 is not here: no run holds memory of a GPU, so nothing more was checked"
    [ "$failed" = 0 ]
    exit
fi

mkdir -p "$dir/project"
cat > "$dir/project/hold.py" <<'PY'
"""Holds a gibibyte of the GPU that it is shown; works on it for some seconds, or ignores its end."""
import ctypes, os, signal, sys, time

how = sys.argv[1]
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("visible", os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"), flush=True)
try:
    import torch
    assert torch.cuda.is_available()
except Exception:
    torch = None
if torch:
    print("with torch", torch.__version__, "devices", torch.cuda.device_count(), flush=True)
    held = torch.ones(1 << 28, dtype=torch.float32, device="cuda")
    square = torch.rand(4096, 4096, device="cuda")
    def work():
        global square
        square = (square @ square).clamp(0, 1)
        torch.cuda.synchronize()
else:
    cuda = ctypes.CDLL("libcuda.so.1")
    def call(name, *arguments):
        code = getattr(cuda, name)(*arguments)
        assert code == 0, f"{name}: {code}"
    count, device, context, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    print("with libcuda, devices", count.value, flush=True)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(1 << 30))
    def work():
        call("cuMemsetD8_v2", memory, 7, ctypes.c_size_t(1 << 30))
        call("cuCtxSynchronize")
until = time.monotonic() + (8 if how == "work" else 600)
while time.monotonic() < until:
    work()
print("held: 1.0")
PY

# campaign NAME HOW MINUTES: its id.
campaign() {
    local project="$dir/campaign-$1"
    cp -r "$dir/project" "$project"
    cat > "$project/loop.run.yaml" <<YAML
metric: held
metric_direction: maximize
run_cmd: python3 hold.py $2
editable_files: [hold.py]
gate: time
budget: $3
windlass:
  name: $1
  resources: {gpus: 1}
  stop: {iterations: 1}
YAML
    client --output json submit "$project" | grep -o '"campaign": *"[^"]*"' | head -1 | sed 's/.*"\([^"]*\)"$/\1/'
}
decided() { client --output json results "$1" --format json | grep -q '"iteration": *1'; }
all_free() {
    local free
    free=$(workers | grep -o '"state": *"free"' | wc -l)
    [ "$free" -ge "$count" ]
}
until_true "every device to be free" all_free

work=$(campaign work work 2)
if [ -n "$work" ] && until_true "the run's decision" decided "$work"; then
    log=$(client logs "$work" 1)
    found "the run's log: $(printf '%s' "$log" | tr '\n' '|' | cut -c1-500)"
    leased=$(printf '%s\n' "$log" | sed -n 's/^visible \(.*\) PCI_BUS_ID$/\1/p')
    printf '%s\n' "$uuids" | grep -qx "$leased"
    verdict $? "the run saw one leased UUID: $leased"
    printf '%s\n' "$log" | grep -q 'devices 1$'
    verdict $? "CUDA showed it exactly that one device"
    printf '%s\n' "$log" | grep -q '^held: 1.0$'
    verdict $? "the run held a gibibyte and finished"
else
    bad "the run was not submitted or not decided"
fi

# ---- telemetry

if client get "$work" 1 results/telemetry.tsv -o "$dir/telemetry.tsv" >/dev/null 2>&1 ||
    client get "$work" 1 telemetry.tsv > "$dir/telemetry.tsv" 2>/dev/null; then
    found "telemetry: $(head -2 "$dir/telemetry.tsv" | tr '\t\n' ' |'), $(($(wc -l < "$dir/telemetry.tsv") - 1)) rows"
    [ "$(wc -l < "$dir/telemetry.tsv")" -ge 2 ]
    verdict $? "telemetry has rows"
    # The most that a column of that name ever says.
    most() {
        awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
            NR > 1 && at && $at + 0 > most { most = $at + 0 } END { printf "%.0f\n", most }' "$dir/telemetry.tsv"
    }
    [ "$(most gpu0_memory_bytes)" -ge 1073741824 ]
    verdict $? "telemetry saw the gibibyte that was held"
    [ "$(most gpu0_utilization_percent)" -gt 0 ]
    verdict $? "telemetry saw the GPU at work: $(most gpu0_utilization_percent) %"
    found "power at most $(most gpu0_power_w) W, temperature at most $(most gpu0_temperature_c) C"
else
    bad "the run left no telemetry"
fi

# ---- memory clean after a kill

until_true "every device to be free" all_free
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | tr '\n' ' '; }
before=$(used)
# 3 s, ignored; killed at 6 s.
kill_it=$(campaign kill stubborn 0.05)
if [ -n "$kill_it" ] && until_true "the killed run's decision" decided "$kill_it"; then
    client --output json show "$kill_it" 1 | grep -q '"hard_timeout"'
    verdict $? "a run that ignores SIGTERM is killed at twice its budget"
    start=$(now_ms)
    if until_true "every device to be free after the kill" all_free; then
        good "the GPU is free again $(($(now_ms) - start)) ms after the decision"
    fi
    found "memory in use before and after, MiB: $before/ $(used)"
    pgrep -f "hold.py stubborn" >/dev/null
    [ $? = 1 ]
    verdict $? "no process of it is left"
else
    bad "the run that is to be killed was not submitted or not decided"
fi

if [ "$failed" = 0 ]; then found "verdict: every check held"; else found "verdict: a check did not hold"; fi
[ "$failed" = 0 ]
