"""Engines that pretend (`llmd serve --simulate`), one per loopback address, ready when the block begins."""

import contextlib

import processes


@contextlib.contextmanager
def running(plan, addresses, port, model, options):
    with contextlib.ExitStack() as stack:
        started = []
        for address in addresses:
            command = [plan.llmd, "serve", model, "--simulate", "--host", address, "--port", port, *options]
            log = plan.build / "bench" / f"engine-{address}.log"
            started.append((address, stack.enter_context(processes.running(command, log))))
        for address, process in started:
            processes.wait_ready(f"http://{address}:{port}/health", process)
        yield
