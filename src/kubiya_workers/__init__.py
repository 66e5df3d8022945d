"""Run AI agents as durable workflows on workers that you own."""

__version__ = "0.1.0"
