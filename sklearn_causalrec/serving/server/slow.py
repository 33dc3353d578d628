"""Clients that are slow on purpose: connections that hold a place and do not ask."""

from uvicorn.protocols.http.h11_impl import H11Protocol


class Patient(H11Protocol):
    """HTTP over a connection that has so long to bring a head, and to take an answer.

    uvicorn waits for ever for the head of a request, and for a client that does not
    read its answer. Bodies are waited for in :class:`Edge`, pauses between requests are
    bounded by uvicorn's ``timeout_keep_alive``.
    """

    patience = 10.0
    _head = _answer = None  # what ends the connection, while it waits

    def connection_made(self, transport):
        """Begin to wait for the first head.

        Parameters
        ----------
        transport : asyncio.Transport
            The connection.
        """
        super().connection_made(transport)
        self._head = self.loop.call_later(self.patience, self._end)

    def data_received(self, data):
        """Take what came, and wait for the rest of a head.

        Parameters
        ----------
        data : bytes
            What came.
        """
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head = _cancelled(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(self.patience, self._end)

    def pause_writing(self):
        """Wait for a client that does not read."""
        super().pause_writing()
        self._answer = self.loop.call_later(self.patience, self._end)

    def resume_writing(self):
        """The client has read."""
        super().resume_writing()
        self._answer = _cancelled(self._answer)

    def connection_lost(self, error):
        """Wait for nothing any more.

        Parameters
        ----------
        error : Exception or None
            Why it ended.
        """
        self._head = _cancelled(self._head)
        self._answer = _cancelled(self._answer)
        super().connection_lost(error)

    def _end(self):
        self.transport.abort()


def _cancelled(timer):
    if timer is not None:
        timer.cancel()


def patient(seconds):
    """The class of connections that have so long.

    Parameters
    ----------
    seconds : float
        For the head of a request, and for the client to go on reading.

    Returns
    -------
    type
        For ``uvicorn.Config(http=...)``.
    """
    return type("Patient", (Patient,), {"patience": seconds})
