"""The engine against llama.cpp: the same file, threads, context and token counts, no sampling on either side.

    decode N     one token for each of N sequences, with 64 tokens of context each; tokens per second of all
    prefill 512  one prompt of 512 tokens into an empty cache
    start        `llmd serve` from exec to the first 200 of /health, the file in the page cache
"""

import json
import os
import subprocess
import time
from pathlib import Path

import peers
import processes
import report

THREADS = 2
SCENARIOS = [  # title, our benchmark, peer's arguments, ratio to reach
    ("decode, 1 sequence", "Decode/1/", ["decode", "1"], 1.0),
    ("prefill, 512 tokens", "Prefill/512/", ["prefill", "512"], 1.5),
    ("decode, 8 sequences", "Decode/8/", ["decode", "8"], 1.5),
]


def ours(plan, model, benchmark, seconds):
    command = [
        plan.build / "src" / "engine" / "model" / "engine_model_bench",
        f"--benchmark_filter=^{benchmark}",
        f"--benchmark_min_time={seconds}",
        "--benchmark_format=json",
    ]
    variables = os.environ | {"LLMD_SMOLLM2": str(model), "LLMD_THREADS": str(THREADS)}
    answer = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    [result] = json.loads(answer.stdout)["benchmarks"]
    return result["items_per_second"]


def llama(python, model, arguments, seconds, flash):
    script = Path(__file__).with_name("llama_peer.py")
    command = [python, script, model, *arguments, str(THREADS), str(seconds), "1" if flash else "0"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)["tokens_per_second"]


def measure(plan, model, python):
    for title, benchmark, arguments, ratio in SCENARIOS:
        # The peer gets whichever attention is faster for it here.
        trial = {flash: llama(python, model, arguments, min(plan.seconds, 5), flash) for flash in (False, True)}
        flash = trial[True] > trial[False]
        figure = report.Figure(title, "tok/s", [], [], "llama.cpp", at_least=ratio)
        figure.note = f"llama.cpp with flash attention {'on' if flash else 'off'}, the faster of the two"
        for _ in range(plan.rounds):
            figure.ours.append(ours(plan, model, benchmark, plan.seconds))
            figure.peer.append(llama(python, model, arguments, plan.seconds, flash))
            print(f"{title}: llmd {figure.ours[-1]:.1f}, llama.cpp {figure.peer[-1]:.1f} tok/s", flush=True)
        yield figure


def start_to_ready(plan, model):
    model.read_bytes()  # into the page cache
    port = processes.free_port()
    began = time.monotonic()
    command = [plan.llmd, "serve", model, "--host", "127.0.0.1", "--port", port]
    with processes.running(command, plan.build / "bench" / "serve.log") as engine:
        processes.wait_ready(f"http://127.0.0.1:{port}/health", engine, pause=0.005)
        return time.monotonic() - began


def run(plan):
    subprocess.run([plan.root / "dev", "build", "engine_model_bench"], check=True, stdout=subprocess.DEVNULL)
    model = plan.model()
    figures = list(measure(plan, model, peers.llama_python()))
    plan.need_commands("serve")
    runs = [start_to_ready(plan, model) for _ in range(plan.rounds)]
    figures.append(report.Figure("engine start to ready, weights in page cache", "s", runs, at_most=1.0))
    report.write(plan, "engine", figures, {"model": model.name, "threads": THREADS, "peer": peers.LLAMA})
