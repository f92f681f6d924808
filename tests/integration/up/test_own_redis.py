"""The Redis that `umbel up` starts is its own, also where two start at the same moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

from umbel_operator.local.redis import Redis


def test_two_that_want_one_port_get_two_servers(tmp_path: Path) -> None:
    async def use() -> None:
        said: list[str] = []
        first, second = (Redis(tmp_path / name, said.append) for name in ("first", "second"))
        # Both found it free, in the same moment.
        second._port = first.address.port
        try:
            await first.start()
            await second.start()
            assert first.address.port != second.address.port
            assert said == []
        finally:
            await second.stop()
            await first.stop()

    asyncio.run(use())
