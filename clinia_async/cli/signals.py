"""Two steps out of a long run: the first signal stops it, the second cuts it short."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """`steps` are taken one a signal; what comes after them is passed over."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self.first: int | None = None
        """The number of the signal that came first."""

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            with suppress(NotImplementedError):  # Windows: Ctrl-C cancels
                loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in _SIGNALS:
            with suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self.first is None:
            self.first = number
        if self._steps:
            self._steps.pop(0)()
