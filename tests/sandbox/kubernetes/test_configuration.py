import os
import stat
import subprocess
import threading
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sandbox.kubernetes import (
    certificates,
    container_runtime,
    control_plane,
    dns,
    kubeconfig,
    kubelet,
    leftovers,
    network,
    proxy,
)
from sandbox.kubernetes.layout import Layout, yaml_text
from sandbox.world import World
from symphony.errors import BadInputError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("catatonit", "containerd", "coredns", "etcd", "kube-apiserver", "kube-controller-manager"):
        (programs / name).write_text("")
        (programs / name).chmod(0o755)
    for name in ("kube-proxy", "kube-scheduler", "kubelet"):
        (programs / name).write_text("")
        (programs / name).chmod(0o755)
    return Layout(World(source=tmp_path, state=tmp_path / "s", tools=(programs,)))


def test_containerd_keeps_everything_below_the_state_folder(layout: Layout) -> None:
    found = tomllib.loads(container_runtime.configuration(layout))
    cri = found["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    for path in (found["root"], found["state"], found["temp"], found["grpc"]["address"], runc["Root"]):
        assert Path(path).is_relative_to(layout.root)
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["restrict_oom_score_adj"] is True
    assert cri["sandbox_image"].startswith("localhost/symphony/pause:")


def test_the_registry_is_asked_over_plain_http(layout: Layout) -> None:
    name, content = container_runtime.registry_hosts(layout)
    assert name == "certs.d/127.0.0.1:5010/hosts.toml"
    found = tomllib.loads(content)
    assert found["host"]["http://127.0.0.1:5010"]["capabilities"] == ["pull", "resolve"]


def test_the_kubelet_answers_on_the_bridge_alone_and_asks_who_is_there(layout: Layout) -> None:
    found = kubelet.configuration(layout)
    assert found["address"] == "10.213.0.1"
    assert found["authentication"]["anonymous"] == {"enabled": False}
    assert found["authorization"] == {"mode": "Webhook"}
    assert (found["failCgroupV1"], found["cgroupDriver"], found["oomScoreAdj"]) == (False, "cgroupfs", 0)
    assert found["clusterDNS"] == ["10.213.0.1"]


def test_the_credential_provider_answers_for_the_registry_alone(layout: Layout) -> None:
    (provider,) = kubelet.provider_configuration(layout)["providers"]
    assert provider["matchImages"] == ["127.0.0.1:5010"]
    assert provider["args"] == ["http://127.0.0.1:4566", "eu-central-1"]
    assert {entry["name"] for entry in provider["env"]} == {"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"}


def test_the_credential_provider_is_a_program_that_runs_from_any_folder(layout: Layout, tmp_path: Path) -> None:
    kubelet.kubelet(layout)
    script = layout.root / "credential-providers" / "ecr-credential-provider"
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert repr(str(Path(kubelet.__file__).parents[2])) in script.read_text()
    done = subprocess.run(
        [script, "http://127.0.0.1:1", "eu-central-1"],
        input="{",
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The ECR login could not be had from http://127.0.0.1:1")


def test_kube_proxy_touches_no_setting_of_the_machine(layout: Layout) -> None:
    found = proxy.configuration(layout)
    assert found["conntrack"] == {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    assert found["iptables"]["localhostNodePorts"] is False


def test_the_control_plane_asks_for_credentials_everywhere(layout: Layout) -> None:
    api, store = control_plane.api_server(layout).argv, control_plane.etcd(layout).argv
    assert {"--anonymous-auth=false", "--authorization-mode=Node,RBAC", "--bind-address=10.213.0.1"} <= {*map(str, api)}
    assert {"--client-cert-auth=true", "--listen-client-urls=https://127.0.0.1:2389"} <= {*map(str, store)}
    for daemon in (control_plane.controller_manager(layout), control_plane.scheduler(layout)):
        assert "--secure-port=0" in daemon.argv


def test_pods_get_addresses_of_the_sandbox_from_below_the_state_folder(layout: Layout) -> None:
    bridge, portmap = network.configuration(layout)["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.213.0.0/24", "gateway": "10.213.0.1"}]]
    assert Path(bridge["ipam"]["dataDir"]).is_relative_to(layout.root)
    assert portmap["type"] == "portmap"


def test_coredns_listens_on_the_bridge_and_forwards_only_where_a_name_server_is_known(layout: Layout) -> None:
    assert "bind 10.213.0.1" in dns.corefile(layout, "")
    assert "forward" not in dns.corefile(layout, "search example.org\n")
    assert "forward . /etc/resolv.conf" in dns.corefile(layout, "nameserver 192.0.2.1\n")


def test_the_peoples_kubeconfig_is_complete_in_itself_and_theirs_alone(layout: Layout) -> None:
    certificates.ensure(layout)
    kubeconfig.write(layout)
    path = layout.world.kubeconfig
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = YAML(typ="safe").load(path.read_text())
    assert found["current-context"] == found["contexts"][0]["name"] == "symphony"
    assert found["clusters"][0]["cluster"]["server"] == "https://10.213.0.1:6450"
    assert set(found["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    for component in kubeconfig.COMPONENTS:
        user = YAML(typ="safe").load(kubeconfig.path(layout, component).read_text())["users"][0]["user"]
        assert Path(user["client-key"]).exists()


def test_a_file_is_written_again_only_where_its_text_differs(layout: Layout) -> None:
    path = layout.write("a/b", "one")
    first = path.stat().st_ino
    assert layout.write("a/b", "one").stat().st_ino == first
    assert layout.write("a/b", "two").read_text() == "two"


def test_a_state_folder_too_deep_for_a_socket_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="SYMPHONY_STATE"):
        Layout(World(source=tmp_path, state=tmp_path / ("deep" * 20))).check_length()


def test_yaml_keeps_the_order_of_keys() -> None:
    assert yaml_text({"b": [{"c": 1}], "a": False}) == "b:\n- c: 1\na: false\n"


def test_a_dns_question_is_answered_by_its_own_answer_alone() -> None:
    packet = dns.question("kubernetes.default.svc.cluster.local", 7)
    assert packet.endswith(b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01")
    answered = packet[:2] + b"\x81\x80\x00\x01\x00\x02" + packet[8:]
    assert dns.answers(answered, 7) == 2
    assert dns.answers(answered, 8) == 0
    assert dns.answers(packet[:2] + b"\x81\x83\x00\x01\x00\x02" + packet[8:], 7) == 0
    assert dns.answers(b"", 7) == 0


def test_mounts_below_the_folder_are_found_deepest_first_whatever_their_names() -> None:
    mountinfo = (
        "1 0 0:1 / / rw - ext4 /dev/vda rw\n"
        "2 1 0:2 / /s/kubernetes/pods/a\\040b rw - tmpfs tmpfs rw\n"
        "3 2 0:3 / /s/kubernetes/pods/a\\040b/c rw - tmpfs tmpfs rw\n"
        "4 1 0:4 / /s/kubernetes-other rw - tmpfs tmpfs rw\n"
    )
    assert leftovers.mount_points(mountinfo, Path("/s/kubernetes")) == [
        "/s/kubernetes/pods/a b/c",
        "/s/kubernetes/pods/a b",
    ]


def test_a_cgroup_that_is_busy_for_a_moment_is_removed_once_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").touch()
    pod = tmp_path / "symphony" / "pod"
    pod.mkdir(parents=True)
    # A folder with something in it is refused as a cgroup is that still has a process.
    process = pod / "process"
    process.touch()
    monkeypatch.setattr(leftovers, "_CGROUPS", tmp_path)
    ending = threading.Timer(0.3, process.unlink)
    ending.start()
    leftovers.remove_cgroups()
    ending.join()
    assert not (tmp_path / "symphony").exists()
