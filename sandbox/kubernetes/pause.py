"""The pause image, made here: no registry on the internet is asked."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

REPOSITORY = "localhost/symphony/pause"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def reference(binary: Path) -> str:
    """The image's name; its tag changes with the binary."""
    return f"{REPOSITORY}:{hashlib.sha256(binary.read_bytes()).hexdigest()[:12]}"


def archive(binary: Path, name: str) -> bytes:
    """A tar archive with one image of one static program, the same bytes for the same program.

    The layout is the OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).

    Args:
        binary: catatonit, which waits as PID 1 and reaps orphans with ``-P``.
        name: Full reference that an import gives it.
    """
    layer = _tar({"catatonit": (binary.read_bytes(), 0o755)})
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/catatonit", "-P"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created_by": "symphony sandbox", "comment": "catatonit"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    named = {**_descriptor(_MANIFEST, manifest), "annotations": {"io.containerd.image.name": name}}
    named["platform"] = {"architecture": architecture, "os": "linux"}
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [named]}),
        **{f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (config, layer, manifest)},
    }
    return _tar({path: (content, 0o644) for path, content in files.items()})


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
