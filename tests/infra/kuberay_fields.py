"""The fields of KubeRay's resources that our files use, and the rules by which its operator refuses them.

Kept by hand after the API reference of KubeRay 1.6 and what its operator checks; Kubernetes' own fields as far as we
set them. A field that is not here is a slip of ours until it is looked up and added.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|Mi|Gi|Ti)?$")]
LabelText = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
Dns1035 = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,46}[a-z0-9])?$")]


class Fields(BaseModel):
    """Closed: an unknown field is an error, as with `kubectl apply --validate=strict`."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Resources(Fields):
    requests: dict[Literal["cpu", "memory", "nvidia.com/gpu"], Quantity]
    limits: dict[Literal["cpu", "memory", "nvidia.com/gpu"], Quantity]


class AutoscalerOptions(Fields):
    version: Literal["v1", "v2"]
    upscalingMode: Literal["Default", "Aggressive", "Conservative"]
    idleTimeoutSeconds: int = Field(ge=0)
    resources: Resources


class AuthOptions(Fields):
    mode: Literal["disabled", "token"]
    secretName: str | None = None


class Variable(Fields):
    name: str
    value: str


class Named(Fields):
    name: str


class FromSecret(Fields):
    secretRef: Named


class Mount(Fields):
    name: str
    mountPath: str
    readOnly: bool = False


class Capabilities(Fields):
    drop: list[str]


class ContainerSecurity(Fields):
    allowPrivilegeEscalation: bool
    capabilities: Capabilities


class Container(Fields):
    name: str
    image: str
    env: list[Variable] = []
    envFrom: list[FromSecret] = []
    resources: Resources
    securityContext: ContainerSecurity
    volumeMounts: list[Mount] = []


class EmptyDir(Fields):
    sizeLimit: Quantity


class Volume(Fields):
    name: str
    emptyDir: EmptyDir | None = None
    configMap: Named | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.emptyDir is None) == (self.configMap is None):
            raise ValueError("a volume has one source")
        return self


class Seccomp(Fields):
    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]


class PodSecurity(Fields):
    runAsNonRoot: bool
    runAsUser: int
    runAsGroup: int
    fsGroup: int
    seccompProfile: Seccomp


class Toleration(Fields):
    key: str
    operator: Literal["Exists", "Equal"]
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Pod(Fields):
    automountServiceAccountToken: bool
    terminationGracePeriodSeconds: int = 30
    securityContext: PodSecurity
    tolerations: list[Toleration] = []
    restartPolicy: Literal["Always", "OnFailure", "Never"] = "Always"
    containers: list[Container] = Field(min_length=1)
    volumes: list[Volume] = []

    @model_validator(mode="after")
    def _mounts_are_volumes(self) -> Self:
        names = {volume.name for volume in self.volumes}
        mounted = {mount.name for container in self.containers for mount in container.volumeMounts}
        if mounted - names:
            raise ValueError(f"mounted, and no volume: {mounted - names}")
        return self


class PodMetadata(Fields):
    labels: dict[str, LabelText]


class PodTemplate(Fields):
    metadata: PodMetadata
    spec: Pod


class Group(Fields):
    labels: dict[str, LabelText] = {}
    rayStartParams: dict[str, str]
    template: PodTemplate

    @model_validator(mode="after")
    def _labels_stand_outside(self) -> Self:
        if "labels" in self.rayStartParams:
            raise ValueError("rayStartParams['labels'] is refused by the operator: use `labels` of the group")
        return self


class HeadGroup(Group):
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    enableIngress: bool


class WorkerGroup(Group):
    groupName: str
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=0)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if not self.minReplicas <= self.replicas <= self.maxReplicas:
            raise ValueError("expected minReplicas <= replicas <= maxReplicas")
        return self


class ClusterSpec(Fields):
    rayVersion: str
    authOptions: AuthOptions
    enableInTreeAutoscaling: bool
    autoscalerOptions: AutoscalerOptions
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]

    @model_validator(mode="after")
    def _ray_knows_tokens(self) -> Self:
        numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", self.rayVersion)
        if self.authOptions.mode == "token" and (not numbers or (int(numbers[1]), int(numbers[2])) < (2, 52)):
            raise ValueError("authOptions.mode token needs rayVersion 2.52.0 or newer")
        return self


class JobSpec(Fields):
    entrypoint: str
    entrypointNumCpus: float
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]
    backoffLimit: int = Field(ge=0)
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: int = Field(ge=0)
    activeDeadlineSeconds: int = Field(gt=0)
    submitterPodTemplate: PodTemplate | None = None
    rayClusterSpec: ClusterSpec

    @model_validator(mode="after")
    def _cluster_goes_before_it_is_forgotten(self) -> Self:
        if self.ttlSecondsAfterFinished and not self.shutdownAfterJobFinishes:
            raise ValueError("ttlSecondsAfterFinished needs shutdownAfterJobFinishes")
        return self

    @model_validator(mode="after")
    def _the_submitter_is_a_pod_of_a_job(self) -> Self:
        if self.submitterPodTemplate is None:
            return self
        if self.submissionMode != "K8sJobMode":
            raise ValueError("submitterPodTemplate is of submissionMode K8sJobMode")
        if self.submitterPodTemplate.spec.restartPolicy == "Always":
            raise ValueError("a pod of a Kubernetes Job needs restartPolicy Never or OnFailure")
        return self


class Metadata(Fields):
    name: Dns1035


class RayCluster(Fields):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


class RayJob(Fields):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec
