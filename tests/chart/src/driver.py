"""What the tests ask of Python packages: Helm's v4 engine, and the API schemas of Kubernetes.

One question a line on standard input, one answer a line on standard output, both JSON. An answer is {"ok": …} or
{"error": "…"}. It ends with its input.
"""

import http.server
import json
import sys
import threading

import helm_python as helm
import kubernetes_validate
import yaml
from helm_python import _native
from kubernetes_validate.utils import all_versions, major_minor


def options(question):
    """What `helm template` takes as options; the package's own `render` knows fewer than the engine."""
    given = {"name": question["release"], "namespace": question["namespace"], "is_install": True}
    if question.get("kubernetes"):
        given["kube_version"] = question["kubernetes"]
    return json.dumps(given)


def render(question):
    """Every file that the chart renders to, by its path."""
    values = json.dumps(helm.values_from_yaml(question["values"]))
    with helm.Chart.load(question["chart"]) as chart:
        if "objects" not in question:
            return json.loads(_native.call_string("helm_render", chart._raw(), values, options(question)))
        with Cluster(question["namespace"], question["objects"]) as cluster, cluster.config() as config:
            rendered = _native.call_string(
                "helm_render_with_config", config._raw(), chart._raw(), values, options(question)
            )
            return json.loads(rendered)


KINDS = {
    "Secret": ("/api/v1", "secrets"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
}


class Cluster:
    """The part of a cluster that the function `lookup` sees: some objects, and that there are such kinds."""

    def __init__(self, namespace, objects):
        found = {}
        for it in objects:
            group, plural = KINDS[it["kind"]]
            found[f"{group}/namespaces/{namespace}/{plural}/{it['metadata']['name']}"] = it
        for kind, (group, plural) in KINDS.items():
            version = group.removeprefix("/apis/").removeprefix("/api/")
            kinds = found.setdefault(group, {"kind": "APIResourceList", "groupVersion": version, "resources": []})
            known = {"name": plural, "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            kinds["resources"].append(known)
        absent = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                body = json.dumps(found.get(path, absent)).encode()
                self.send_response(200 if path in found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def config(self):
        """How Helm reaches it."""
        name = "here"
        cluster = {"server": f"http://127.0.0.1:{self.server.server_address[1]}"}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {}}],
        }
        return helm.Config(kubeconfig_content=json.dumps(kubeconfig))


def lint(question):
    """What the linter says that is more than information."""
    values = helm.values_from_yaml(question["values"])
    report = helm.lint(question["chart"], values, strict=True, kube_version=question["kubernetes"])
    return [it["error"] for it in report["messages"] if it["severity"] > 1] + report["errors"]


def parse(question):
    """The documents of a YAML text, as Kubernetes reads them: 0444 is octal."""
    return [it for it in yaml.safe_load_all(question["text"]) if it]


def minors(_):
    """The minor versions of Kubernetes whose schemas there are, oldest first."""
    return sorted({major_minor(it) for it in all_versions()}, key=lambda it: int(it.split(".")[1]))


def validate(question):
    """What of an object its schema does not allow, unknown fields included."""
    try:
        kubernetes_validate.validate(question["object"], question["kubernetes"], strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None


VERBS = {it.__name__: it for it in (render, lint, parse, minors, validate)}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = {"ok": VERBS[question["verb"]](question)}
    except Exception as error:  # whatever it is, the test that asked has to hear of it
        answer = {"error": str(error) or repr(error)}
    print(json.dumps(answer), flush=True)
