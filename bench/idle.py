"""What `llmd up` costs when nobody asks anything: its quickstart, ready, then left alone.

Counted is every process of its tree but the engines themselves; their shims are counted.
"""

import os
import tempfile
import time

import processes
import report

PATIENCE = 900  # seconds until ready: the first run fetches the model


def is_engine(pid):
    return processes.command_line(pid)[1:2] == ["serve"]


def counted(root):
    return [pid for pid in processes.tree(root) if not is_engine(pid)]


def measure(root, seconds):
    before = {pid: processes.cpu_seconds(pid) for pid in counted(root)}
    began = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    now = counted(root)
    used = sum(processes.cpu_seconds(pid) - before.get(pid, 0.0) for pid in now)
    return {
        "pss_mib": sum(map(processes.pss_bytes, now)) / 2**20,
        "cpu_percent": 100 * used / elapsed,
        "processes": [" ".join(processes.command_line(pid)[:5]) for pid in now],
    }


def run(plan):
    plan.need_commands("up")
    port = processes.free_port()
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as state:
        command = [plan.llmd, "up", plan.root / "examples" / "quickstart.yaml", "--port", port, "--api-port", "0"]
        log = plan.build / "bench" / "up.log"
        # State of its own; the model cache is the user's, so that nothing is fetched twice.
        with processes.running([str(word) for word in command], log, env=os.environ | {"XDG_STATE_HOME": state}) as up:
            processes.wait_ready(f"http://127.0.0.1:{port}/default/smollm2/v1/models", up, PATIENCE, pause=0.5)
            time.sleep(2 if plan.quick else 10)  # what starting left behind is not idle
            result = measure(up.pid, plan.long_seconds)
    memory = report.Figure("idle memory (PSS) without the engines", "MiB", [result["pss_mib"]], at_most=60)
    memory.note = "; ".join(result["processes"]).replace(f"{plan.root}/", "")  # a record names no machine's folders
    cpu = report.Figure("idle CPU without the engines", "% of a core", [result["cpu_percent"]], at_most=1)
    report.write(plan, "idle", [memory, cpu], {"one run of": f"{plan.long_seconds} s"})
