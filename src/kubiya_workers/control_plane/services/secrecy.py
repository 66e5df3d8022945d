"""That no text which is stored, or travels through Temporal, holds the value of a run's secret."""

from collections.abc import Mapping

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.observability.redaction import Redactor


def refuse_secrets(workspace: Workspace, texts: Mapping[str, str]) -> None:
    """Refused rather than redacted: the model would be asked something else than the person wrote. `texts` are by what
    they are called in the error.

    Raises:
        Invalid: one of them holds a secret of the workspace, in any form of it. Which, is said; its value is not.
    """
    for name, value in workspace.secret_values().items():
        redactor = Redactor([value])
        for what, text in texts.items():
            if redactor.text(text) != text:
                raise Invalid(
                    f"{what} holds the value of the secret {name}",
                    fix=f"Name the variable instead, ${name}: tools find it in their environment.",
                )
