"""The way to Temporal through a proxy: a tunnel by HTTP's CONNECT, as for any other secure connection."""

from temporalio.service import HttpConnectProxyConfig

from kubiya_workers.settings.proxies import Proxies


def tunnel(host_and_port: str, proxies: Proxies) -> HttpConnectProxyConfig | None:
    """What the SDK has to be told to reach `host:port`; None when it goes there directly."""
    host = host_and_port.rpartition(":")[0].strip("[]")
    proxy = proxies.towards(host)
    return None if proxy is None else HttpConnectProxyConfig(proxy.address, proxy.credentials)
