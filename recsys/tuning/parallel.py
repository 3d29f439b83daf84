"""Jobs in threads, whose results come in the order of the jobs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

T = TypeVar("T")
_BLINK = 0.5  # seconds; Windows hears Ctrl-C between two waits, not in one


def in_order(
    jobs: Sequence[Callable[[Event], T]], workers: int, is_late: Callable[[], bool]
) -> Generator[T]:
    """What each job returns, the first one first; at most `workers` are under way at a time.

    Ends at the first job that is late, as none but the first begins after that. If a job raises, no
    later one begins, and those under way are told by the event that they were given: what they
    return is not looked at. So are all if whoever iterates closes this before its end. They are
    waited for. One worker is the thread that iterates.
    """
    if workers == 1:
        for number, job in enumerate(jobs):
            if number and is_late():
                return
            yield job(Event())
        return
    stops = [Event() for _ in jobs]

    def stop_from(number: int) -> None:
        for stop in stops[number:]:
            stop.set()

    def begun(number: int) -> tuple[T] | None:
        if stops[number].is_set() or (number and is_late()):
            return None
        try:
            return (jobs[number](stops[number]),)
        except BaseException:
            stop_from(number + 1)
            raise

    with ThreadPoolExecutor(workers, thread_name_prefix="recsys-trial") as pool:
        futures = [pool.submit(begun, number) for number in range(len(jobs))]
        try:
            for future in futures:
                result = _result(future)
                if result is None:
                    return
                yield result[0]
        finally:
            stop_from(0)


def _result(future: Future[T]) -> T:
    while not future.done():
        wait([future], timeout=_BLINK)
    return future.result()
