"""Run AI agents as durable workflows on workers that you own."""
