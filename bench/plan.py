"""How long and how often to measure, and where things are."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """Something a scenario needs is not there; the text says what, and what would bring it."""


@dataclass
class Plan:
    root: Path
    build: Path
    out: Path
    quick: bool = False
    minutes: float = 30  # of soak
    run_seconds: int | None = None  # instead of the usual length

    @property
    def rounds(self):
        return 2 if self.quick else 5

    @property
    def seconds(self):
        """Of one run."""
        return self.run_seconds or (3 if self.quick else 20)

    @property
    def long_seconds(self):
        """Where a 99th percentile or an idle share is asked for."""
        return self.run_seconds or (5 if self.quick else 60)

    @property
    def llmd(self):
        binary = self.build / "llmd"
        if not binary.exists():
            raise Missing(f"{binary} is not built: ./dev build llmd")
        return binary

    def need_commands(self, *commands):
        """Each is a command line whose --help must succeed, e.g. 'gateway'."""
        for command in commands:
            asked = subprocess.run([self.llmd, *command.split(), "--help"], capture_output=True, text=True, timeout=30)
            if asked.returncode != 0:
                reason = (asked.stderr or asked.stdout).strip().split("\n")[0]
                raise Missing(f"this llmd has no working `llmd {command}`: {reason}")

    def model(self):
        """SmolLM2, fetched by llmd itself; LLMD_SMOLLM2 names another file."""
        if path := os.environ.get("LLMD_SMOLLM2"):
            return Path(path)
        path = cache_folder() / "test-models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
        if not path.exists():
            subprocess.run([self.root / "tools" / "fetch_test_models", self.llmd], check=True)
        if not path.exists():
            raise Missing(f"{path}: the model could not be fetched; LLMD_SMOLLM2=FILE names one")
        return path


def cache_folder():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmd"
