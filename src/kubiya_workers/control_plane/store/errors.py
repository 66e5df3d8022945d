"""What a database driver says, renamed: the rest of the product knows only refusals."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError

from kubiya_workers.contracts.errors import Conflict, Refusal, Unavailable

_KNOWN = (
    ("disk is full", "the disk that holds the database is full", "Free some space, then try again."),
    ("no space left", "the disk that holds the database is full", "Free some space, then try again."),
    ("readonly database", "the database may not be written", "Make its file and directory writable for this user."),
    ("read-only", "the database may not be written", "Make it writable for this user."),
    ("unable to open", "the database file cannot be opened", "Check that its directory exists and is yours."),
    ("not a database", "the database file is not a database", "Move it away, or restore it from a backup."),
    ("malformed", "the database file is damaged", "Restore it from a backup."),
    ("locked", "the database is held by another process", "Stop the other process that writes to it."),
    ("password authentication failed", "the database refused the user or password", "Check DATABASE_URL."),
    ("does not exist", "the database, or the user for it, does not exist", "Create it, or check DATABASE_URL."),
    ("ssl", "no TLS connection to the database could be made", "Check the sslmode in DATABASE_URL."),
)


@contextmanager
def renamed() -> Generator[None]:
    """Raise what the driver raises inside as `Unavailable`, with its cause in words.

    A broken constraint passes as it is: it is an answer, and the statement's function knows what it means.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise unavailable(error.orig or error) from error
    except OSError as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> Refusal:
    """The refusal for a driver's error, without the statement, its values or the address, which may hold secrets."""
    words = str(error).lower()
    for part, detail, fix in _KNOWN:
        if part in words:
            return Unavailable(detail, fix=fix)
    if isinstance(error, TimeoutError):
        return Unavailable("the database did not answer in time", fix="Check that it runs and can be reached.")
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return Unavailable(f"the database cannot be reached: {reason}", fix="Check that it runs, and DATABASE_URL.")
    return Unavailable(f"the database failed ({type(error).__name__})", fix="The control plane's log has the details.")


@contextmanager
def taken(what: str) -> Generator[None]:
    """Raise a broken UNIQUE constraint as `Conflict` that names `what` is taken."""
    try:
        yield
    except IntegrityError:
        raise Conflict(f"{what} exists already") from None
