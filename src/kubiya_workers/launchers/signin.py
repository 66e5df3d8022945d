"""Tokens that let a browser in once: made by whoever may read the web interface's state file, checked by it.

<moment>.<nonce>.<HMAC-SHA256 of both, under the secret of this start>
"""

import hashlib
import hmac
import secrets

GOOD_FOR_S = 12 * 3600


def make(secret: str, now: float) -> str:
    """A fresh token; `now` in seconds since the epoch."""
    said = f"{int(now)}.{secrets.token_urlsafe(16)}"
    return f"{said}.{_signature(secret, said)}"


def is_good(secret: str, token: str, now: float) -> bool:
    """Whether the token was made under this secret, and not too long ago. That it is used once is the user's to see."""
    said, _, signature = token.rpartition(".")
    if not token.isascii() or not hmac.compare_digest(signature, _signature(secret, said)):
        return False
    moment = int(said.partition(".")[0])  # ours: it was signed
    return now - GOOD_FOR_S <= moment <= now + GOOD_FOR_S


def _signature(secret: str, said: str) -> str:
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
