"""HTTPRoute semantics, row by row, through a real `llmd gateway` with objects from files. Rows that need no
other objects share one gateway; each has a hostname of its own."""

import concurrent.futures
import unittest

from harness import Gateway, Upstream, exact, gateway, prefix, regex, route, rule, service, to, wait_for

NAMES = "abcdef"


def rewrite_prefix(value):
    return {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}}}


def rewrite_full(value):
    return {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": value}}}


def redirect(**fields):
    return {"type": "RequestRedirect", "requestRedirect": fields}


def header(name, value, **more):
    return {"name": name, "value": value, **more}


# What is asked: (path, {options of Gateway.ask}), and who must answer: an upstream's name or a status.
# Each entry: what the row says, the rules of its route(s), the questions.
MATCHES = [
    ("exact before prefix, the longest prefix first",
     [rule(prefix("/"), backends=to("a")), rule(prefix("/x"), backends=to("b")),
      rule(prefix("/x/y"), backends=to("c")), rule(exact("/x/y/z"), backends=to("d"))],
     [("/", {}, "a"), ("/x", {}, "b"), ("/x/", {}, "b"), ("/xy", {}, "a"), ("/x/y", {}, "c"), ("/x/y/", {}, "c"),
      ("/x/y/z", {}, "d"), ("/x/y/z/", {}, "c"), ("/x/y?q=/x/y/z", {}, "c")]),
    ("a prefix matches whole segments; a slash at its end does not count",
     [rule(prefix("/abc/"), backends=to("a"))],
     [("/abc", {}, "a"), ("/abc/", {}, "a"), ("/abc/d", {}, "a"), ("/abcd", {}, 404), ("/", {}, 404)]),
    ("a regular expression matches the whole path, after exact and before prefix",
     [rule(prefix("/models"), backends=to("a")), rule(regex("/models/[a-z]+"), backends=to("b")),
      rule(exact("/models/gpt"), backends=to("c"))],
     [("/models/llama", {}, "b"), ("/models/gpt", {}, "c"), ("/models/l1", {}, "a"), ("/models/x/y", {}, "a")]),
    ("a method match wins over headers, more headers over fewer, headers over query",
     [rule(prefix("/"), backends=to("a")),
      rule(prefix("/", queryParams=[header("q", "1")]), backends=to("b")),
      rule(prefix("/", headers=[header("X-One", "1")]), backends=to("c")),
      rule(prefix("/", headers=[header("X-One", "1"), header("x-two", "2")]), backends=to("d")),
      rule(prefix("/", method="PUT"), backends=to("e"))],
     [("/", {}, "a"), ("/?q=1", {}, "b"), ("/?q=2", {}, "a"), ("/?q=1", {"headers": {"x-one": "1"}}, "c"),
      ("/", {"headers": {"X-ONE": "1", "X-TWO": "2"}}, "d"), ("/", {"headers": {"X-One": "one"}}, "a"),
      ("/", {"headers": {"X-One": "1"}, "method": "PUT"}, "e")]),
    ("values are compared with their case, names of parameters too",
     [rule(prefix("/", headers=[header("X", "Value")], queryParams=[header("Q", "a b")]), backends=to("a"))],
     [("/?Q=a%20b", {"headers": {"x": "Value"}}, "a"), ("/?Q=a+b", {"headers": {"x": "value"}}, 404),
      ("/?q=a%20b", {"headers": {"x": "Value"}}, 404)]),
    ("regular expressions of headers and parameters match the whole value",
     [rule(prefix("/", headers=[header("X", "v[0-9]+", type="RegularExpression")]), backends=to("a")),
      rule(prefix("/", queryParams=[header("q", "x.*", type="RegularExpression")]), backends=to("b"))],
     [("/", {"headers": {"x": "v12"}}, "a"), ("/", {"headers": {"x": "v12 "}}, "a"),
      ("/", {"headers": {"x": "av12"}}, 404), ("/?q=xyz", {}, "b"), ("/?q=yx", {}, 404)]),
    ("of equal header names the first counts",
     [rule(prefix("/", headers=[header("X", "1"), header("x", "2")]), backends=to("a"))],
     [("/", {"headers": {"X": "1"}}, "a"), ("/", {"headers": {"X": "2"}}, 404)]),
    ("matches of a rule are alternatives, the fields of a match are not",
     [rule(exact("/one", method="GET"), exact("/two"), backends=to("a"))],
     [("/one", {}, "a"), ("/one", {"method": "PUT"}, 404), ("/two", {"method": "PUT"}, "a"), ("/three", {}, 404)]),
    ("matches are ordered, not rules: a rule may win by one of its matches and lose by another",
     [rule(prefix("/"), exact("/deep/x"), backends=to("a")), rule(prefix("/deep"), backends=to("b"))],
     [("/deep/x", {}, "a"), ("/deep/y", {}, "b"), ("/deep", {}, "b"), ("/", {}, "a")]),
    ("a longer prefix wins over method, headers and parameters",
     [rule(prefix("/a", method="GET", headers=[header("x", "1")], queryParams=[header("q", "1")]), backends=to("a")),
      rule(prefix("/a/b"), backends=to("b"))],
     [("/a/b?q=1", {"headers": {"x": "1"}}, "b"), ("/a?q=1", {"headers": {"x": "1"}}, "a")]),
    ("a rule without matches takes every path",
     [{"backendRefs": to("a")}],
     [("/", {}, "a"), ("/any/thing?x", {}, "a")]),
    ("equal matches: the first rule of the list",
     [rule(prefix("/p"), backends=to("a")), rule(prefix("/p"), backends=to("b"))],
     [("/p", {}, "a")]),
    ("an expression that cannot be understood is left out, the other rules are served",
     [rule(regex("/(bad"), backends=to("a")), rule(prefix("/good"), backends=to("b"))],
     [("/(bad", {}, 404), ("/good", {}, "b")]),
    ("references that lead nowhere answer 500",
     [rule(prefix("/missing"), backends=to("nobody")), {"matches": [prefix("/none")]},
      rule(prefix("/kind"), backends=[{"kind": "Bucket", "group": "example.com", "name": "a"}]),
      rule(prefix("/port"), backends=[{"name": "a", "port": 9}]),
      rule(prefix("/zero"), backends=to(("a", 0))),
      rule(prefix("/some"), backends=to(("a", 0), "b"))],
     [("/missing", {}, 500), ("/none", {}, 500), ("/kind", {}, 500), ("/port", {}, 500), ("/zero", {}, 500),
      ("/some", {}, "b")]),
]

# (filters, path asked, path the upstream sees) with the prefix /foo.
REWRITES = [
    ("/foo", "/xyz", "/foo/bar", "/xyz/bar"), ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
    ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"), ("/foo", "/xyz", "/foo", "/xyz"), ("/foo", "/xyz", "/foo/", "/xyz/"),
    ("/foo", "", "/foo/bar", "/bar"), ("/foo", "", "/foo", "/"), ("/foo", "", "/foo/", "/"),
    ("/foo", "/", "/foo", "/"), ("/foo", "/", "/foo/", "/"), ("/foo", "/", "/foo/v1/chat?x=1", "/v1/chat?x=1"),
    ("/foo", "/a b", "/foo/c%20d?e=%2F", "/a b/c%20d?e=%2F"),
]

# (fields of the redirect, path asked, host asked, status, Location)
REDIRECTS = [
    ({"hostname": "other.example"}, "/x?y=1", "HOST", 302, "http://other.example:PORT/x?y=1"),
    ({"scheme": "https"}, "/x", "HOST", 302, "https://HOST/x"),
    ({"scheme": "https", "port": 8443, "statusCode": 301}, "/x", "HOST", 301, "https://HOST:8443/x"),
    ({"port": 80, "statusCode": 307}, "/x", "HOST", 307, "http://HOST/x"),
    ({"port": 81, "statusCode": 308}, "/x", "HOST", 308, "http://HOST:81/x"),
    ({"statusCode": 303, "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}, "/x/y?z", "HOST", 303,
     "http://HOST:PORT/new?z"),
    ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}, "/old/x", "HOST", 302,
     "http://HOST:PORT/new/x"),
]


