"""What the numbers were measured on; written into every result."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def describe(root):
    cpu = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    flags = next((set(line.split()) for line in open("/proc/cpuinfo") if line.startswith("flags")), set())
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "vector_extensions": sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"}),
        "memory_gib": round(memory / 2**20, 1),
        "kernel": platform.release(),
        "system": system_name(),
        "load_before": os.getloadavg()[0],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(root),
    }


def system_name():
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME")), "")


def commit(root):
    asked = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return asked.stdout.strip()
