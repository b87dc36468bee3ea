"""What went wrong, as it may be told: ours as it is, the disk's words in a line, of a bug none."""

from __future__ import annotations

import errno
import logging

from fal_serverless.errors import FalError, StateFailed

logger = logging.getLogger("fal_serverless.api")

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
"""What a disk says that is full, read-only or broken."""


def told(exc: Exception, where: str) -> FalError:
    """An error for the caller; of what is not ours the traceback goes to the backend's log."""
    if isinstance(exc, FalError):
        return exc
    if isinstance(exc, OSError) and exc.errno in _DISK:
        return StateFailed(f"the backend cannot write: {exc.strerror}")
    logger.error("%s failed", where, exc_info=exc)
    return FalError("Internal Server Error")
