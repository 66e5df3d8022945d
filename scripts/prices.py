"""What models cost and can do, as data: taken from the table that the pinned LiteLLM carries.

Run it after LiteLLM was upgraded, with that version installed: `python scripts/prices.py SITE_PACKAGES/litellm DATE`.
The table is LiteLLM's (MIT licence); what is kept of it are the facts that the gateway uses.
"""

import json
import sys
from pathlib import Path

from kubiya_workers.launchers.litellm.install import VERSION

TARGET = Path("src/kubiya_workers/gateway/prices.json")
TABLE = "model_prices_and_context_window_backup.json"
KINDS = ("chat", "completion", "responses", "embedding")
NUMBERS = (
    ("input", "input_cost_per_token"),
    ("output", "output_cost_per_token"),
    ("cached", "cache_read_input_token_cost"),
    ("context", "max_input_tokens"),
    ("most", "max_output_tokens"),
)
FLAGS = (("tools", "supports_function_calling"), ("vision", "supports_vision"), ("reasoning", "supports_reasoning"))


def main() -> None:
    package, date = Path(sys.argv[1]), sys.argv[2]
    table = json.loads((package / TABLE).read_text())
    models = {name: facts(entry) for name, entry in sorted(table.items()) if entry.get("mode") in KINDS}
    content = {"as_of": date, "source": f"LiteLLM {VERSION}", "models": models}
    TARGET.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True).replace("},", "},\n") + "\n")
    sys.stderr.write(f"{len(models)} models, {TARGET.stat().st_size // 1024} KB\n")


def facts(entry: dict[str, object]) -> dict[str, object]:
    """Prices in US dollars for a million tokens; what is not known is left out."""
    found: dict[str, object] = {}
    for short, name in NUMBERS:
        value = entry.get(name)
        if isinstance(value, int | float) and value:
            found[short] = round(value * 1e6, 6) if name.endswith("_cost") or "cost_per" in name else value
    return found | {short: 1 for short, name in FLAGS if entry.get(name)}


if __name__ == "__main__":
    main()
