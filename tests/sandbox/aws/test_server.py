"""The AWS server's application, whole, on a free port of loopback."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from sandbox.aws import ecr
from sandbox.aws.ecr_names import PUSHED_AT, RESTORED
from sandbox.aws.server import guarded, signer
from sandbox.aws.settings import AwsSettings

KEY = "AKIASYMPHONYSYMPHONY"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("aws") / "login-life"


@pytest.fixture(scope="module")
def endpoint(life: Path) -> Iterator[str]:
    settings = AwsSettings(
        host="127.0.0.1",
        port=0,
        account="123456789012",
        access_key=KEY,
        login_secret="login",
        login_life=str(life),
        registry="127.0.0.1:5010",
        layers="http://127.0.0.1:9",
        layers_user="gate",
        layers_password="gate",
    )
    with pytest.MonkeyPatch.context() as patch:
        for owner, names in (
            (ecr.ECRBackend, ("put_image", "create_repository", "batch_delete_image", "delete_repository")),
            (ecr.ECRResponse, ("get_authorization_token", "put_image")),
            (ecr.Image, ("get_image_size_in_bytes",)),
            (ecr.Repository, ("__init__",)),
        ):
            for name in names:
                patch.setattr(owner, name, getattr(owner, name))
        ecr.correct(settings)
        application = guarded(DomainDispatcherApplication(create_backend_app), KEY)
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()


def client(endpoint: str, service: Any, key: str = KEY, token: str | None = None) -> Any:
    return boto3.Session().client(
        service,
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        aws_session_token=token,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


def manifest(layer: int) -> str:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"size": 10},
            "layers": [{"size": layer, "digest": f"sha256:{layer:064x}"}],
        }
    )


def put(ecr: Any, repository: str, tag: str, layer: int) -> str:
    digest = f"sha256:{layer:064x}"
    ecr.put_image(repositoryName=repository, imageManifest=manifest(layer), imageTag=tag, imageDigest=digest)
    return digest


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ecr", "describe_repositories", "UnrecognizedClientException"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("ec2", "describe_vpcs", "InvalidClientTokenId"),
    ],
)
def test_a_foreign_access_key_is_refused_in_the_services_own_shape(
    endpoint: str, service: str, call: str, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(endpoint, service, key="AKIAFOREIGN"), call)()
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_keys_of_an_assumed_role_are_accepted(endpoint: str) -> None:
    role = client(endpoint, "sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/ci", RoleSessionName="ci")[
        "Credentials"
    ]
    identity = client(endpoint, "sts", role["AccessKeyId"], role["SessionToken"]).get_caller_identity()
    assert identity["Arn"].endswith("assumed-role/ci/ci")


def test_a_presigned_request_is_signed_in_its_query() -> None:
    query = "X-Amz-Credential=AKIAX%2F20260101%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    assert signer({"QUERY_STRING": query}) == ("AKIAX", "s3")
    assert signer({}) == ("", "")


def test_a_login_says_truly_when_it_expires_and_where_it_counts(endpoint: str, life: Path) -> None:
    life.write_text("30")
    entry = client(endpoint, "ecr").get_authorization_token()["authorizationData"][0]
    life.unlink()
    assert entry["proxyEndpoint"] == "http://127.0.0.1:5010"
    assert 20 < (entry["expiresAt"] - datetime.now(UTC)).total_seconds() <= 30


def test_an_image_is_as_big_as_its_configuration_and_layers(endpoint: str) -> None:
    ecr = client(endpoint, "ecr")
    made = ecr.create_repository(repositoryName="size")["repository"]
    put(ecr, "size", "one", 1000)
    assert made["repositoryUri"] == "127.0.0.1:5010/size"
    assert ecr.describe_images(repositoryName="size")["imageDetails"][0]["imageSizeInBytes"] == 1010


def test_an_image_whose_tag_moved_on_stays_untagged(endpoint: str) -> None:
    ecr = client(endpoint, "ecr")
    ecr.create_repository(repositoryName="moved")
    first, second = put(ecr, "moved", "latest", 1), put(ecr, "moved", "latest", 2)
    images = {
        image["imageDigest"]: image.get("imageTags")
        for image in ecr.describe_images(repositoryName="moved")["imageDetails"]
    }
    assert images == {first: None, second: ["latest"]}


def test_an_immutable_tag_does_not_move(endpoint: str) -> None:
    ecr = client(endpoint, "ecr")
    ecr.create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    put(ecr, "fixed", "one", 1)
    with pytest.raises(ClientError, match=r"ImageTagAlreadyExists|ImageAlreadyExists"):
        put(ecr, "fixed", "one", 2)


def test_provisioning_adopts_a_restored_repository_once(endpoint: str) -> None:
    ecr = client(endpoint, "ecr")
    ecr.create_repository(repositoryName="lost", tags=[{"Key": RESTORED, "Value": "true"}])
    put(ecr, "lost", "one", 1)
    made = ecr.create_repository(repositoryName="lost", imageTagMutability="IMMUTABLE", tags=[])["repository"]
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert [image["imageTags"] for image in ecr.describe_images(repositoryName="lost")["imageDetails"]] == [["one"]]
    with pytest.raises(ClientError, match="RepositoryAlreadyExists"):
        ecr.create_repository(repositoryName="lost")


def test_a_restored_image_keeps_its_push_time(endpoint: str) -> None:
    ecr = client(endpoint, "ecr")
    ecr.create_repository(repositoryName="dated")
    ecr.meta.events.register(
        "before-sign.ecr.PutImage", lambda request, **_: request.headers.add_header(PUSHED_AT, "1000000000")
    )
    put(ecr, "dated", "one", 1)
    assert ecr.describe_images(repositoryName="dated")["imageDetails"][0]["imagePushedAt"].timestamp() == 1000000000
