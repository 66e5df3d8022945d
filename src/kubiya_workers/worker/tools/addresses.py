"""Which addresses a request may reach: decided on the address itself, whatever name led to it."""

import fnmatch
import ipaddress
from dataclasses import dataclass

from .call import Denied

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        # Clouds that serve a machine's credentials elsewhere than on a link-local address.
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Reach:
    """Lists and switches of one agent; hosts by name, address or pattern."""

    allow_hosts: tuple[str, ...]
    deny_hosts: tuple[str, ...]
    allow_private: bool
    allow_link_local: bool

    def check_host(self, host: str) -> None:
        """Raises Denied when the lists forbid the host as it is named."""
        name = host.casefold().rstrip(".")
        if self.allow_hosts and not _matches(name, self.allow_hosts):
            raise Denied(f"The host {host} may not be reached. Allowed: {', '.join(self.allow_hosts)}.")
        if _matches(name, self.deny_hosts):
            raise Denied(f"The host {host} may not be reached. Not allowed: {', '.join(self.deny_hosts)}.")

    def check_address(self, host: str, text: str) -> None:
        """Raises Denied when the address that the host has may not be reached."""
        address = _plain(ipaddress.ip_address(text))
        shown = host if host == text else f"{host} ({text})"
        if _matches(str(address), self.deny_hosts):
            raise Denied(f"The host {shown} may not be reached. Not allowed: {', '.join(self.deny_hosts)}.")
        if is_link_local(address) and not self.allow_link_local:
            raise Denied(f"{shown} is a link-local or metadata address, which may not be reached here.")
        if is_private(address) and not self.allow_private:
            raise Denied(f"{shown} is an address of this machine or of a private network, which may not be reached.")
        if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
            raise Denied(f"{shown} is not the address of one host.")


def is_link_local(address: IPAddress) -> bool:
    return address.is_link_local or address in _METADATA


def is_private(address: IPAddress) -> bool:
    """Of this machine or of a private network; link-local ones have a switch of their own."""
    return (address.is_private or address.is_loopback or address.is_unspecified) and not is_link_local(address)


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern.casefold().rstrip(".")) for pattern in patterns)
