"""The signals that ask a run to stop after its current turns, and when a process hears them."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

DRAIN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """While inside, drain signals are held back, in processes forked here for good but for their loops: a signal that
    comes before a loop listens, or after it, is heard late or never, and ends nobody between two writes."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, DRAIN_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def drain_signals(asked: Callable[[], bool], ask: Callable[[str], None]) -> Iterator[None]:
    """While inside, signals drain, those held back until now too; a second Ctrl-C interrupts at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if asked():
            for known in DRAIN_SIGNALS:
                loop.remove_signal_handler(known)
        ask(f"{number.name} was received")

    try:
        for number in DRAIN_SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        listens = True
    except (ValueError, RuntimeError, NotImplementedError):  # not in the main thread: whoever runs us decides
        listens = False
    if not listens:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAIN_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in DRAIN_SIGNALS:
            loop.remove_signal_handler(number)
