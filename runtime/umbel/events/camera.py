"""Takes pictures of a state, now and then: subclass `Camera`, and have ``umbel events --camera`` use it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from umbel.events.receiver import Receiver
from umbel.events.state import State
from umbel.pace import rate_interval

if TYPE_CHECKING:
    from umbel.app import Umbel

log = logging.getLogger("umbel.events")


class Camera:
    """See the module.

    Args:
        state: to take pictures of.
        freq: seconds between two pictures.
        maxrate: pictures at the most, as ``"10/m"``.
        cleanup_freq: seconds between two calls of `on_cleanup`.
        app: for subclasses.
    """

    #: Whether tasks are forgotten once they are on a picture.
    clear_after = False

    def __init__(
        self,
        state: State,
        freq: float = 1.0,
        maxrate: str | float | None = None,
        cleanup_freq: float = 3600.0,
        app: Umbel | None = None,
    ) -> None:
        self.state = state
        self.freq = freq
        self.cleanup_freq = cleanup_freq
        self.app = app
        self._pause = rate_interval(maxrate) if maxrate is not None else 0.0
        self._last = 0.0
        self._cleaned = time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def on_shutter(self, state: State) -> Any:
        """Override to do something with the state; no event is added meanwhile."""

    def on_cleanup(self) -> Any:
        """Override to drop old pictures."""

    def shutter(self) -> None:
        """Take a picture, unless that would be too many."""
        now = time.monotonic()
        if self._last and now - self._last < self._pause:
            return
        self._last = now
        self.state.freeze_while(self.on_shutter, self.state, clear_after=self.clear_after)

    capture = shutter

    def install(self) -> None:
        """Take pictures in a thread, until `cancel`."""
        self._thread = threading.Thread(target=self._run, name="umbel-camera", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Take a last picture, and end."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(10.0)
            self._thread = None
            self.shutter()

    def _run(self) -> None:
        while not self._ended.wait(self.freq):
            try:
                self.shutter()
                if time.monotonic() - self._cleaned >= self.cleanup_freq:
                    self._cleaned = time.monotonic()
                    self.on_cleanup()
            except Exception:
                log.exception("camera.failed", extra={"camera": type(self).__qualname__})

    def __enter__(self) -> Camera:
        self.install()
        return self

    def __exit__(self, *exc: object) -> None:
        self.cancel()


def take_pictures(app: Umbel, camera: type[Camera], freq: float, maxrate: str | None, since: float | None) -> None:
    """Read events, and take pictures of what they add up to, until Ctrl-C."""
    state = State()
    receiver = Receiver(app, {"*": state.event}, since=since)
    with camera(state, freq, maxrate, app=app):
        receiver.capture()
