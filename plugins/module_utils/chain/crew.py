# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many endpoints at once, by one deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

Job = Callable[[tuple[int, ...], float], Any]


class Crew:
    """One thread for each endpoint that is sampled, and never more: whoever hangs is left hanging, and gets no further
    job until it comes back. ``failed`` is told of a job that raised, which is a mistake in here."""

    def __init__(self, jobs: Mapping[str, Job], failed: Callable[[str, Exception], None]) -> None:
        self._failed = failed
        self._condition = threading.Condition()
        self._answers: dict[str, tuple[int, Any]] = {}
        self._busy: set[str] = set()
        self._number = 0
        self._queues: dict[str, queue.SimpleQueue[tuple[int, tuple[int, ...], float] | None]] = {}
        for name, job in jobs.items():
            self._queues[name] = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(name, job), name=name, daemon=True).start()

    def _work(self, name: str, job: Job) -> None:
        while (item := self._queues[name].get()) is not None:
            number, heights, deadline = item
            answer = None
            try:
                answer = job(heights, deadline)
            except Exception as error:  # shows as a missing sample, and must not end the thread
                self._failed(name, error)
            with self._condition:
                self._answers[name] = (number, answer)
                self._busy.discard(name)
                self._condition.notify()

    def round(self, heights: tuple[int, ...], deadline: float, only: Collection[str] | None = None) -> dict[str, Any]:
        """The answers that came by the deadline; of all, or of those named."""
        with self._condition:
            self._number += 1
            wanted = self._queues if only is None else only
            idle = [name for name in wanted if name not in self._busy]
            self._busy.update(idle)
            for name in idle:
                self._queues[name].put((self._number, heights, deadline))
            grace = deadline + 0.02  # for those who have just timed out themselves
            while self._busy.intersection(idle):
                left = grace - time.monotonic()
                if left <= 0 or not self._condition.wait(left):
                    break
            return {name: answer for name, (number, answer) in self._answers.items() if number == self._number}

    def stop(self) -> None:
        for line in self._queues.values():
            line.put(None)
