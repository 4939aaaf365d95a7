"""The gateway under mixed load for a long time: does its memory stay where it is?

Short and long prompts, long answers and a steady rate of requests run side by side against eight instant engines;
every ten seconds the resident memory, the descriptors and the connections are noted. Flat means: the median of the
last quarter is at most 5 % and 4 MiB above that of the second; the first is warm-up.
"""

import json
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import gateway
import gateway_config
import machine
import processes
from plan import Missing

PAUSE = 10  # seconds between two looks
LOADS = [
    ("1 KB, 100/s", {"--rate": 100, "--concurrency": 64}),
    ("1 KB, 8 clients", {"--concurrency": 8}),
    ("220 KB, 4 clients", {"--prompt-bytes": 220 << 10, "--concurrency": 4}),
    ("450 KB, 90 % shared, 2 clients",
     {"--prompt-bytes": 45 << 10, "--prefix-groups": 4, "--prefix-bytes": 405 << 10, "--concurrency": 2}),
    ("answers of 4,000 tokens, 2 clients", {"--max-tokens": 4000, "--concurrency": 2}),
]


def look(pid, began):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {
        "seconds": round(time.monotonic() - began),
        "rss_mib": int(status["VmRSS"].split()[0]) / 1024,
        "anonymous_mib": int(status["RssAnon"].split()[0]) / 1024,
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "cpu_seconds": processes.cpu_seconds(pid),
    }


def start_loads(plan, url, seconds, folder):
    started = []
    for number, (title, arguments) in enumerate(LOADS):
        options = [word for pair in (gateway.REQUEST | arguments).items() for word in pair]
        command = [plan.llmd, "bench", "load", "--url", url, "--ignore-eos", "--stream", *options]
        command += ["--warmup", "1s", "--duration", f"{seconds}s"]
        output = open(folder / f"load-{number}.json", "w+")
        started.append((title, subprocess.Popen([str(word) for word in command], stdout=output), output))
    return started


def end_loads(loads):
    """What each load did, and whether every request of it succeeded."""
    done = []
    for title, process, output in loads:
        process.wait(60)
        output.seek(0)
        result = json.loads(output.read() or "{}")
        output.close()
        done.append({"load": title, "requests": result.get("requests", 0), "failed": result.get("failed", 0),
                     "errors": result.get("errors", {}), "status": process.returncode})
    return done


def quarter(samples, number):
    size = len(samples) // 4
    return statistics.median(each["rss_mib"] for each in samples[number * size:(number + 1) * size])


def is_flat(samples):
    return quarter(samples, 3) <= quarter(samples, 1) * 1.05 + 4


def watch(pid, loads, pause):
    began = time.monotonic()
    samples = []
    while any(process.poll() is None for _, process, _ in loads):
        time.sleep(pause)
        samples.append(look(pid, began))
        last = samples[-1]
        print(f"{last['seconds']:5} s: {last['rss_mib']:.1f} MiB, {last['descriptors']} descriptors", flush=True)
    return samples


def write(plan, minutes, samples, loads):
    described = machine.describe(plan.root)
    second, last = quarter(samples, 1), quarter(samples, 3)
    rows = "\n".join(f"| {each['load']} | {each['requests']} | {each['failed']} |" for each in loads)
    every = max(1, len(samples) // 20)
    memory = "\n".join(f"| {each['seconds']} | {each['rss_mib']:.1f} | {each['descriptors']} |"
                       for each in samples[::-every][::-1])
    verdict = "flat" if is_flat(samples) else "**not flat**"
    text = (f"# soak\n\n{minutes:g} minutes of mixed load on `llmd gateway`; resident memory in the second quarter "
            f"{second:.1f} MiB, in the last {last:.1f} MiB: {verdict}.\n\n"
            f"| Load | Requests | Failed |\n|---|---|---|\n{rows}\n\n"
            f"| Seconds | RSS, MiB | Descriptors |\n|---|---|---|\n{memory}\n\n"
            f"{described['cpu']}, {described['cores']} cores, {described['system']}, Linux {described['kernel']}, "
            f"{described['date']}, load before {described['load_before']:.2f}, commit {described['commit']}.\n")
    plan.out.mkdir(parents=True, exist_ok=True)
    record = {"minutes": minutes, "machine": described, "flat": is_flat(samples), "loads": loads, "samples": samples}
    (plan.out / "soak.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (plan.out / "soak.md").write_text(text)
    print(f"second quarter {second:.1f} MiB, last quarter {last:.1f} MiB: {verdict}", flush=True)


def run(plan):
    plan.need_commands("serve", "bench", "gateway")
    seconds = round(plan.minutes * 60)
    with tempfile.TemporaryDirectory(prefix="llmd-soak-") as name, ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(gateway.engines(plan))
        manifests = gateway_config.write_manifests(folder / "manifests", gateway.ADDRESSES, gateway.ENGINE_PORT)
        port = processes.free_port()
        command = [plan.llmd, "gateway", "-f", manifests, "--host", "127.0.0.1", "--port", port, "--admin", "none"]
        process = stack.enter_context(processes.running(command, plan.build / "bench" / "soak.log"))
        url = f"http://127.0.0.1:{port}"
        processes.wait_ready(f"{url}/v1/models", process)
        loads = start_loads(plan, url, seconds, folder)
        for _, load, _ in loads:
            stack.callback(load.kill)
        samples = watch(process.pid, loads, min(PAUSE, max(1, seconds / 16)))
        done = end_loads(loads)
    if len(samples) < 8:
        raise Missing(f"only {len(samples)} looks at its memory: --minutes is too little")
    write(plan, plan.minutes, samples, done)
    for each in done:
        print(f"{each['load']}: {each['requests']} requests, {each['failed']} failed {each['errors'] or ''}", flush=True)
    if not is_flat(samples) or any(each["failed"] or each["status"] for each in done):
        raise Missing("memory is not flat, or requests failed; see soak.md")
