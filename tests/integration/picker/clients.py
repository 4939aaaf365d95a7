"""A stock gRPC client (PyPI grpcio) with stubs generated from src/envoy/proto, in an environment of its own.

Where the package index cannot be reached, tests are skipped loudly (exit code 77).
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llmd" / "conformance"
PACKAGES = ["grpcio>=1.60,<2", "grpcio-tools>=1.60,<2"]
SKIPPED = 77


def python_with_grpc():
    """The interpreter of the environment that has the client; None where it cannot be made."""
    environment = CACHE / "grpc-client"
    python = environment / "bin" / "python"

    def works():
        asked = [python, "-c", "import grpc, grpc_tools"]
        return python.exists() and subprocess.run(asked, capture_output=True, check=False).returncode == 0

    if works():
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True, capture_output=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=False)
    return python if works() else None


def run_inside(script):
    """Runs the test script again with the interpreter that has the client."""
    if os.environ.get("LLMD_GRPC_CLIENT"):
        return
    python = python_with_grpc()
    if python is None:
        print(f"SKIPPED: {script}: grpcio cannot be installed from the package index", file=sys.stderr)
        sys.exit(SKIPPED)
    os.execve(python, [str(python), *sys.argv], os.environ | {"LLMD_GRPC_CLIENT": "1"})


def generate_stubs(folder):
    """Generates the stubs and makes them importable."""
    from grpc_tools import protoc
    import grpc_tools

    protos = ROOT / "src" / "envoy" / "proto"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    for name in ["ext_proc.proto", "health.proto"]:
        arguments = ["protoc", f"-I{protos}", f"-I{well_known}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
        if protoc.main([*arguments, name]) != 0:
            raise RuntimeError(f"protoc failed on {name}")
    sys.path.insert(0, str(folder))
