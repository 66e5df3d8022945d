"""A Deployment's pod in a container: what a node would do with it, done by Docker."""

from pathlib import Path
from typing import Any

import httpx
import yaml

from kubiya_workers.launchers.docker.spec import IMAGE
from kubiya_workers.settings.quantities import size
from tests.dockerd import Docker

OURS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "monitoring.yaml"
MANUAL = Path(__file__).parent / "manual" / "basic.yaml"
SOMEBODY = 1_000_680_000
"""A user as a cluster may choose one for a namespace: no image knows it."""

Object = dict[str, Any]


def run(docker: Docker, file: Path, instead: dict[str, str], *, user: int | None = None) -> Object:
    """Run the pod of a file's Deployment, with some other variables; the manifest of its container."""
    objects: list[Object] = list(yaml.safe_load_all(file.read_text()))
    (deployment,) = (thing for thing in objects if thing["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    env = {**environment(worker, objects), **instead}
    (queue,) = {env["QUEUE_ID"]}
    words = [word.replace("$(QUEUE_ID)", queue) for word in (*worker["command"], *worker["args"])]
    emptied = {volume["name"] for volume in pod.get("volumes", ()) if "emptyDir" in volume}
    mounts = [mount["mountPath"] for mount in worker.get("volumeMounts", ()) if mount["name"] in emptied]
    # Of a control plane on this machine's loopback, which pods of a cluster do not have.
    flags = ["--network=host", f"--memory={size(1, 1 << 50)(worker['resources']['limits']['memory'])}"]
    flags += [f"--tmpfs={path}:exec,mode=0777" for path in mounts]
    flags += [f"--env={name}={value}" for name, value in env.items()]
    security = worker.get("securityContext", {})
    if security.get("readOnlyRootFilesystem"):
        flags.append("--read-only")
    if security.get("allowPrivilegeEscalation") is False:
        flags.append("--security-opt=no-new-privileges")
    flags += [f"--cap-drop={name}" for name in security.get("capabilities", {}).get("drop", ())]
    flags += [f"--user={user}:0"] if user else []
    docker.run("run", "-d", "--name=pod", *flags, f"--entrypoint={words[0]}", IMAGE, *words[1:])
    return worker


def environment(worker: Object, objects: list[Object]) -> dict[str, str]:
    """What a node puts into a container's environment."""
    named = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}
    found: dict[str, str] = {}
    for source in worker.get("envFrom", ()):
        found |= named[("ConfigMap", source["configMapRef"]["name"])]["data"]
    for entry in worker["env"]:
        match entry.get("valueFrom"):
            case None:
                found[entry["name"]] = entry["value"]
            case {"secretKeyRef": ref}:
                found[entry["name"]] = named[("Secret", ref["name"])]["stringData"][ref["key"]]
            case {"fieldRef": {"fieldPath": "metadata.name"}}:
                found[entry["name"]] = "kubiya-worker-7d9f-abcde"
            case {"resourceFieldRef": {"resource": "limits.memory"}}:
                found[entry["name"]] = str(size(1, 1 << 50)(worker["resources"]["limits"]["memory"]))
            case other:
                raise AssertionError(other)
    return found


def answers(port: str, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    except httpx.HTTPError:
        return False