class Rows(unittest.TestCase):
    """Every row that needs nothing but its own route."""

    refused = frozenset()  # names of routes that an API server would not take

    @classmethod
    def setUpClass(cls):
        cls.upstreams = {name: Upstream(name) for name in NAMES}
        objects = [gateway()]
        for upstream in cls.upstreams.values():
            objects += service(upstream.name, upstream.port)
        for number, (_, rules, _) in enumerate(MATCHES):
            objects.append(route(f"match-{number}", *rules, hosts=[f"m{number}.example"]))
        for number, (path, value, _, _) in enumerate(REWRITES):
            objects.append(route(f"rewrite-{number}", rule(prefix(path), backends=to("a"),
                                                           filters=[rewrite_prefix(value)]),
                                 hosts=[f"r{number}.example"]))
        for number, (fields, _, _, _, _) in enumerate(REDIRECTS):
            objects.append(route(f"redirect-{number}",
                                 *[rule(prefix(path), filters=[redirect(**fields)]) for path in ("/old", "/")],
                                 hosts=[f"d{number}.example"]))
        objects += cls.single_routes()
        cls.gateway = Gateway(objects)

    @classmethod
    def single_routes(cls):
        edits = {"set": [header("X-Set", "new")], "add": [header("X-Add", "2"), header("X-New", "n")],
                 "remove": ["X-Gone"]}
        echoed = {"set": [header("X-Upstream", "hidden")], "add": [header("X-Answer", "yes")], "remove": ["Date"]}
        backend = to("a")[0] | {"filters": [{"type": "RequestHeaderModifier",
                                             "requestHeaderModifier": {"set": [header("X-Backend", "only")]}}]}
        return [
            route("edits", rule(prefix("/"), backends=to("a"), filters=[
                {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
                {"type": "ResponseHeaderModifier", "responseHeaderModifier": echoed}]), hosts=["edits.example"]),
            route("backend-edits", rule(prefix("/"), backends=[backend]), hosts=["backend-edits.example"]),
            route("full", rule(prefix("/"), backends=to("a"), filters=[rewrite_full("/one")]),
                  hosts=["full.example"]),
            route("host", rule(prefix("/"), backends=to("a"), filters=[
                {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example"}}]), hosts=["host.example"]),
            route("both", rule(prefix("/"), backends=to("a"), filters=[rewrite_full("/x"), redirect(port=1)]),
                  hosts=["both.example"]),
            route("unknown", rule(prefix("/"), backends=to("a"), filters=[{"type": "ExtensionRef"}]),
                  hosts=["unknown.example"]),
            route("mirror", rule(prefix("/all"), backends=to("a"), filters=[
                {"type": "RequestMirror", "requestMirror": {"backendRef": to("e")[0]}}]),
                  rule(prefix("/some"), backends=to("a"), filters=[
                      {"type": "RequestMirror",
                       "requestMirror": {"backendRef": to("f")[0], "fraction": {"numerator": 1, "denominator": 4}}}]),
                  rule(prefix("/nowhere"), backends=to("a"), filters=[
                      {"type": "RequestMirror", "requestMirror": {"backendRef": to("nobody")[0]}}]),
                  hosts=["mirror.example"]),
            route("cors", rule(prefix("/"), backends=to("a"), filters=[
                {"type": "CORS", "cors": {"allowOrigins": ["https://*.good.example"], "allowMethods": ["POST"],
                                          "allowHeaders": ["X-Key"], "allowCredentials": True, "maxAge": 60}}]),
                  hosts=["cors.example"]),
            route("weights", rule(prefix("/"), backends=to(("a", 70), ("b", 30))), hosts=["weights.example"]),
            route("half", rule(prefix("/"), backends=to("a", "nobody")), hosts=["half.example"]),
            route("old", rule(prefix("/"), backends=to("a")), hosts=["age.example"],
                  created="2026-01-01T00:00:00Z"),
            route("an-older", rule(prefix("/"), backends=to("b")), hosts=["age.example"],
                  created="2025-01-01T00:00:00Z"),
            route("name-b", rule(prefix("/"), backends=to("b")), hosts=["name.example"]),
            route("name-a", rule(prefix("/"), backends=to("a")), hosts=["name.example"]),
            route("wild", rule(prefix("/"), backends=to("a")), hosts=["*.wild.example"]),
            route("longer-wild", rule(prefix("/"), backends=to("b")), hosts=["*.longer.wild.example"]),
            route("not-wild", rule(prefix("/"), backends=to("c")), hosts=["exact.wild.example"]),
            route("far", rule(exact("/x"), backends=to("a")), hosts=["*.host.example"]),
            route("near", rule(prefix("/"), backends=to("b")), hosts=["y.host.example"]),
        ]

    @classmethod
    def tearDownClass(cls):
        assert cls.gateway.close() == 0
        for upstream in cls.upstreams.values():
            upstream.close()

    def test_matches(self):
        for number, (row, _, questions) in enumerate(MATCHES):
            for path, options, expected in questions:
                with self.subTest(row, path=path, **options):
                    self.assertEqual(self.gateway.ask(path, f"m{number}.example", **options).served_by, expected)

    def test_prefix_rewrites(self):
        for number, (path, value, asked, expected) in enumerate(REWRITES):
            with self.subTest(prefix=path, replacement=value, asked=asked):
                if " " in expected:
                    continue  # Echo's parser of request lines takes no spaces; gateway_test has the row
                self.assertEqual(self.gateway.ask(asked, f"r{number}.example").json["target"], expected)

    def test_full_path_rewrites_keep_the_query(self):
        self.assertEqual(self.gateway.ask("/x/y?z=1", "full.example").json["target"], "/one?z=1")

    def test_host_rewrites_reach_the_upstream(self):
        seen = self.gateway.ask("/", "host.example").json["headers"]
        self.assertEqual(seen["host"], "inner.example")
        self.assertEqual(seen["x-forwarded-host"], "host.example")

    def test_redirects(self):
        for number, (fields, asked, _, status, location) in enumerate(REDIRECTS):
            if f"redirect-{number}" in self.refused:
                continue
            with self.subTest(**fields):
                host, port = f"d{number}.example", self.gateway.address[1]
                answer = self.gateway.ask(asked, f"{host}:{port}")
                self.assertEqual(answer.status, status)
                expected = location.replace("HOST", host).replace("PORT", str(port))
                self.assertEqual(answer.headers["location"], expected)

    def test_header_edits_set_then_add_then_remove(self):
        answer = self.gateway.ask("/", "edits.example",
                                  headers={"X-Set": "old", "X-Add": "1", "X-Gone": "soon", "X-Kept": "k"})
        seen = answer.json["headers"]
        self.assertEqual((seen["x-set"], seen["x-add"], seen["x-new"], seen["x-kept"]), ("new", "1,2", "n", "k"))
        self.assertNotIn("x-gone", seen)
        self.assertEqual((answer.headers["x-upstream"], answer.headers["x-answer"]), ("hidden", "yes"))

    def test_edits_of_a_backend_apply_there_only(self):
        self.assertEqual(self.gateway.ask("/", "backend-edits.example").json["headers"]["x-backend"], "only")

    def test_filters_that_cannot_be_followed_answer_500(self):
        for host, reason in (("both.example", "exclude each other"), ("unknown.example", "ExtensionRef")):
            answer = self.gateway.ask("/", host)
            self.assertEqual(answer.status, 500)
            self.assertIn(reason, answer.json["error"]["message"])

    def test_a_mirror_gets_a_copy_and_changes_nothing(self):
        mirror = self.upstreams["e"].requests
        answer = self.gateway.ask("/all/x?y=1", "mirror.example", method="POST", body="hello")
        self.assertEqual(answer.served_by, "a")
        copies = wait_for("the copy", lambda: [each for each in mirror if each["target"] == "/all/x?y=1"])
        self.assertEqual((copies[0]["method"], copies[0]["body"]), ("POST", "hello"))
        self.assertEqual(self.gateway.ask("/nowhere", "mirror.example").served_by, "a")

    def test_a_mirror_gets_its_fraction(self):
        for _ in range(200):
            self.gateway.ask("/some", "mirror.example")
        def copies():  # it is asked for its models and its load, too
            return len([each for each in self.upstreams["f"].requests if each["target"] == "/some"])
        wait_for("a quarter", lambda: copies() >= 40)
        self.assertLess(copies(), 60)

    def test_cors_answers_preflights_and_marks_answers(self):
        asked = {"Origin": "https://app.good.example", "Access-Control-Request-Method": "POST"}
        answer = self.gateway.ask("/", "cors.example", method="OPTIONS", headers=asked)
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.good.example")
        self.assertEqual(answer.headers["access-control-allow-methods"], "POST")
        self.assertEqual(answer.headers["access-control-max-age"], "60")
        answer = self.gateway.ask("/", "cors.example", headers={"Origin": "https://app.good.example"})
        self.assertEqual((answer.served_by, answer.headers["access-control-allow-credentials"]), ("a", "true"))
        answer = self.gateway.ask("/", "cors.example", headers={"Origin": "https://bad.example"})
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def served(self, host, count):
        with concurrent.futures.ThreadPoolExecutor(10) as clients:
            answers = list(clients.map(lambda _: self.gateway.ask("/", host).served_by, range(count)))
        return {name: answers.count(name) for name in set(answers)}

    def test_weights_within_five_percent(self):
        shares = self.served("weights.example", 500)
        self.assertAlmostEqual(shares["a"], 350, delta=25)
        self.assertAlmostEqual(shares["b"], 150, delta=25)

    def test_the_share_of_an_invalid_reference_gets_500(self):
        shares = self.served("half.example", 200)
        self.assertAlmostEqual(shares["a"], 100, delta=10)
        self.assertAlmostEqual(shares[500], 100, delta=10)

    def test_between_routes_the_older_wins_then_the_name(self):
        self.assertEqual(self.gateway.ask("/", "age.example").served_by, "b")
        self.assertEqual(self.gateway.ask("/", "name.example").served_by, "a")

    def test_wildcard_hosts(self):
        for host, expected in (("x.wild.example", "a"), ("x.y.wild.example", "a"), ("wild.example", 404),
                               ("x.longer.wild.example", "b"), ("exact.wild.example", "c"),
                               ("EXACT.Wild.Example:8080", "c")):
            with self.subTest(host):
                self.assertEqual(self.gateway.ask("/", host).served_by, expected)

    def test_a_more_specific_host_wins_over_a_more_specific_path(self):
        self.assertEqual(self.gateway.ask("/x", "y.host.example").served_by, "b")
        self.assertEqual(self.gateway.ask("/x", "z.host.example").served_by, "a")

    def test_a_miss_names_only_the_nearest_routes(self):
        message = self.gateway.ask("/models/llamma/x", "nobody.example").json["error"]["message"]
        self.assertIn("no route matches GET /models/llamma/x", message)
        self.assertLess(len(message), 600)


class Reload(unittest.TestCase):
    def test_changes_of_files_apply_without_dropping_a_connection(self):
        upstreams = {name: Upstream(name) for name in "ab"}
        objects = [gateway()]
        for upstream in upstreams.values():
            self.addCleanup(upstream.close)
            objects += service(upstream.name, upstream.port)
        made = Gateway([*objects, route("r", rule(prefix("/"), backends=to("a")))])
        self.addCleanup(made.close)
        connection = made.connect()
        self.addCleanup(connection.close)

        def on_same_connection():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            return response.getheader("x-upstream")
        self.assertEqual(on_same_connection(), "a")
        used = connection.sock
        made.write([*objects, route("r", rule(prefix("/"), backends=to("b")))])
        wait_for("the new route", lambda: on_same_connection() == "b")
        self.assertIs(connection.sock, used)
        made.write(["a mistake"])
        wait_for("the mistake in the log", lambda: "objects from before stay" in made.log_text())
        self.assertEqual(on_same_connection(), "b")


if __name__ == "__main__":
    unittest.main()
