"""The gate before a registry that lives in the test's own process."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sandbox.aws import login
from sandbox.registry.ecr import Repository
from sandbox.registry.event import PrefectEvents
from sandbox.registry.gate import Gate
from sandbox.registry.manifest import MEDIA_TYPES, Manifest, digest
from sandbox.registry.notification import Intake
from sandbox.registry.referrers import Referrers
from sandbox.registry.settings import NOTIFICATIONS, SECRET_HEADER, GateSettings
from sandbox.registry.upstream import Upstream

SETTINGS = GateSettings(
    host="127.0.0.1",
    port=5010,
    registry="http://registry",
    registry_password="behind",
    notification_secret="notify",
    login_secret="login",
    prefect="http://prefect",
    prefect_password="prefect",
    ledger="",
    storage="",
)
ONE, TWO = (json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPES[2], "n": n}).encode() for n in (1, 2))


@dataclass
class Books:
    """ECR's books, in memory."""

    repositories: dict[str, Repository]
    images: dict[tuple[str, str], str] = field(default_factory=dict)

    def repository(self, name: str) -> Repository | None:
        return self.repositories.get(name)

    def digest_of(self, repository: str, reference: str) -> str | None:
        return self.images.get((repository, reference))

    def put(self, repository: str, tag: str | None, image: Manifest) -> None:
        if repository not in self.repositories:
            raise ClientError({"Error": {"Code": "RepositoryNotFoundException"}}, "PutImage")
        for reference in (tag, image.digest):
            if reference:
                self.images[repository, reference] = image.digest


@dataclass
class Behind:
    """A registry that keeps what it is given and notifies the gate, with what it saw."""

    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    blobs: list[bytes] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    notify: Callable[[dict[str, Any]], Any] | None = None

    async def tell(self, envelope: dict[str, Any]) -> None:
        await asyncio.sleep(0.05)  # a notification comes after the answer
        if self.notify:
            await self.notify(envelope)

    def application(self) -> Starlette:
        async def manifests(request: Request) -> Response:
            self.seen.append(request)
            name, reference = request.path_params["name"], request.path_params["reference"]
            if request.method == "PUT":
                body = await request.body()
                self.manifests[name, reference] = self.manifests[name, digest(body)] = body
                tag = {} if ":" in reference else {"tag": reference}
                target = {"repository": name, "digest": digest(body), "mediaType": MEDIA_TYPES[2], **tag}
                self.task = asyncio.create_task(self.tell({"events": [{"action": "push", "target": target}]}))
                return Response(status_code=201, headers={"Docker-Content-Digest": digest(body)})
            body = self.manifests[name, reference]
            return Response(body, media_type=MEDIA_TYPES[2], headers={"Docker-Content-Digest": digest(body)})

        async def blobs(request: Request) -> Response:
            self.seen.append(request)
            self.blobs.append(b"".join([chunk async for chunk in request.stream()]))
            return Response(status_code=202, headers={"Location": "/v2/dev/hello/blobs/uploads/next", "Range": "0-9"})

        return Starlette(
            routes=[
                Route("/v2/{name:path}/manifests/{reference}", manifests, methods=["GET", "HEAD", "PUT"]),
                Route("/v2/{name:path}/blobs/uploads/{upload:path}", blobs, methods=["POST", "PATCH", "PUT"]),
            ]
        )


