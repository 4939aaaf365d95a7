"""The status that the gateway of `llmd up` writes, as kubectl shows it; objects change while requests run."""

import json
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "up"))
from harness import Machine, condition, manifest, wait_for  # noqa: E402  (of ../up)

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: extra, namespace: default}
spec:
  parentRefs: [{name: kserve-ingress-gateway, namespace: kserve}]
  rules:
  - matches: [{path: {value: /extra}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: SERVICE, port: 8000}]
"""


@unittest.skipUnless(shutil.which("kubectl"), "SKIPPED: kubectl is not installed (./dev setup installs it)")
class Status(unittest.TestCase):
    def test_gateways_and_routes_say_what_became_of_them(self):
        machine = Machine()
        self.addCleanup(machine.close)
        machine.start(machine.write(manifest()))
        machine.wait_ready()

        def gateway():
            return machine.objects("gateways")[0]
        wait_for("the Gateway", lambda: condition(gateway(), "Programmed") == "True")
        host = machine.gateway.rsplit(":", 1)[0].removeprefix("http://")
        self.assertEqual([each["value"] for each in gateway()["status"]["addresses"]], [host])
        self.assertEqual(condition(gateway(), "Accepted"), "True")

        def parent(name):
            routes = {each["metadata"]["name"]: each for each in machine.objects("httproutes")}
            parents = routes[name].get("status", {}).get("parents", []) if name in routes else []
            return {"status": {"conditions": parents[0]["conditions"]}} if parents else {}
        self.assertEqual(condition(parent("tiny-kserve-route"), "Accepted"), "True")

        def extra(service):
            machine.kubectl("apply", "-f", str(machine.write(ROUTE.replace("SERVICE", service), "extra.yaml")))
        extra("nobody")
        wait_for("the missing backend", lambda: condition(parent("extra"), "ResolvedRefs") == "False")
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        self.assertEqual(machine.request(body, "/extra/v1/chat/completions")[0], 500)
        services = [each["metadata"]["name"] for each in machine.objects("services")]
        extra(next(name for name in services if name.startswith("tiny")))
        wait_for("the backend", lambda: condition(parent("extra"), "ResolvedRefs") == "True")
        status, text = machine.request(body, "/extra/v1/chat/completions")
        self.assertEqual(status, 200, text)
        self.assertTrue(json.loads(text)["choices"])
        attached = gateway()["status"]["listeners"][0]["attachedRoutes"]
        self.assertEqual(attached, 2)
        machine.kubectl("delete", "httproute", "extra")
        wait_for("one route", lambda: gateway()["status"]["listeners"][0]["attachedRoutes"] == 1)


if __name__ == "__main__":
    unittest.main()
