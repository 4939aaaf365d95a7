"""Runs inside the peers' environment: llama.cpp through its C interface, one measurement, JSON on standard output.

usage: llama_peer.py MODEL decode|prefill COUNT THREADS SECONDS FLASH(0|1)

decode: COUNT sequences with 64 tokens of context; every step decodes one token of each, and forgets it again, so that
all steps do the same work. prefill: a prompt of COUNT tokens into an empty cache.
"""

import json
import sys
import time

import llama_cpp as llama

CONTEXT = 64


def open_model(path, sequences, positions, threads, flash):
    llama.llama_log_set(SILENT, None)
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    parameters.use_mmap = True
    parameters.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), parameters)
    settings = llama.llama_context_default_params()
    settings.n_ctx = sequences * positions
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = threads
    settings.flash_attn_type = 1 if flash else 0
    context = llama.llama_init_from_model(model, settings)
    if not model or not context:
        sys.exit(f"llama.cpp could not load {path}")
    return model, context


SILENT = llama.llama_log_callback(lambda level, text, data: None)


def fill(batch, entries):
    """entries: (token, position, sequence, wants logits)"""
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, logits) in enumerate(entries):
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = logits


def decode(context, batch):
    if llama.llama_decode(context, batch) != 0:
        sys.exit("llama_decode failed")
    llama.llama_synchronize(context)


def steps_of_decode(context, batch, sequences):
    memory = llama.llama_get_memory(context)
    for sequence in range(sequences):
        fill(batch, [(100 + i, i, sequence, False) for i in range(CONTEXT)])
        decode(context, batch)
    fill(batch, [(1000, CONTEXT, sequence, True) for sequence in range(sequences)])

    def step():
        decode(context, batch)
        for sequence in range(sequences):
            llama.llama_memory_seq_rm(memory, sequence, CONTEXT, -1)

    return step


def steps_of_prefill(context, batch, length):
    memory = llama.llama_get_memory(context)
    fill(batch, [(100 + i, i, 0, i == length - 1) for i in range(length)])

    def step():
        decode(context, batch)
        llama.llama_memory_clear(memory, False)

    return step


def main():
    path, kind, count, threads, seconds, flash = sys.argv[1:]
    count = int(count)
    sequences, positions = (count, 128) if kind == "decode" else (1, count)
    model, context = open_model(path, sequences, positions, int(threads), flash == "1")
    batch = llama.llama_batch_init(512, 0, 1)
    step = (steps_of_decode if kind == "decode" else steps_of_prefill)(context, batch, count)
    for _ in range(3):
        step()  # warm-up
    steps, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < float(seconds):
        step()
        steps += 1
    print(json.dumps({"tokens_per_second": steps * count / elapsed, "steps": steps, "seconds": elapsed}))


if __name__ == "__main__":
    main()
