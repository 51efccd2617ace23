"""The KubeRay files: right by the operator's rules, behind a token, bounded, and in step with recipe and image."""

import copy
import importlib.metadata
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.core import TyperGroup
from typer.main import get_command

from pipelines.cli import app
from pipelines.cluster.settings import NODE_LABEL
from tests.infra.kuberay_fields import ClusterSpec, RayCluster, RayJob

_FOLDER = Path(__file__).parents[2] / "infra" / "kuberay"


def read(name: str) -> dict[str, Any]:
    found = yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def specs() -> list[ClusterSpec]:
    cluster, job = RayCluster.model_validate(read("cluster.yaml")), RayJob.model_validate(read("job.yaml"))
    return [cluster.spec, job.spec.rayClusterSpec]


def test_both_files_keep_to_the_fields_and_rules_of_the_operator() -> None:
    assert len(specs()) == 2


Slip = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "slip",
    [
        lambda spec: spec.update(authOption={"mode": "token"}),
        lambda spec: spec["authOptions"].update(mode="none"),
        lambda spec: spec.update(rayVersion="2.51.0"),
        lambda spec: spec["workerGroupSpecs"][0]["rayStartParams"].update(labels="curate-node=crawl"),
        lambda spec: spec["workerGroupSpecs"][0].update(maxReplicas=1),
        lambda spec: spec["workerGroupSpecs"][0]["template"]["spec"].update(volumes=[]),
        lambda spec: spec["headGroupSpec"]["template"]["spec"].update(containers=[]),
        lambda spec: spec["headGroupSpec"].update(serviceType="Public"),
    ],
)
def test_a_slip_in_a_file_is_found(slip: Slip) -> None:
    broken = copy.deepcopy(read("cluster.yaml"))
    slip(broken["spec"])
    with pytest.raises(ValidationError):
        RayCluster.model_validate(broken)


def test_clusters_ask_for_a_token_and_nothing_is_offered_to_the_outside() -> None:
    for spec in specs():
        assert spec.authOptions.mode == "token"
        assert spec.headGroupSpec.serviceType == "ClusterIP"
        assert spec.headGroupSpec.enableIngress is False
    assert specs()[0].headGroupSpec.rayStartParams["dashboard-host"] == "127.0.0.1"


def test_only_the_pods_and_the_operator_reach_the_pods() -> None:
    policy = read("network.yaml")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    selected = policy["podSelector"]["matchLabels"].items()
    for spec in specs():
        for group in (spec.headGroupSpec, *spec.workerGroupSpecs):
            assert selected <= group.template.metadata.labels.items()
    among, operator = policy["ingress"]
    assert among["from"] == [{"podSelector": policy["podSelector"]}]
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]
    assert all("namespaceSelector" in peer for peer in operator["from"])


def test_the_pod_that_submits_the_job_is_let_in_too() -> None:
    """The operator's own template for it has no labels, so that the policy would keep it from the head."""
    job = RayJob.model_validate(read("job.yaml"))
    submitter = job.spec.submitterPodTemplate
    assert submitter is not None
    assert read("network.yaml")["spec"]["podSelector"]["matchLabels"].items() <= submitter.metadata.labels.items()
    (container,) = submitter.spec.containers
    (head,) = job.spec.rayClusterSpec.headGroupSpec.template.spec.containers
    assert container.image == head.image, "the same Ray on both sides"
    assert not container.volumeMounts
    assert submitter.spec.securityContext.runAsNonRoot
    assert not submitter.spec.automountServiceAccountToken
    assert not container.securityContext.allowPrivilegeEscalation


@pytest.mark.parametrize(
    "slip",
    [
        lambda spec: spec["submitterPodTemplate"]["spec"].pop("restartPolicy"),
        lambda spec: spec.update(submissionMode="SidecarMode"),
        lambda spec: spec.update(shutdownAfterJobFinishes=False),
    ],
)
def test_a_slip_in_a_job_is_found(slip: Slip) -> None:
    broken = copy.deepcopy(read("job.yaml"))
    slip(broken["spec"])
    with pytest.raises(ValidationError):
        RayJob.model_validate(broken)


def test_no_pod_is_root_or_unbounded_and_no_secret_stands_in_a_file() -> None:
    for spec in specs():
        for group in (spec.headGroupSpec, *spec.workerGroupSpecs):
            pod = group.template.spec
            assert pod.securityContext.runAsNonRoot
            assert pod.securityContext.runAsUser != 0
            (container,) = pod.containers
            assert not container.securityContext.allowPrivilegeEscalation
            assert container.resources.limits["memory"] == container.resources.requests["memory"]
            assert {variable.name for variable in container.env} <= {
                "CURATE_SCRATCH",
                "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
            }
            assert pod.automountServiceAccountToken is (group is spec.headGroupSpec)


def test_scratch_is_the_node_s_own_and_bounded() -> None:
    for spec in specs():
        for group in (spec.headGroupSpec, *spec.workerGroupSpecs):
            (container,) = group.template.spec.containers
            scratch = next(variable.value for variable in container.env if variable.name == "CURATE_SCRATCH")
            (mount,) = [mount for mount in container.volumeMounts if mount.mountPath == scratch]
            (volume,) = [volume for volume in group.template.spec.volumes if volume.name == mount.name]
            assert volume.emptyDir is not None


def test_gpus_score_and_cpus_crawl_within_pinned_bounds() -> None:
    for spec in specs():
        assert spec.enableInTreeAutoscaling
        assert spec.autoscalerOptions.version == "v2"  # the first one heeds no labels
        by_label = {group.labels[NODE_LABEL]: group for group in spec.workerGroupSpecs}
        assert set(by_label) == {"crawl", "gpu"}
        gpus = {name: "nvidia.com/gpu" in _limits(group) for name, group in by_label.items()}
        assert gpus == {"crawl": False, "gpu": True}
        assert all(group.maxReplicas <= 16 for group in spec.workerGroupSpecs)
        assert spec.headGroupSpec.rayStartParams["num-cpus"] == "0"


def _limits(group: Any) -> dict[str, str]:
    (container,) = group.template.spec.containers
    return dict(container.resources.limits)


def test_the_files_name_the_ray_that_is_pinned() -> None:
    assert {spec.rayVersion for spec in specs()} == {importlib.metadata.version("ray")}


def test_the_job_s_command_is_one_that_curate_has() -> None:
    job = RayJob.model_validate(read("job.yaml"))
    words = shlex.split(job.spec.entrypoint)
    assert words[:2] == ["curate", "run"]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    known = {option for parameter in group.commands["run"].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    head = job.spec.rayClusterSpec.headGroupSpec.template.spec
    mounts = {mount.mountPath for container in head.containers for mount in container.volumeMounts}
    assert Path(words[2]).parent.as_posix() in mounts
    assert "s3://" in job.spec.entrypoint, "a folder of one pod would be refused"
