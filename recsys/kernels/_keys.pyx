# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Numbers for keys, by a hash table: sorting millions of keys takes some ten times as long; and
the texts of numbers."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from cpython.unicode cimport PyUnicode_DecodeUTF8

import numpy as np


cdef inline uint64_t spread(uint64_t z) noexcept nogil:
    """The mix of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef int64_t number_into(const int64_t[::1] keys, int64_t[::1] slots, int64_t[::1] distinct,
                         int32_t[::1] codes, int64_t at, int64_t count) noexcept nogil:
    """Numbers keys[at:] until the table is half full; where it has stopped."""
    cdef int64_t mask = slots.shape[0] - 1, slot, found
    while at < keys.shape[0]:
        slot = spread(<uint64_t>keys[at]) & mask
        while True:
            found = slots[slot]
            if found < 0:
                if 2 * count > mask:
                    return at
                slots[slot] = count
                distinct[count] = keys[at]
                codes[at] = <int32_t>count
                count += 1
                break
            if distinct[found] == keys[at]:
                codes[at] = <int32_t>found
                break
            slot = (slot + 1) & mask
        at += 1
    return at


def number_keys(const int64_t[::1] keys):
    """Distinct keys (count,) int64 in order of appearance, and the place of each key among them,
    (n,) int32. keys (n,) int64, at most 2^31 - 1 distinct ones."""
    cdef int64_t at = 0, count = 0, size = 1 << 12, k, slot, n = keys.shape[0]
    codes_array = np.empty(n, np.int32)
    cdef int32_t[::1] codes = codes_array
    distinct_array = np.empty(0, np.int64)
    cdef int64_t[::1] slots, distinct
    while True:
        slots = np.full(size, -1, np.int64)
        grown = np.empty(size // 2 + 1, np.int64)
        grown[:count] = distinct_array[:count]
        distinct_array = grown
        distinct = grown
        with nogil:
            for k in range(count):
                slot = spread(<uint64_t>distinct[k]) & (size - 1)
                while slots[slot] >= 0:
                    slot = (slot + 1) & (size - 1)
                slots[slot] = k
            at = number_into(keys, slots, distinct, codes, at, count)
        if at == n:
            break
        count = size // 2  # half full, as number_into left it
        size *= 4
    count = codes_array.max() + 1 if n else 0
    return distinct_array[:count].copy(), codes_array


def texts(const int64_t[::1] offsets, const uint8_t[::1] letters, const int64_t[::1] rows):
    """The strings of rows, (n,) objects; None for row -1. That of row i is the UTF-8
    ``letters[offsets[i]:offsets[i + 1]]``.

    Raises
    ------
    IndexError
        A row beyond the last, or below -1.
    UnicodeDecodeError
        Letters that are no UTF-8.
    """
    out = np.empty(rows.shape[0], object)  # None everywhere
    cdef object[::1] places = out
    cdef int64_t k, row, begin, count = offsets.shape[0] - 1
    cdef const char* text = <const char*>&letters[0]  # never looked at where there are none
    for k in range(rows.shape[0]):
        row = rows[k]
        if not -1 <= row < count:
            raise IndexError(f"row {row} of {count}")
        if row >= 0:
            begin = offsets[row]
            places[k] = PyUnicode_DecodeUTF8(text + begin, offsets[row + 1] - begin, NULL)
    return out
