"""The health of a control plane, as it tells it itself."""

from pydantic import ValidationError

from kubiya_workers.contracts.health import Health

from .connection import Connection
from .errors import Unreadable, refusal_of


class HealthChecks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self) -> Health:
        """What each part says; an unhealthy control plane has an answer too.

        Raises:
            Unreachable: none came. Unreadable, Refusal: something else listens there.
        """
        response = await self._connection.ask("GET", f"{self._connection.url}/health")
        try:
            return Health.model_validate_json(response.content)
        except ValidationError:
            if response.status_code >= 400:
                raise refusal_of(response) from None
            raise Unreadable(f"{self._connection.url} does not answer like a control plane") from None
