"""SIGINT and SIGTERM: a first signal stops a command in an orderly way, a further one cuts it short."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Step = Callable[[], object]


class Signals:
    """Takes one of `steps` per signal; the last one again for any further signal."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.first: int | None = None
        """The number of the signal that came first."""

    @contextmanager
    def steps(self, *steps: Step) -> Iterator[None]:
        """Take these steps instead while the block lasts."""
        before, self._steps = self._steps, list(steps)
        try:
            yield
        finally:
            self._steps = before

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
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        step()
