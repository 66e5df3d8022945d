"""MCP servers for tests, as programs of their own: `notes` is written with the SDK, `plain` with nothing."""
