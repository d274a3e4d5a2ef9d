"""A music library that nobody ever played: FLAC files that hold nothing but tags.

The Music Player Daemon reads the tags and the length from the head of a file; there is no music behind it. Names have
the lengths that names of albums and songs have, so an URI is about 70 bytes long. Songs stand on shelves of
a thousand, which several libraries can share; a shelf holds the same songs every time.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

SHELF = 1000
"""Songs."""
SONGS_OF_AN_ALBUM = 12
ALBUMS_OF_AN_ARTIST = 4
_SOUNDS = "ka lo mi ra ven tor sa li no be du fen gor ha is ju kel ma nu or pe qui ro sti ta um va wen xa yo zim"
_SYLLABLES = _SOUNDS.split()


def _name(chance: random.Random, least: int, most: int) -> str:
    """Some words."""
    words = [
        "".join(chance.choice(_SYLLABLES) for _ in range(chance.randint(1, 4))).capitalize()
        for _ in range(chance.randint(least, most))
    ]
    return " ".join(words)


def flac(tags: dict[str, str], seconds: int) -> bytes:
    """The head of a FLAC file (RFC 9639): the stream's properties and its tags, without a frame of audio."""
    rate, channels, bits = 44100, 2, 16
    properties = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | seconds * rate
    stream = struct.pack(">HH", 4096, 4096) + bytes(6) + properties.to_bytes(8, "big") + bytes(16)
    comments = [f"{key}={value}".encode() for key, value in tags.items()]
    text = struct.pack("<I", 0) + struct.pack("<I", len(comments))
    text += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    last = 0x80
    return b"fLaC" + _block(0, stream) + _block(4 | last, text)


def _block(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def shelf(directory: Path, number: int) -> Path:
    """Writes SHELF songs, in folders of artists and albums, unless they are there; returns their folder."""
    folder = directory / f"Shelf {number + 1:02d}"
    if not folder.exists():
        _fill(folder, random.Random(number), SHELF)
    return folder


def _fill(directory: Path, chance: random.Random, songs: int) -> None:
    artist = ""
    folder = directory
    for number in range(songs):
        track = number % SONGS_OF_AN_ALBUM + 1
        if number % (SONGS_OF_AN_ALBUM * ALBUMS_OF_AN_ARTIST) == 0:
            artist = f"{_name(chance, 1, 3)} {number // (SONGS_OF_AN_ALBUM * ALBUMS_OF_AN_ARTIST)}"
        if track == 1:
            album = _name(chance, 1, 4)
            folder = directory / artist / f"{album} ({chance.randint(1960, 2024)})"
            folder.mkdir(parents=True, exist_ok=True)
        title = _name(chance, 1, 5)
        tags = {
            "ARTIST": artist,
            "ALBUM": album,
            "TITLE": title,
            "TRACKNUMBER": str(track),
            "GENRE": chance.choice(("Jazz", "Rock", "Classical", "Electronic", "Folk")),
        }
        (folder / f"{track:02d} {title}.flac").write_bytes(flac(tags, chance.randint(90, 420)))
