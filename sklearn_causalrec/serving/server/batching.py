"""One thread that scores, and requests that wait for it together."""

import asyncio
import errno
import logging
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from sklearn_causalrec.serving.server.answers import NotLogged
from sklearn_causalrec.serving.server.questions import Refused, check

logger = logging.getLogger("sklearn_causalrec.serving")


class TooBusy(RuntimeError):
    """More requests wait than may."""


class Failed(RuntimeError):
    """A request failed through no fault of its own; the log has the place."""


class Batcher:
    """Answer questions in one thread, several at once where they ask for the same.

    Scoring is bound by the CPU: more threads would not be faster, and the event loop
    stays free. While the thread works, requests wait; when it is done, those that
    differ in nothing but their users are answered by one call. No request waits for
    others to come.

    Parameters
    ----------
    host : ModelHost
        It has the model.
    answerer : Answerer
        It answers.
    max_size : int
        The number of users, or rows, of one call that takes several requests.
    max_waiting : int
        The number of requests that may wait.
    metrics : Metrics
        What is counted.
    """

    def __init__(self, host, answerer, max_size, max_waiting, metrics):
        self.host, self.answerer, self.metrics = host, answerer, metrics
        self.max_size, self.max_waiting = max_size, max_waiting
        self._waiting = deque()
        self._thread = ThreadPoolExecutor(1, "scoring", initializer=_one_thread)
        self._worker = None

    async def ask(self, question):
        """Answer a question.

        Parameters
        ----------
        question : Question

        Returns
        -------
        dict

        Raises
        ------
        Refused
            If it cannot be answered.
        TooBusy
            If too many wait.
        NotLogged
            If the decision could not be logged.
        Failed
            If anything else goes wrong.
        """
        if len(self._waiting) >= self.max_waiting:
            raise TooBusy
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._waiting.append((question, answer))
        self.metrics.waiting.inc()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await answer

    async def close(self):
        """Wait for what was asked, and end the thread."""
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown()

    async def _work(self):
        loop = asyncio.get_running_loop()
        while self._waiting:
            model, batch = self.host.current, self._next()
            questions = [question for question, _ in batch]
            try:
                answers = await loop.run_in_executor(
                    self._thread, self._answer, model, questions
                )
            except Exception as error:  # nobody may wait for ever
                answers = [told(error) for _ in batch]
            for (_, future), answer in zip(batch, answers):
                if future.cancelled():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _next(self):
        """The first that waits, and those that can be answered by the same call."""
        batch = [self._waiting.popleft()]
        first, size = batch[0][0], batch[0][0].size
        others = deque()
        while self._waiting:
            question, future = self._waiting.popleft()
            if question.key == first.key and size + question.size <= self.max_size:
                batch.append((question, future))
                size += question.size
            else:
                others.append((question, future))
        self._waiting = others
        self.metrics.waiting.dec(len(batch))
        return batch

    # -- in the thread ---------------------------------------------------------

    def _answer(self, model, questions):
        """An answer, or what went wrong, for each of the questions."""
        answers = {}
        with self.metrics.scoring.time():
            rest = []
            for n, question in enumerate(questions):
                try:
                    check(model, question)
                    rest.append(n)
                except Exception as error:
                    answers[n] = told(error)
            while rest:
                now, rest = self._apart(model, questions, rest)
                answers |= self._at_once(model, questions, now)
        return [answers[n] for n in range(len(questions))]

    def _apart(self, model, questions, rest):
        """Those that name different users, and those that are left for another call."""
        now, later, met = [], [], set()
        for n in rest:
            users = questions[n].users(model)
            if met & users:
                later.append(n)
            else:
                met |= users
                now.append(n)
        return now, later

    def _at_once(self, model, questions, now):
        self.metrics.batch.observe(sum(questions[n].size for n in now))
        try:
            found = self.answerer.answer(model, [questions[n] for n in now])
            return dict(zip(now, found))
        except NotLogged as error:  # nor would it be for one of them
            return dict.fromkeys(now, told(error))
        except Exception as error:
            if len(now) == 1:
                return {now[0]: told(error)}
        alone = [self._at_once(model, questions, [n]) for n in now]
        return {n: answer for one in alone for n, answer in one.items()}


def told(error):
    """An error as the request gets it.

    Its text goes to whoever asked, if the fault is theirs. The log gets the place and
    the class, and no text: it may quote ids of users.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    Exception
    """
    if isinstance(error, Refused):
        return error
    places = "".join(traceback.format_tb(error.__traceback__))
    name = type(error.__cause__ or error).__name__
    number = getattr(error.__cause__, "errno", None)
    name += f" ({errno.errorcode.get(number, number)})" if number else ""
    logger.error("%s in\n%s", name, places)
    return NotLogged() if isinstance(error, NotLogged) else Failed()


def _one_thread():
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
