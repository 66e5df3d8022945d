"""Names that become paths, labels and task queues, checked by the one rule."""

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.ids import NAME_RULE, is_safe_name


def check_name(kind: str, name: str) -> str:
    """The name itself.

    Raises:
        Invalid: it breaks the rule.
    """
    if not is_safe_name(name):
        raise Invalid(f"{name!r} cannot name {kind}: a name is {NAME_RULE}")
    return name
