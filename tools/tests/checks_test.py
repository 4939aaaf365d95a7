#!/usr/bin/env python3
"""Tests of tools/check_layers and tools/check_size: each builds a small tree and runs the program on it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
LAYERS = """
layer 0 base
layer 1 json text   # comment
layer 2 async
layer 7 gateway node testing
edge text json
private gateway/secret.h
"""


class Tree:
    """A repository with the given files; run() gives exit code and output of one of our tools."""

    def __init__(self, files, layers=LAYERS):
        self.folder = tempfile.TemporaryDirectory()
        for name, text in {"tools/layers.txt": layers, **files}.items():
            path = Path(self.folder.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, tool):
        with self.folder:
            done = subprocess.run([sys.executable, TOOLS / tool, self.folder.name], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class CheckLayers(unittest.TestCase):
    def verdict(self, path, line):
        return Tree({path: "#pragma once\n" + line + "\n"}).run("check_layers")

    def test_allowed(self):
        for path, line in [
            ("src/gateway/a.cc", '#include "base/error.h"'),
            ("src/gateway/a.cc", '#include "gateway/deep/a.h"'),
            ("src/gateway/deep/a.cc", '#include "gateway/a.h"'),
            ("src/text/a.h", '#include "json/value.h"'),
            ("src/gateway/a_test.cc", '#include "testing/fake.h"'),
            ("src/gateway/a_bench.cc", '#include "testing/fake.h"'),
            ("src/testing/a.h", '#include "async/task.h"'),
            ("src/async/asio.h", "#include <boost/asio/post.hpp>"),
            ("src/gateway/a.cc", "#include <openssl/ssl.h>"),
            ("src/gateway/a.h", "#include <boost/json.hpp>"),
            ("src/gateway/secret.h", "#include <boost/asio/ssl.hpp>"),
            ("src/gateway/a.cc", '#include "gateway/secret.h"'),
            ("src/gateway/a.h", '// #include "node/a.h"'),
        ]:
            with self.subTest(path=path, line=line):
                self.assertEqual(self.verdict(path, line), (0, ""))

    def test_refused_with_place_and_reason(self):
        for path, line, reason in [
            ("src/base/a.cc", '#include "json/value.h"', "'base' (layer 0) must not see 'json' (layer 1)"),
            ("src/json/a.cc", '#include "text/a.h"', "'json' (layer 1) must not see 'text'"),
            ("src/gateway/a.cc", '  #  include "node/a.h"', "'gateway' (layer 7) must not see 'node'"),
            ("src/gateway/a.cc", '#include "testing/fake.h"', "only tests and benchmarks"),
            ("src/gateway/a.h", "#include <boost/beast/core.hpp>", "belongs into .cc files"),
            ("src/gateway/a.h", "#include <sqlite3.h>", "belongs into .cc files"),
            ("src/gateway/a.h", '#include "gateway/secret.h"', "private to the .cc files of gateway"),
            ("src/node/a.cc", '#include "gateway/secret.h"', "private to the .cc files of gateway"),
            ("src/gateway/a.cc", '#include "a.h"', 'write the path from src/, for instance "gateway/a.h"'),
            ("src/gateway/a.cc", '#include "unknown/a.h"', "'unknown' is not in tools/layers.txt"),
        ]:
            with self.subTest(path=path, line=line):
                code, output = self.verdict(path, line)
                self.assertEqual(code, 1)
                self.assertTrue(output.startswith(path + ":2: "), output)
                self.assertIn(reason, output)

    def test_library_without_layer(self):
        code, output = self.verdict("src/stray/a.cc", "")
        self.assertEqual(code, 1)
        self.assertIn("library 'stray' is not in tools/layers.txt", output)

    def test_mistakes_in_the_table(self):
        for layers, reason in [
            ("layer 0 base\nlayer 1 base", "line 2: 'base' already has a layer"),
            ("layer 0 base\nlayer 1 json\nedge json base", "line 3: 'json' and 'base' are not in the same layer"),
            ("layer 7 gateway node\nedge gateway node", "line 2: 'gateway' and 'node' are programs"),
            ("layer 1 a b\nedge a b\nedge b a", "line 3: 'b' and 'a' must not"),
            ("libraries base", "line 1: expected"),
        ]:
            with self.subTest(layers=layers):
                code, output = Tree({}, layers).run("check_layers")
                self.assertEqual(code, 1)
                self.assertIn(reason, output)


class CheckSize(unittest.TestCase):
    def test_bounds(self):
        for lines, code, word in [(400, 0, ""), (401, 0, "warning: 401"), (600, 0, "warning"), (601, 1, "error: 601")]:
            for path in ["src/base/a.cc", "tools/x/a.h"]:
                with self.subTest(lines=lines, path=path):
                    got, output = Tree({path: "x\n" * lines}).run("check_size")
                    self.assertEqual(got, code)
                    self.assertIn(word, output)
                    self.assertEqual(output == "", word == "")

    def test_other_files_may_be_long(self):
        self.assertEqual(Tree({"src/base/table.inc": "x\n" * 900}).run("check_size"), (0, ""))


if __name__ == "__main__":
    unittest.main()
