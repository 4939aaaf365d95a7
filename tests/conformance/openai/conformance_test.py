#!/usr/bin/env python3
"""The official openai client against a server: lists models, chats, streams, and gets typed errors.

  conformance_test.py --server serve_main --model models/tiny      starts the server itself
  BASE_URL=http://127.0.0.1:8080/default/smollm2/v1 conformance_test.py    tests one that runs

The client lives in a virtual environment under ~/.cache/llmd/conformance. Where the package index cannot be
reached, the test is skipped loudly (exit code 77).
"""

import argparse
import os
import re
import subprocess
import sys
import threading
import unittest
from pathlib import Path

CLIENT = "openai>=1.60,<3"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llmd" / "conformance"
SKIPPED = 77


def client_python():
    """The interpreter of the environment that has the client; None where it cannot be made."""
    environment = CACHE / "openai-client"
    python = environment / "bin" / "python"
    if subprocess.run([python, "-c", "import openai"], capture_output=True, check=False).returncode == 0 if python.exists() else False:
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True, capture_output=True)
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", CLIENT], capture_output=True, text=True,
                               check=False)
    if installed.returncode != 0:
        print(installed.stderr[-2000:], file=sys.stderr)
        return None
    return python


class Server:
    """The server as a child process on a free port; `base_url` once it is ready."""

    def __init__(self, program, model):
        self.process = subprocess.Popen(
            [program, model, "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", "0"],
            stderr=subprocess.PIPE, text=True)
        self.base_url = None
        for line in self.process.stderr:
            sys.stderr.write(line)
            port = re.search(r'"?port"?[=:]\s*"?(\d+)', line)
            if port and "ready" in line:
                self.base_url = f"http://127.0.0.1:{port.group(1)}/v1"
                break
        # Nobody may be held up by a full pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=30)


class OpenAiClient(unittest.TestCase):
    base_url = os.environ.get("BASE_URL")

    def setUp(self):
        import openai
        self.openai = openai
        self.client = openai.OpenAI(base_url=self.base_url, api_key="none", max_retries=0, timeout=120)
        self.model = self.client.models.list().data[0].id

    def ask(self, text, **more):
        more = {"temperature": 0, "max_tokens": 32} | more
        return self.client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": text}], **more)

    def test_lists_models(self):
        models = self.client.models.list().data
        self.assertGreaterEqual(len(models), 1)
        self.assertEqual(models[0].object, "model")
        self.assertEqual(self.client.models.list().object, "list")

    def test_chats(self):
        answer = self.ask("What is the capital of France?")
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_streams_the_same_text(self):
        whole = self.ask("What is the capital of France?")
        text, usage, finish = "", None, None
        for chunk in self.ask("What is the capital of France?", stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(finish, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_completes(self):
        answer = self.client.completions.create(model=self.model, prompt="Hello", max_tokens=4, temperature=0, logprobs=2)
        self.assertEqual(answer.object, "text_completion")
        self.assertLessEqual(len(answer.choices[0].logprobs.tokens), 4)

    def test_several_choices_and_logprobs(self):
        answer = self.ask("Hello", n=2, seed=1, temperature=0.9, logprobs=True, top_logprobs=2, max_tokens=3)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        for entry in answer.choices[0].logprobs.content:
            self.assertLessEqual(entry.logprob, 0)
            self.assertEqual(len(entry.top_logprobs), 2)

    def test_same_seed_same_answer(self):
        texts = {self.ask("Tell me a story.", seed=5, temperature=0.9).choices[0].message.content for _ in range(3)}
        self.assertEqual(len(texts), 1)

    def test_bad_model(self):
        with self.assertRaises(self.openai.NotFoundError) as raised:
            self.client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "x"}])
        self.assertIn("no-such-model", str(raised.exception))

    def test_bad_parameter(self):
        with self.assertRaises(self.openai.BadRequestError) as raised:
            self.ask("x", temperature=-1)
        self.assertEqual(raised.exception.body["param"], "temperature")

    def test_wrong_type(self):
        with self.assertRaises(self.openai.BadRequestError):
            self.ask("x", extra_body={"top_k": "many"})

    def test_too_long(self):
        with self.assertRaises(self.openai.BadRequestError) as raised:
            self.ask("word " * 20000)
        self.assertIn("maximum context length is", raised.exception.body["message"])

    def test_many_at_once(self):
        expected = self.ask("What is the capital of Italy?").choices[0].message.content
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            self.ask("What is the capital of Italy?").choices[0].message.content)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [expected] * 8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server")
    parser.add_argument("--model")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        python = client_python()
        if python is None:
            print(f"SKIPPED: the client ({CLIENT}) cannot be installed here", file=sys.stderr)
            return SKIPPED
        return subprocess.run([python, __file__, "--inside", *sys.argv[1:]], check=False).returncode
    server = None
    if not OpenAiClient.base_url:
        server = Server(options.server, options.model)
        if server.base_url is None:
            print("the server did not become ready", file=sys.stderr)
            return 1
        OpenAiClient.base_url = server.base_url
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(OpenAiClient))
    if server is not None:
        code = server.stop()
        if code != 0:
            print(f"the server ended with {code}", file=sys.stderr)
            return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