@dataclass
class Setup:
    client: TestClient
    behind: Behind
    books: Books
    clock: list[float]
    events: list[dict[str, Any]]

    def put(self, path: str, body: bytes) -> httpx.Response:
        return self.client.put(path, content=body, headers={"Content-Type": MEDIA_TYPES[2], **self.login()})

    def login(self) -> dict[str, str]:
        return {"Authorization": f"Basic {login.issue('login', 1000, 60).token}"}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    behind = Behind()
    books = Books({"dev/hello": Repository("dev/hello", "IMMUTABLE"), "dev/loose": Repository("dev/loose")})
    clock = [1000.0]
    upstream = Upstream(
        httpx.AsyncClient(
            base_url="http://registry", auth=("gate", "behind"), transport=httpx.ASGITransport(behind.application())
        )
    )
    events: list[dict[str, Any]] = []

    async def prefect(request: Request) -> Response:
        events.extend(await request.json())
        return JSONResponse({}, 204)

    application = Starlette(routes=[Route("/api/events", prefect, methods=["POST"])])
    sender = PrefectEvents(httpx.AsyncClient(transport=httpx.ASGITransport(application)), "http://prefect")
    intake = Intake(books, upstream, sender, "127.0.0.1:5010")  # type: ignore[arg-type]
    referrers = Referrers(tmp_path)
    gate = Gate(SETTINGS, books, upstream, intake, referrers, lambda: clock[0]).application()  # type: ignore[arg-type]

    async def notify(envelope: dict[str, Any]) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://gate") as gateway:
            await gateway.post(NOTIFICATIONS, json=envelope, headers={SECRET_HEADER: "notify"})

    behind.notify = notify
    return Setup(TestClient(gate), behind, books, clock, events)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["code"])


