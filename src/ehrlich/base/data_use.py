"""How freely data may move. Written by a reader, inherited by all that is made from it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class DataUse(StrEnum):
    """From free to guarded; the order of the members is the order of restriction."""

    SYNTHETIC = "synthetic"
    OPEN = "open"
    CREDENTIALED = "credentialed"
    PHI = "phi"


def most_restrictive(uses: Iterable[DataUse]) -> DataUse:
    """The tag of something made from several inputs. Raises ValueError for none."""
    order = list(DataUse)
    return max(uses, key=order.index)
