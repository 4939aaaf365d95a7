"""Everything that `llmd render` prints is accepted by a real kube-apiserver, with the real definitions of the Gateway
API, the inference extension, LeaderWorkerSet and KEDA. stubs.yaml stands in for those that are not to be had."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from control_plane import PROGRAMS, ControlPlane, require

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
INPUTS = ROOT / "src/llmisvc/testdata/inputs"
HERE = pathlib.Path(__file__).resolve().parent
SERVICES = "llminferenceservices.serving.kserve.io"
OURS = ("LLMInferenceService", "LLMInferenceServiceConfig")

# What cannot be rendered, and why: the guide's text says so too.
REFUSED = {"v-missing-config.yaml": "config-not-found", "v-data-without-local.yaml": "parallelism"}
# A Config that an example of the guide refers to and does not show.
MISSING = {"003-06.yaml": {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceServiceConfig",
                           "metadata": {"name": "common-config"}, "spec": {}}}


def render(documents):
    """Objects, or the codes of the errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("\n---\n".join(documents))
        file.flush()
        done = subprocess.run([LLMD, "render", "-o", "json", file.name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, done.stderr
    answer = json.loads(done.stdout)
    return answer["items"] if isinstance(answer, dict) else answer, done.stderr


def pod_templates(item):
    """(name, template) of every pod that controllers will make from this object."""
    spec = item.get("spec", {})
    for where in (spec, spec.get("leaderWorkerTemplate", {})):
        for key in ("template", "leaderTemplate", "workerTemplate"):
            if key in where and item["kind"] in ("Deployment", "LeaderWorkerSet"):
                yield key, where[key]


class Objects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane().__enter__()
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.install(*sorted((ROOT / "config/crd").glob("llm*.yaml")), HERE / "stubs.yaml",
                          *sorted((PROGRAMS / "crds").glob("[!ek]*.yaml")),
                          PROGRAMS / "crds/keda.sh_scaledobjects.yaml")
        print("LOUD: VariantAutoscaling, PodMonitor and ServiceMonitor are checked against stand-ins only",
              file=sys.stderr)

    def documents(self, file):
        """The file's objects, as YAML documents, with the uid that an API server would have given them."""
        # Without validation: what is not finished in a guide's example is a matter of test_crds.
        text = self.plane.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f",
                                  str(file)).stdout.lstrip()
        documents = []
        while text:
            made, end = json.JSONDecoder().raw_decode(text)
            documents += made["items"] if made["kind"] == "List" else [made]
            text = text[end:].lstrip()
        for number, document in enumerate(documents + [MISSING[file.name]] if file.name in MISSING else documents):
            document["metadata"]["namespace"] = "guide"  # the guides leave it out in one of two that belong together
            document["metadata"]["uid"] = f"00000000-0000-0000-0000-{number:012}"
            document.pop("status", None)
            yield json.dumps(document)

    def ensure_namespaces(self, items):
        for name in {item["metadata"]["namespace"] for item in items if "namespace" in item["metadata"]}:
            self.plane.kubectl("create", "namespace", name, check=False)

    def check_file(self, file):
        items, errors = render(self.documents(file))
        if file.name in REFUSED:
            self.assertIsNone(items)
            self.assertIn(f"[{REFUSED[file.name]}]", errors)
            return 0
        self.assertIsNotNone(items, errors)
        self.ensure_namespaces(items)
        items = [item for item in items if item["kind"] not in OURS]
        self.accepted(items)
        for item in items:
            for key, template in pod_templates(item):
                # LeaderWorkerSet's definition knows only the form of a pod; core Kubernetes knows all its rules.
                metadata = {"name": f"{item['metadata']['name'][:40]}-{key.lower()}",
                            "namespace": item["metadata"]["namespace"]}
                self.accepted([{"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": template}])
        return sum(item["kind"] in ("Deployment", "LeaderWorkerSet") for item in items)

    def accepted(self, items):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        done = self.plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")

    def test_the_services_of_the_guides_and_their_variants(self):
        workloads = 0
        for file in sorted(INPUTS.glob("*.yaml")):
            if not {"kind: LLMInferenceService", "apiVersion: serving.kserve.io/v1alpha1"} <= set(
                    file.read_text().splitlines()):
                continue  # a fragment, a Config alone, or another dialect
            with self.subTest(file.name):
                workloads += self.check_file(file)
        self.assertGreater(workloads, 40)

    def test_every_feature(self):
        self.check_file(HERE / "features.yaml")

    def test_an_image_mounted_as_a_volume_needs_a_newer_kubernetes(self):
        items, errors = render(["apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\n"
                                "metadata: {name: native}\nspec: {model: {uri: \"oci+native://r/m:1\"}}\n"])
        self.assertIsNotNone(items, errors)
        deployment = [item for item in items if item["kind"] == "Deployment"]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": deployment})
        done = self.plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text, check=False)
        # 1.33 and later take a subPath; this one says that it is the only thing it minds.
        self.assertIn('subPath: Invalid value: "models": not allowed in image volume sources', done.stderr)
        self.assertEqual(done.stderr.count("Invalid value"), 1, done.stderr)

    def test_examples(self):
        for file in sorted((ROOT / "examples").glob("*.yaml")):
            with self.subTest(file.name):
                self.check_file(file)


if __name__ == "__main__":
    require()
    unittest.main()