def test_it_asks_for_basic_credentials(setup: Setup) -> None:
    answer = setup.client.get("/v2/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')
    assert code(answer) == "UNAUTHORIZED"


def test_a_login_opens_it(setup: Setup) -> None:
    assert setup.client.get("/v2/", headers=setup.login()).status_code == 200


@pytest.mark.parametrize("credentials", ["AWS:wrong", "root:x", "no colon", "AWS:a.b"])
def test_anything_else_does_not(setup: Setup, credentials: str) -> None:
    shown = base64.b64encode(credentials.encode()).decode()
    assert setup.client.get("/v2/", headers={"Authorization": f"Basic {shown}"}).status_code == 401


def test_an_expired_login_is_told_that_it_expired(setup: Setup) -> None:
    headers = setup.login()
    setup.clock[0] = 1060
    answer = setup.client.get("/v2/", headers=headers)
    assert answer.status_code == 401
    assert "expired" in answer.json()["errors"][0]["message"]


def test_a_repository_that_ecr_lacks_is_unknown_by_name(setup: Setup) -> None:
    answer = setup.client.post("/v2/dev/none/blobs/uploads/", headers=setup.login())
    assert (answer.status_code, code(answer)) == (404, "NAME_UNKNOWN")
    assert "dev/none" in answer.json()["errors"][0]["message"]
    assert setup.behind.seen == []


def test_a_push_is_in_ecr_when_it_is_done(setup: Setup) -> None:
    assert setup.put("/v2/dev/hello/manifests/one", ONE).status_code == 201
    assert setup.books.images["dev/hello", "one"] == digest(ONE)


def test_the_registry_sees_the_gates_login_and_never_ecrs(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    expected = "Basic " + base64.b64encode(b"gate:behind").decode()
    assert {request.headers["authorization"] for request in setup.behind.seen} == {expected}


def test_a_taken_immutable_tag_is_refused_before_the_registry_sees_it(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    before = len(setup.behind.seen)
    answer = setup.put("/v2/dev/hello/manifests/one", TWO)
    assert (answer.status_code, code(answer)) == (400, "TAG_INVALID")
    assert "'one'" in answer.json()["errors"][0]["message"]
    assert len(setup.behind.seen) == before


def test_the_same_image_may_be_pushed_again_under_its_immutable_tag(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    assert setup.put("/v2/dev/hello/manifests/one", ONE).status_code == 201


def test_a_mutable_tag_moves(setup: Setup) -> None:
    setup.put("/v2/dev/loose/manifests/one", ONE)
    assert setup.put("/v2/dev/loose/manifests/one", TWO).status_code == 201
    assert setup.books.images["dev/loose", "one"] == digest(TWO)


def test_an_excluded_tag_of_an_immutable_repository_moves() -> None:
    repository = Repository("r", "IMMUTABLE_WITH_EXCLUSION", ("latest*",))
    assert repository.immutable("v1")
    assert not repository.immutable("latest-dev")


def test_an_image_deleted_in_ecr_is_not_handed_out(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    path = f"/v2/dev/hello/manifests/{digest(ONE)}"
    assert setup.client.get(path, headers=setup.login()).content == ONE
    setup.books.images.clear()
    answer = setup.client.get(path, headers=setup.login())
    assert (answer.status_code, code(answer)) == (404, "MANIFEST_UNKNOWN")


def test_uploads_pass_through_with_query_and_relative_location(setup: Setup) -> None:
    answer = setup.client.post(
        "/v2/dev/hello/blobs/uploads/?mount=sha256:1&from=dev/loose",
        content=(part for part in (b"01234", b"56789")),
        headers=setup.login(),
    )
    assert (answer.status_code, answer.headers["Location"]) == (202, "/v2/dev/hello/blobs/uploads/next")
    assert setup.behind.blobs == [b"0123456789"]
    assert setup.behind.seen[0].url.query == "mount=sha256:1&from=dev/loose"


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/dev/hello/%2e%2e/secret", "/v2/Dev/manifests/one"])
def test_other_paths_are_not_there(setup: Setup, path: str) -> None:
    assert setup.client.get(path, headers=setup.login()).status_code == 404
    assert setup.behind.seen == []


def test_images_are_deleted_through_ecr_alone(setup: Setup) -> None:
    answer = setup.client.delete(f"/v2/dev/hello/manifests/{digest(ONE)}", headers=setup.login())
    assert (answer.status_code, code(answer)) == (405, "UNSUPPORTED")


def test_a_huge_manifest_is_refused(setup: Setup) -> None:
    answer = setup.put("/v2/dev/hello/manifests/one", b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status_code, code(answer)) == (413, "SIZE_INVALID")


def test_a_notification_without_the_secret_is_not_believed(setup: Setup) -> None:
    assert setup.client.post(NOTIFICATIONS, json={"events": []}).status_code == 403


def test_a_push_to_a_repository_deleted_meanwhile_is_not_told_for_ever(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    setup.books.repositories.clear()
    target = {"repository": "dev/hello", "digest": digest(ONE), "mediaType": MEDIA_TYPES[2], "tag": "two"}
    told = {"events": [{"action": "push", "target": target}]}
    assert setup.client.post(NOTIFICATIONS, json=told, headers={SECRET_HEADER: "notify"}).status_code == 200
    assert ("dev/hello", "two") not in setup.books.images


def test_a_push_raises_its_event(setup: Setup) -> None:
    with setup.client:  # one event loop for the whole of it
        setup.put("/v2/dev/hello/manifests/one", ONE)
        setup.client.get("/v2/")
    assert [event["payload"]["detail"]["image-digest"] for event in setup.events] == [digest(ONE)]


SBOM = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPES[2],
        "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json"},
        "subject": {"mediaType": MEDIA_TYPES[2], "digest": digest(ONE), "size": len(ONE)},
    }
).encode()


def test_what_refers_to_an_image_is_listed_as_ecr_lists_it(setup: Setup) -> None:
    setup.put("/v2/dev/hello/manifests/one", ONE)
    path = f"/v2/dev/hello/referrers/{digest(ONE)}"
    assert setup.client.get(path, headers=setup.login()).json()["manifests"] == []
    answer = setup.put(f"/v2/dev/hello/manifests/{digest(SBOM)}", SBOM)
    assert answer.headers["OCI-Subject"] == digest(ONE)
    (listed,) = setup.client.get(path, headers=setup.login()).json()["manifests"]
    assert (listed["digest"], listed["artifactType"]) == (digest(SBOM), "application/spdx+json")
    other = setup.client.get(f"{path}?artifactType=text/plain", headers=setup.login())
    assert (other.json()["manifests"], other.headers["OCI-Filters-Applied"]) == ([], "artifactType")


def test_a_referrer_deleted_in_ecr_is_listed_no_more(setup: Setup) -> None:
    setup.put(f"/v2/dev/hello/manifests/{digest(SBOM)}", SBOM)
    setup.books.images.clear()
    answer = setup.client.get(f"/v2/dev/hello/referrers/{digest(ONE)}", headers=setup.login())
    assert answer.json()["manifests"] == []


def test_an_image_is_nobodys_referrer(setup: Setup) -> None:
    assert "OCI-Subject" not in setup.put("/v2/dev/hello/manifests/one", ONE).headers
