"""Where the model calls of a worker that is started here go: flags, the environment, the context, then its queue."""

import json
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.queues import ENABLE_LOCAL_PROXY, LITELLM_CONFIG, proxy_config
from kubiya_workers.launchers.litellm.config import ProxyConfig, parsed, read
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.contexts import LocalProxy
from kubiya_workers.settings.source import BadSetting, Source

_QUEUE_FILE = "queue-litellm.yaml"


@dataclass(frozen=True)
class Gateway:
    """What was chosen on this machine: a LiteLLM of this configuration, and the model that goes with it.

    Without a configuration calls go elsewhere; `ask_queue` when nobody here has said anything of it.
    """

    config: Path | None = None
    model: str | None = None
    ask_queue: bool = False


@dataclass(frozen=True)
class _Words:
    """One way of saying it: the names of the file, of the text, and of the switch that both need."""

    file: str
    text: str
    switch: str


_FLAGS = _Words("--proxy-config-file", "--proxy-config-json", "--enable-local-proxy")
_VARIABLES = _Words(v.PROXY_CONFIG_FILE.name, v.PROXY_CONFIG_JSON.name, v.ENABLE_LOCAL_PROXY.name)
_CONTEXT = _Words(*(f"litellm-proxy.{name} of the context" for name in ("config-file", "config-json", "enabled")))


def chosen(
    known: ClientSettings,
    queue: str,
    *,
    enable_local_proxy: bool = False,
    proxy_config_file: Path | None = None,
    proxy_config_json: str | None = None,
) -> Gateway:
    """What this machine says, checked.

    Raises:
        BadSetting: it contradicts itself, or cannot be used. Nothing else is used instead.
    """
    source = Source.of_process()
    file, text = proxy_config_file, proxy_config_json
    if enable_local_proxy or file is not None or text is not None:
        config = _configured(_FLAGS, enable_local_proxy, file, text, source)
        return Gateway(_written(config, known, queue))
    if source.text_of(v.ENABLE_LOCAL_PROXY.name):
        return Gateway(_of_environment(known, queue, source))
    if known.own_gateway:
        return Gateway()
    if known.local_proxy is not None:
        return _of_context(known.local_proxy, known, queue, source)
    return Gateway(ask_queue=True)


async def of_queue(known: ClientSettings, cp: ControlPlaneClient, queue: str) -> Path | None:
    """What the queue's settings say, checked; None when they want no LiteLLM, or there is no such queue yet.

    Raises:
        BadSetting: they cannot be used on this machine.
    """
    try:
        found = await cp.queues.settings(queue)
    except NotFound:
        return None
    origin = f"{LITELLM_CONFIG} of queue {queue}"
    try:
        config = proxy_config(found)
    except ValueError as error:
        raise BadSetting(f"the settings of queue {queue}: {error}") from None
    if config is None:
        return None
    text = config if isinstance(config, str) else json.dumps(config)
    checked = parsed(text, origin, Source.of_process().everything)
    return checked.written(known.paths.upkeep(queue), _QUEUE_FILE)


def is_of_queue(config: Path) -> bool:
    """Whether a configuration that a worker was started with is what its queue said then."""
    return config.name == _QUEUE_FILE


def for_queue(file: Path) -> dict[str, object]:
    """The settings of a queue that make its workers run a LiteLLM with this configuration.

    Raises:
        BadSetting: it cannot be used, or holds a secret, which everybody who reads the queue would have.
    """
    checked = read(file, None)
    if literal := checked.literal_secrets():
        raise BadSetting(f"{file}: {literal[0]} would be kept with the queue; write os.environ/NAME, and set it there")
    return {ENABLE_LOCAL_PROXY: True, LITELLM_CONFIG: checked.content}


def _of_environment(known: ClientSettings, queue: str, source: Source) -> Path | None:
    if not source.get(v.ENABLE_LOCAL_PROXY):
        return None
    file, text = source.first(v.PROXY_CONFIG_FILE), source.first(v.PROXY_CONFIG_JSON)
    config = _configured(_VARIABLES, True, Path(file) if file else None, text, source)
    return _written(config, known, queue)


def _of_context(said: LocalProxy, known: ClientSettings, queue: str, source: Source) -> Gateway:
    if not said.enabled:
        return Gateway()
    text = json.dumps(said.config_json) if isinstance(said.config_json, dict) else said.config_json
    config = _configured(_CONTEXT, True, said.config_file, text, source)
    return Gateway(_written(config, known, queue), said.model)


def _written(config: ProxyConfig, known: ClientSettings, queue: str) -> Path:
    return config.written(known.paths.upkeep(queue))


def _configured(words: _Words, enabled: bool, file: Path | None, text: str | None, source: Source) -> ProxyConfig:
    if not enabled:
        given = words.file if file is not None else words.text
        raise BadSetting(f"{given} needs {words.switch}")
    if file is not None and text is not None:
        raise BadSetting(f"{words.file} and {words.text} contradict each other: give one of them")
    if file is not None:
        return read(file, source.everything)
    if text is not None:
        return parsed(text, words.text, source.everything)
    raise BadSetting(f"{words.switch} needs a configuration: {words.file} or {words.text}")
