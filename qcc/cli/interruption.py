"""Ends of the program that come from outside: Ctrl-C and SIGTERM.

Both become an exception where the program is, so that temporary folders are removed and child processes ended. Code
that calls Python back may turn the exception into another one; so the signal is remembered too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""What the user is told."""


class Interrupted(BaseException):
    """Raised where a signal comes. No KeyboardInterrupt: Python ends by SIGINT where some code let that through."""


class Interruption:
    """The signal that ends the program, once there was one.

    Attributes:
        received: its number; 0 where there was none.
    """

    def __init__(self) -> None:
        self.received = 0

    @property
    def status(self) -> int:
        """The exit status, as shells have it."""
        return 128 + self.received

    def __str__(self) -> str:
        """What the user is told."""
        return NAMES[signal.Signals(self.received)]

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Raise Interrupted where a signal comes; handlers that others have set stay."""
        if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
            yield
            return
        defaults = (signal.default_int_handler, signal.SIG_DFL)
        before = {number: signal.getsignal(number) for number in NAMES}
        ours = {number: handler for number, handler in before.items() if handler in defaults}
        for number in ours:
            signal.signal(number, self._leave)
        try:
            yield
        finally:
            for number, handler in ours.items():
                signal.signal(number, handler)

    def _leave(self, number: int, _: object) -> None:
        self.received = number
        raise Interrupted
