"""A worker's answers over HTTP: is it alive, does it take work, how is it, what has it counted.

    standing ──▶ checks (pure) ──▶ server ──▶ /livez /readyz /status /metrics

The server runs on threads of its own, so that it answers while the event loop is busy; that the loop stands still is
one of the things it tells.
"""

from .server import HealthServer, serve_health

__all__ = ["HealthServer", "serve_health"]
