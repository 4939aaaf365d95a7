"""How far llama.cpp is from its own recording: first-token log-probabilities of recorded prompts (docs/adr/0007).

usage: llama_logprobs.py MODEL RECORDING [single|flash|plain-weights]     (inside the peers' environment, see peers.py)
"""

import json
import math
import sys

import llama_cpp as llama
import numpy

SILENT = llama.llama_log_callback(lambda level, text, data: None)
THREADS = 2


def open_context(path, variant):
    llama.llama_log_set(SILENT, None)
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.use_extra_bufts = variant != "plain-weights"
    model = llama.llama_model_load_from_file(path.encode(), parameters)
    settings = llama.llama_context_default_params()
    settings.n_ctx = 4096
    settings.n_batch = settings.n_ubatch = 512
    settings.n_threads = settings.n_threads_batch = THREADS
    settings.flash_attn_type = int(variant == "flash")
    context = llama.llama_init_from_model(model, settings)
    if not model or not context:
        sys.exit(f"llama.cpp could not load {path}")
    return context, llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))


def next_token_logprobs(context, vocabulary, batch, ids, step):
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    for begin in range(0, len(ids), step):
        part = ids[begin:begin + step]
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i] = token
            batch.pos[i] = begin + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = begin + i == len(ids) - 1
        if llama.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")
    logits = numpy.ctypeslib.as_array(llama.llama_get_logits_ith(context, batch.n_tokens - 1), shape=(vocabulary,))
    shifted = logits.astype(numpy.float64) - logits.max()
    return shifted - math.log(numpy.exp(shifted).sum())


def main():
    path, recording = sys.argv[1:3]
    variant = sys.argv[3] if len(sys.argv) > 3 else "batch"
    context, vocabulary = open_context(path, variant)
    batch = llama.llama_batch_init(512, 0, 1)
    with open(recording, encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    differences = []
    for case in cases:
        ids = case["prompt_ids"]
        got = next_token_logprobs(context, vocabulary, batch, ids, 1 if variant == "single" else len(ids))
        differences.append([abs(got[token] - recorded) for token, recorded in case["first_token_top20_logprobs"][:10]])
    table = numpy.array(differences)
    print(f"{variant}: top 10 mean {table.mean():.3f} worst {table.max():.3f}, above 0.1: {(table > 0.1).sum()} of "
          f"{table.size}; top 1 mean {table[:, 0].mean():.3f} worst {table[:, 0].max():.3f}")


main()
