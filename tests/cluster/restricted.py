"""The Pod Security Standard "restricted", and OpenShift's "restricted-v2", as rules on a pod.

Sources: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (restricted, with all of baseline), and
"Managing security context constraints" of OpenShift's manual.
"""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}


def violations(pod: Object) -> Iterator[str]:
    """What of a pod's spec the standard forbids."""
    whole = pod.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    for volume in pod.get("volumes", ()):
        if not set(volume) - {"name"} <= _VOLUMES:
            yield f"volume {volume['name']}"
    for sysctl in whole.get("sysctls", ()):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if whole.get("runAsUser") == 0:
        yield "runAsUser 0"
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        for found in _of_container(container, whole):
            yield f"{container['name']}: {found}"


def _of_container(container: Object, whole: Object) -> Iterator[str]:
    own = container.get("securityContext") or {}
    yield from _privileges(own)
    if own.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if own.get("runAsUser") == 0:
        yield "runAsUser 0"
    profile = (own.get("seccompProfile") or whole.get("seccompProfile") or {}).get("type")
    if profile not in _SECCOMP:
        yield "seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    for kind in ("seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if own.get(kind) or whole.get(kind):
            yield kind
    yield from _reaching_out(container)


def _privileges(own: Object) -> Iterator[str]:
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in capabilities.get("drop", ()):
        yield "capabilities are not all dropped"
    if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"


def _reaching_out(container: Object) -> Iterator[str]:
    """Ports of the host, and probes or hooks that are sent to some other host."""
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "hostPort"
    lifecycle = container.get("lifecycle") or {}
    asked = [container.get(f"{name}Probe") for name in ("liveness", "readiness", "startup")] + list(lifecycle.values())
    for probe in filter(None, asked):
        if any((probe.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield "a probe's host"


def against_openshift(pod: Object) -> Iterator[str]:
    """What of a pod's spec "restricted-v2" forbids: it gives users and groups itself, from the namespace's range."""
    yield from violations(pod)
    contexts = [pod.get("securityContext") or {}, *((one.get("securityContext") or {}) for one in pod["containers"])]
    for context in contexts:
        for name in ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"):
            if name in context:
                yield f"{name} is the cluster's to choose"
