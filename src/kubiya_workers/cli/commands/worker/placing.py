"""Where in a cluster workers are: what the commands that look there take in common."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from kubiya_workers.contracts.pool import InstallationRef
from kubiya_workers.launchers.kubernetes import remembered, spec
from kubiya_workers.settings.paths import Paths


@dataclass(frozen=True)
class Place:
    """What was said of it; empty where nothing was."""

    namespace: str = ""
    name: str = ""
    kubeconfig: str = ""
    context: str = ""

    @property
    def is_said(self) -> bool:
        return any((self.namespace, self.name, self.kubeconfig, self.context))

    def of(self, paths: Paths, queue: str) -> InstallationRef | None:
        """The installation of a queue that is meant: the one that was made from here, and what was said on top of it;
        None when nothing was installed from here, and nothing was said."""
        known = remembered.read(paths, queue)
        return self.ref(queue, known) if known is not None or self.is_said else None

    def ref(self, queue: str, known: InstallationRef | None = None) -> InstallationRef:
        """The installation that is meant, as far as it was said; the rest is what is known, or usual."""
        from kubiya_workers.launchers.kubernetes import cluster

        elsewhere = self.kubeconfig or self.context
        if known is not None and not elsewhere:
            kubeconfig, context = known.kubeconfig, known.context
        else:
            kubeconfig, context = cluster.named(self.kubeconfig, self.context)
        return InstallationRef(
            name=spec.check_name("the name", self._name(queue, known)),
            namespace=self.within(known),
            queue=queue,
            kubeconfig=kubeconfig,
            context=context,
        )

    def called(self, queue: str, known: InstallationRef | None) -> str:
        """Its name, when it is made: what is derived from it must fit, too. Raises Invalid: it cannot be that."""
        return spec.check_name("the name", self._name(queue, known), spec.LONGEST)

    def _name(self, queue: str, known: InstallationRef | None) -> str:
        return self.name or (known.name if known else spec.name_of(queue))

    def within(self, known: InstallationRef | None) -> str:
        """Its namespace. Raises Invalid: a cluster takes no such name."""
        return spec.check_name("the namespace", self.namespace or (known.namespace if known else spec.NAMESPACE))


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--namespace`, `--name`, `--kubeconfig` and `--context`, given to the command together as `place`."""

    @click.option("--namespace", "-n", default="", help=f"The namespace in a cluster.  [default: {spec.NAMESPACE}]")
    @click.option("--name", default="", help="What the installation is called there.  [default: kubiya-worker-QUEUE]")
    @click.option("--kubeconfig", default="", type=click.Path(), help="As for kubectl.  [default: KUBECONFIG]")
    @click.option("--context", default="", help="As for kubectl.  [default: the current one]")
    @functools.wraps(command)
    def wrapped(*args: Any, namespace: str, name: str, kubeconfig: str, context: str, **rest: Any) -> Any:
        return command(*args, place=Place(namespace, name, kubeconfig, context), **rest)

    return wrapped
