"""The hash under splits and shards is splitmix64, on every machine and for ever."""

from __future__ import annotations

import numpy as np

from ehrlich.base.hashing import Ints, stable_hash


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


def test_it_is_splitmix64() -> None:
    # First output of the reference implementation for seed 0.
    assert stable_hash(ints(0), 0).tolist() == [0xE220A8397B1DCDAF]
    assert stable_hash(ints(1, -1, 2**63 - 1), 0).tolist() == [
        10451216379200822465, 16490336266968443936, 3055647633038352039,
    ]  # fmt: skip


def test_a_salt_moves_along_the_same_stream() -> None:
    # Salt s and value 0 is the (s + 1)th output of the generator seeded with 0.
    assert stable_hash(ints(0), 1).tolist() == [0x6E789E6AA1B965F4]


def test_bits_are_even_and_integers_keep_apart() -> None:
    hashed = stable_hash(np.arange(100_000, dtype=np.int64), 0)
    assert len(set(hashed.tolist())) == 100_000
    for bit in range(64):
        share = ((hashed >> np.uint64(bit)) & np.uint64(1)).mean()
        assert abs(share - 0.5) < 0.01


def test_no_integers_have_no_hash() -> None:
    assert stable_hash(ints(), 3).tolist() == []
