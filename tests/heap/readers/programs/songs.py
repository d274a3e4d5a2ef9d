"""Holds Python objects by several functions and says how much: FUNCTION BYTES, at the peak."""

import gc
import sys


def make_uris(count: int) -> list[str]:
    return [make_uri(number) for number in range(count)]


def make_uri(number: int) -> str:
    return f"music/{number:08}" * 3


def make_blobs(count: int) -> list[bytearray]:
    return [bytearray(1 << 20) for _ in range(count)]


def main() -> None:
    gc.disable()
    uris = make_uris(20000)
    blobs = make_blobs(10)
    sys.stdout.write(f"make_uri {sum(map(sys.getsizeof, uris))}\n")
    sys.stdout.write(f"make_blobs {sum(blob.__alloc__() for blob in blobs)}\n")


main()
