#!/usr/bin/env python3
"""Benchmarks side by side with their peers: ./dev bench [--quick] [engine] [gateway] [latency] [idle] [picker] [routing] [soak]

Each scenario writes bench/results/<scenario>.json (every run, and the machine) and .md (medians, spread, ratio to the
peer, target). Peers come from the package registry into a virtual environment of their own; everything listens on
loopback and is gone at the end, also after Ctrl-C. soak runs when it is named: half an hour, or --minutes.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import engine
import gateway
import idle
import picker
import routing
import soak
from plan import Missing, Plan

SCENARIOS = {
    "engine": engine.run,
    "gateway": gateway.run,
    "latency": gateway.run_latency,
    "idle": idle.run,
    "picker": picker.run,
    "routing": routing.run,
}
ON_REQUEST = {"soak": soak.run}
ROOT = Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n\n", 1)[1])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}, all by default; {', '.join(ON_REQUEST)}")
    parser.add_argument("--quick", action="store_true", help="short runs: a look, not a record")
    parser.add_argument("--out", type=Path, help="where results go (default: bench/results; with --quick: build/bench)")
    parser.add_argument("--seconds", type=int, help="of one run, instead of 20 or 60; results say how long theirs were")
    parser.add_argument("--minutes", type=float, default=30, help="how long soak runs")
    arguments = parser.parse_args()
    known = SCENARIOS | ON_REQUEST
    for name in arguments.scenarios:
        if name not in known:
            parser.error(f"unknown scenario '{name}'; there are: {', '.join(known)}")
    return arguments


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that every process is ended
    build = ROOT / "build" / os.environ.get("LLMD_PRESET", "release")
    out = arguments.out or (ROOT / "build" / "bench" if arguments.quick else ROOT / "bench" / "results")
    plan = Plan(root=ROOT, build=build, out=out, quick=arguments.quick, minutes=arguments.minutes,
                run_seconds=arguments.seconds)
    failed = []
    for name in arguments.scenarios or SCENARIOS:
        print(f"== {name}", flush=True)
        try:
            (SCENARIOS | ON_REQUEST)[name](plan)
        except Missing as missing:
            failed.append(name)
            print(f"{name}: NOT MEASURED: {missing}", file=sys.stderr, flush=True)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"{name}: NOT MEASURED: {error}\n{error.stderr or ''}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
