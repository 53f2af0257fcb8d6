"""Inputs for parsers: samples of what is right with some of it otherwise, and texts of any kind."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "tasks" / "samples"
DIGEST = "sha256:" + "d" * 64

words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "sha256:" + "e" * 64, "a" * 40, "../x", "-x", "http://[", "2001-99-99", "\ud800", "\0", "1" * 5000]
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@st.composite
def like(draw: st.DrawFn, sample: Any) -> Any:
    """A sample, with up to three of its parts taken out or otherwise."""
    made = [copy.deepcopy(sample)]
    for _ in range(draw(st.integers(0, 3))):
        *way, last = (0, *draw(st.sampled_from(list(places(made[0])))))
        node: Any = made
        for key in way:
            node = node[key]
        if isinstance(node, dict) and draw(st.booleans()):
            del node[last]
        else:
            node[last] = draw(values)
    return made[0]


def written(sample: Any) -> st.SearchStrategy[str]:
    """Texts: a sample like the one given as JSON, cut anywhere, or of any kind."""
    whole = like(sample).map(json.dumps)
    cut = st.tuples(whole, st.integers(0, 2000)).map(lambda pair: pair[0][: pair[1]])
    deep = st.sampled_from(["[" * 50_000, '{"a":' * 50_000, "[[]]", "NaN", "&a [*a]"])
    return st.one_of(whole, whole, whole, cut, st.text(max_size=200), deep)


def lines(*parts: str) -> st.SearchStrategy[str]:
    """Texts made of these parts and of any other, in any order."""
    return st.lists(st.one_of(st.sampled_from(parts), st.text(max_size=8)), max_size=30).map("".join)


CONFIGURATION = {
    "version": 1,
    "project": "shop",
    "git": {"remote": "https://git.example.com/shop.git"},
    "applications": {"one": {"source": "a", "chart": "c", "repository": "{environment}/one", "values": {"a": [1]}}},
    "environments": {
        "dev": {
            "kind": "aws",
            "aws": {"account": "111122223333", "region": "eu-central-1"},
            "kubernetes": {"context": "dev", "namespace": "dev"},
            "argocd": {"url": "https://argocd.example.com"},
        }
    },
}
LISTING = {
    "prefect-version": "3.9.1",
    "deployments": [{"name": "dev", "entrypoint": "flows/release.py:release", "parameters": {"environment": "dev"}}],
}
PLAN = json.loads((SAMPLES / "plan.json").read_text())
FIND = json.loads((SAMPLES / "find.json").read_text())
APPLICATION = {
    "metadata": {"name": "dev-one", "annotations": {"a": "b"}, "resourceVersion": "1"},
    "spec": {"project": "symphony", "syncPolicy": {"automated": {"prune": True}}},
    "status": {
        "sync": {"status": "Synced", "revision": "a" * 40},
        "health": {"status": "Healthy"},
        "reconciledAt": "2026-01-01T00:00:02Z",
        "conditions": [{"type": "Other", "message": "m"}],
        "operationState": {
            "phase": "Succeeded",
            "message": "done",
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
            "operation": {"sync": {"revision": "a" * 40}},
            "syncResult": {
                "revision": "a" * 40,
                "resources": [{"hookType": "PreSync", "hookPhase": "Succeeded", "kind": "Job", "name": "migrate"}],
            },
        },
    },
}
INGRESS = {
    "metadata": {"name": "one", "namespace": "dev", "annotations": {"symphony.dev/smoke": "{good: 2}"}},
    "spec": {
        "tls": [{"hosts": ["one.example.com"]}],
        "defaultBackend": {"service": {"name": "one"}},
        "rules": [
            {
                "host": "one.example.com",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "one"}}}]},
            }
        ],
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.7", "ports": [{"port": 80}]}]}},
}
SMOKE = {"version": "/v", "good": 2, "tests": 3, "paths": {"/": {"status": 200, "fields": {"$.a": 1}, "seconds": 2}}}
ENTRY = {
    "application": "one",
    "environment": "dev",
    "chart": "charts/one",
    "values": ["values.dev.yaml"],
    "commit": "a" * 40,
    "image": {"repository": "registry.example/dev/one", "digest": DIGEST},
    "more": {"a": 1},
}
RECORD = {
    "schema_version": 2,
    "kind": "release",
    "environment": "dev",
    "commit": "a" * 40,
    "state": "succeeded",
    "run": "r",
    "started": "2026-01-01T00:00:00.000+00:00",
    "seconds": 2.0,
    "images": [],
    "approvals": [{"approver": "Ada", "decision": "approve", "at": "2026-01-01T00:00:00Z", "commit": "a" * 40}],
}
HOLD = {"schema_version": 1, "environment": "dev", "application": "one", "who": "Ada", "why": "", "since": "2026"}
FINDING = [{"area": "cluster", "kind": "drift", "where": "one", "what": "Deployment one", "told": "x", "since": "2026"}]
LOCK = {"ID": "1", "Who": "Ada", "Created": "2026", "Operation": "apply"}
NOTIFICATION = {
    "events": [
        {
            "action": "push",
            "target": {
                "repository": "dev/one",
                "digest": DIGEST,
                "tag": "t",
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
            },
        }
    ]
}
EVENT = {"pull_request": {"number": 7}}
CHART = {
    "apiVersion": "v2",
    "name": "one",
    "version": "0.1.0",
    "dependencies": [{"name": "s", "repository": "file://../s"}],
}
ROLLOUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "one", "namespace": "argocd"},
    "spec": {"source": {"path": "charts/one"}, "destination": {"namespace": "dev"}},
}
MANIFEST = {
    "apiVersion": "v1",
    "kind": "List",
    "metadata": {"name": "one", "namespace": "dev"},
    "items": [{"kind": "Pod"}],
}
EXCEPTIONS = {
    "exceptions": [{"rule": "a", "unit": "dev/network", "address": "aws_vpc.a", "reason": "r", "until": "2030-01-01"}]
}
