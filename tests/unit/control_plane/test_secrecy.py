"""A text that would be stored may not hold a run's secret."""

import base64

import pytest

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.control_plane.services.secrecy import refuse_secrets

VALUE = "t0p/s3cret"
WORKSPACE = Workspace(env_vars={"TOKEN": VALUE, "PLACE": "here/and/there"}, secrets=("TOKEN", "GONE"))


@pytest.mark.parametrize("form", [VALUE, "t0p%2Fs3cret", "t0p\\/s3cret", base64.b64encode(VALUE.encode()).decode()])
def test_it_is_refused_in_every_form_by_its_name_alone(form: str) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_secrets(WORKSPACE, {"the agent": "fine", "the prompt": f"use {form} now"})
    assert refused.value.detail == "the prompt holds the value of the secret TOKEN"
    assert "$TOKEN" in (refused.value.fix or "")
    assert VALUE not in f"{refused.value.detail} {refused.value.fix}"


def test_its_name_and_what_is_no_secret_are_fine() -> None:
    refuse_secrets(WORKSPACE, {"the prompt": "use $TOKEN in here/and/there"})
