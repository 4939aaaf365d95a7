"""EndpointPickerConfigs of the ways of choosing that are compared."""

import json

MODEL = "bench"
BLOCK_TOKENS = 16
LOAD = {"queue-scorer": 2, "kv-cache-utilization-scorer": 2}
# The chart of 2025 gave no weights, and its picker these defaults: 64 characters, 256 blocks, 31,250 blocks per server.
LOAD_2025 = dict.fromkeys(LOAD, 1)
APPROXIMATE_2025 = {
    "type": "approx-prefix-cache-producer",
    "parameters": {
        "autoTune": False,
        "blockSizeTokens": BLOCK_TOKENS,
        "maxPrefixBlocksToMatch": 256,
        "lruCapacityPerServer": 31_250,
    },
}


def configuration(scorers, *plugins):
    """scorers: {type: weight}; plugins: further entries, or entries with parameters for those types."""
    given = {each["type"] for each in plugins}
    plugins = [*plugins, *({"type": name} for name in ("single-profile-handler", *scorers) if name not in given)]
    last = "max-score-picker" if scorers else "random-picker"
    plugins.append({"type": last})
    steps = [{"pluginRef": name, "weight": weight} for name, weight in scorers.items()] + [{"pluginRef": last}]
    return json.dumps({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": [{"name": "default", "plugins": steps}],
    })


def precise(events_port, load, weight):
    """What is cached comes from every engine's own word."""
    producer = {
        "type": "precise-prefix-cache-producer",
        "parameters": {
            "tokenProcessorConfig": {"blockSizeTokens": BLOCK_TOKENS},
            "kvEventsConfig": {"discoverPods": True, "podDiscoveryConfig": {"socketPort": events_port}},
        },
    }
    scorer = {
        "type": "prefix-cache-scorer",
        "parameters": {"prefixMatchInfoProducerName": "precise-prefix-cache-producer"},
    }
    return configuration(load | {"prefix-cache-scorer": weight}, producer, scorer)


RANDOM = configuration({})
LOAD_ONLY = configuration(LOAD)
PREFIX_ONLY = configuration({"prefix-cache-scorer": 1})
APPROXIMATE = configuration(LOAD | {"prefix-cache-scorer": 3})
APPROXIMATE_OF_2025 = configuration(LOAD_2025 | {"prefix-cache-scorer": 1}, APPROXIMATE_2025)
PREDICTED = configuration(
    LOAD | {"prefix-cache-scorer": 3}, {"type": "predicted-latency-producer", "parameters": {"streamingMode": True}}
)
