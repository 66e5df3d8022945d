"""Whether a worker gets a LiteLLM of its own: flags, then the environment."""

from pathlib import Path

from kubiya_workers.launchers.litellm.config import ProxyConfig, parsed, read
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import BadSetting, Source

from ...connect import settings

_FLAGS = ("--proxy-config-file", "--proxy-config-json")
_VARIABLES = (v.PROXY_CONFIG_FILE.name, v.PROXY_CONFIG_JSON.name)


def local_proxy(
    queue: str, enable_local_proxy: bool, proxy_config_file: Path | None, proxy_config_json: str | None
) -> Path | None:
    """The configuration of the LiteLLM beside the queue's worker, checked, as a file; None when none is wanted.

    Raises:
        BadSetting: what was given contradicts itself, or cannot be used. Nothing else is used instead.
    """
    source = Source.of_process()
    enabled, file, text = enable_local_proxy, proxy_config_file, proxy_config_json
    if enabled or file is not None or text is not None:
        config = _chosen(_FLAGS, "--enable-local-proxy", enabled, file, text, source)
    elif source.get(v.ENABLE_LOCAL_PROXY):
        named, inline = source.get(v.PROXY_CONFIG_FILE), source.get(v.PROXY_CONFIG_JSON)
        switch = v.ENABLE_LOCAL_PROXY.name
        config = _chosen(_VARIABLES, switch, True, Path(named) if named else None, inline or None, source)
    else:
        return None
    return config.written(settings().paths.upkeep(queue))


def _chosen(
    names: tuple[str, str], switch: str, enabled: bool, file: Path | None, text: str | None, source: Source
) -> ProxyConfig:
    if not enabled:
        given = names[0] if file is not None else names[1]
        raise BadSetting(f"{given} needs {switch}")
    if file is not None and text is not None:
        raise BadSetting(f"{names[0]} and {names[1]} contradict each other: give one of them")
    if file is not None:
        return read(file, source.environ)
    if text is not None:
        return parsed(text, names[1], source.environ)
    raise BadSetting(f"{switch} needs a configuration: {names[0]} FILE or {names[1]} TEXT")
