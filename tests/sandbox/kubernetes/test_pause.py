import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from sandbox.kubernetes import pause


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "catatonit"
    path.write_bytes(b"\x7fELF a static program")
    return path


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def test_every_blob_has_the_digest_and_size_that_its_descriptor_says(binary: Path) -> None:
    found = files(pause.archive(binary, "localhost/symphony/pause:x"))
    index = json.loads(found["index.json"])
    manifest = json.loads(found["blobs/sha256/" + index["manifests"][0]["digest"].removeprefix("sha256:")])
    for descriptor in (index["manifests"][0], manifest["config"], *manifest["layers"]):
        blob = found["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert hashlib.sha256(blob).hexdigest() == descriptor["digest"].removeprefix("sha256:")
        assert len(blob) == descriptor["size"]


def test_the_layer_holds_the_program_alone_and_executable(binary: Path) -> None:
    found = files(pause.archive(binary, "localhost/symphony/pause:x"))
    layers = [blob for name, blob in found.items() if name.startswith("blobs/") and b"ustar" in blob]
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as layer:
        assert [(entry.name, entry.mode) for entry in layer] == [("catatonit", 0o755)]


def test_the_image_runs_as_nobody_in_pause_mode_under_the_name_given(binary: Path) -> None:
    found = files(pause.archive(binary, "localhost/symphony/pause:x"))
    index = json.loads(found["index.json"])
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "localhost/symphony/pause:x"
    configs = [json.loads(blob) for blob in found.values() if b"rootfs" in blob and b"ustar" not in blob]
    assert configs[0]["config"] == {"Entrypoint": ["/catatonit", "-P"], "User": "65535:65535"}


def test_the_same_program_makes_the_same_bytes_and_another_one_another_tag(binary: Path) -> None:
    assert pause.archive(binary, "a:b") == pause.archive(binary, "a:b")
    first = pause.reference(binary)
    binary.write_bytes(b"another")
    assert pause.reference(binary) != first
