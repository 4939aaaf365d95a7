#!/usr/bin/env python3
"""Pretends to be the /metrics of many vLLM servers: pages of 100 KB whose numbers change from one to the next.

    metrics_pages.py PORT      serves every address of 127.0.0.0/8; /count says how many pages it has served
"""

import asyncio
import itertools
import sys

PAGE_BYTES = 100_000
VARIANTS = 97


def page(number):
    lines = []
    wanted = [
        f'vllm:num_requests_running{{engine="0",model_name="bench"}} {number % 13}.0',
        f'vllm:num_requests_waiting{{engine="0",model_name="bench"}} {number % 7}.0',
        f'vllm:kv_cache_usage_perc{{engine="0",model_name="bench"}} {number / VARIANTS:.4f}',
        'vllm:cache_config_info{block_size="16",num_gpu_blocks="31250"} 1.0',
    ]
    size = sum(map(len, wanted))
    for line in itertools.count():
        text = f'vllm:request_latency_seconds_bucket{{engine="0",le="{line}",model_name="bench"}} {line + number}.0'
        size += len(text) + 1
        if size > PAGE_BYTES:
            break
        lines.append(text)
    middle = len(lines) // 2
    return "\n".join(lines[:middle] + wanted + lines[middle:]).encode() + b"\n"


def answer(body):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Pages(asyncio.Protocol):
    turns = [answer(page(number)) for number in range(VARIANTS)]
    served = 0

    def connection_made(self, transport):
        self.transport = transport
        self.begun = b""

    def data_received(self, data):
        self.begun += data
        while b"\r\n\r\n" in self.begun:
            head, _, self.begun = self.begun.partition(b"\r\n\r\n")
            if head.startswith(b"GET /count"):
                self.transport.write(answer(str(Pages.served).encode()))
                continue
            self.transport.write(Pages.turns[Pages.served % VARIANTS])
            Pages.served += 1


async def main():
    server = await asyncio.get_running_loop().create_server(Pages, "0.0.0.0", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
