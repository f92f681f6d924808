"""Render what beat and the queues are to do: entries in shards, and an index that names the shards by their hash."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.build import labels, names
from umbel_operator.build.canonical import canonical_json, sha256_hex
from umbel_operator.build.entries import Entry
from umbel_operator.build.metadata import child_metadata

#: Version of the files' layout.
LAYOUT = 1
#: Bytes that one shard may have; a ConfigMap may have twice as much.
MAX_SHARD_BYTES = 512 * 1024
#: Shards at most; one entry is far smaller than a shard, so that this holds some hundred thousand entries.
MAX_SHARDS = 512


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a configuration."""

    serial: int
    source: str
    #: SHA-256 of each shard by its file name.
    shards: Mapping[str, str]

    def to_text(self) -> str:
        """Return the bytes of index.json as text."""
        return canonical_json(
            {"layout": LAYOUT, "serial": self.serial, "source": self.source, "shards": dict(self.shards)}
        )


@dataclass(frozen=True, slots=True)
class RenderedConfig:
    """What live ConfigMaps hold."""

    serial: int = 0
    #: Generation that is rendered, by the uid of a TaskQueue or Schedule.
    generations: Mapping[str, int] = field(default_factory=dict)


class ConfigTooLarge(ValueError):
    """The entries of a Broker do not fit into the greatest number of shards."""


def render_shards(entries: Iterable[Entry], least: int = 1) -> dict[str, str]:
    """Return the text of each shard by its file name.

    least: number of shards to start from, a power of two; it is doubled until every shard is small enough, and the
        number in use is passed in again, so that it never shrinks and one edit rewrites one shard.
    Raises `ConfigTooLarge`.
    """
    known = list(entries)
    count = least
    while count <= MAX_SHARDS:
        shards = _distribute(known, count)
        if all(len(text.encode()) <= MAX_SHARD_BYTES for text in shards.values()):
            return shards
        count *= 2
    raise ConfigTooLarge(f"{len(known)} entries do not fit into {MAX_SHARDS} shards of {MAX_SHARD_BYTES} bytes")


def next_index(shards: Mapping[str, str], source: str, live: Index | None, least_serial: int) -> Index:
    """Return the index of the shards: the live one where nothing has changed, else one with a higher serial.

    source: uid of the Broker.
    live: what the cluster holds now, None where that is missing or unreadable.
    least_serial: a number that grew since any serial that may have been used: Unix time in seconds. So the serial
        grows even when the index was deleted.
    """
    hashes = {name: sha256_hex(text) for name, text in sorted(shards.items())}
    if live is not None and live.source == source and dict(live.shards) == hashes:
        return live
    previous = live.serial if live is not None else 0
    return Index(max(previous + 1, least_serial), source, hashes)


def build_config_maps(broker: Broker, shards: Mapping[str, str], index: Index) -> list[dict[str, Any]]:
    """Return the ConfigMaps, the index last: whoever reads it then finds the shards it names."""
    maps = [
        _config_map(broker, names.config_shard(broker.name, number), name, shards[name])
        for number, name in enumerate(sorted(shards))
    ]
    maps.append(_config_map(broker, names.config_index(broker.name), names.INDEX_FILE, index.to_text()))
    return maps


def read_index(config_map: Mapping[str, Any] | None) -> Index | None:
    """Read the index out of its live ConfigMap; None where it is missing or was damaged."""
    text = str(((config_map or {}).get("data") or {}).get(names.INDEX_FILE, ""))
    try:
        body = json.loads(text)
        shards = {str(name): str(digest) for name, digest in body["shards"].items()}
        index = Index(int(body["serial"]), str(body["source"]), shards)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None
    count = len(shards)
    return index if body.get("layout") == LAYOUT and count > 0 and count & (count - 1) == 0 else None


def read_config(config_maps: Iterable[Mapping[str, Any]]) -> RenderedConfig:
    """Read which generation of which resource a Broker's live ConfigMaps hold.

    It parses all shards: keep the answer while none of the ConfigMaps changes its resourceVersion.
    """
    data: dict[str, str] = {}
    for config_map in config_maps:
        data.update(config_map.get("data") or {})
    index = read_index({"data": data})
    if index is None:
        return RenderedConfig()
    generations: dict[str, int] = {}
    for name, digest in index.shards.items():
        text = data.get(name, "")
        if sha256_hex(text) == digest:
            body = json.loads(text)
            for entry in (*body["queues"], *body["schedules"]):
                generations[entry["uid"]] = entry["generation"]
    return RenderedConfig(index.serial, generations)


def _distribute(entries: list[Entry], count: int) -> dict[str, str]:
    shards: list[dict[str, list[str]]] = [{"pools": [], "queues": [], "schedules": []} for _ in range(count)]
    for entry in sorted(entries, key=lambda entry: (entry.section, entry.name)):
        shards[entry.slot % count][entry.section].append(entry.text)
    return {names.shard_file(number): _joined(shard) for number, shard in enumerate(shards)}


def _joined(shard: Mapping[str, Iterable[str]]) -> str:
    """Return the canonical JSON of a shard out of that of its entries."""
    return "{" + ",".join(f'"{section}":[{",".join(texts)}]' for section, texts in shard.items()) + "}"


def _config_map(broker: Broker, name: str, key: str, text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(broker, name, labels.config_labels(broker.name)),
        "data": {key: text},
    }
