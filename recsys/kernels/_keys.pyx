# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Numbers for keys, by hash tables: sorting millions of keys takes some ten times as long; and
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


def texts(const int64_t[::1] offsets, const uint8_t[::1] letters, rows):
    """The strings of rows, an array of integers of any shape, as objects; None for row -1. That of
    row i is the UTF-8 ``letters[offsets[i]:offsets[i + 1]]``.

    Raises
    ------
    IndexError
        A row beyond the last, or below -1.
    UnicodeDecodeError
        Letters that are no UTF-8.
    """
    out = np.empty(rows.shape, object)  # None everywhere
    flat = rows.astype(np.int64)  # in the order of C
    cdef const int64_t[::1] numbers = flat if flat.ndim == 1 else flat.reshape(-1)
    cdef object[::1] places = out if flat.ndim == 1 else out.reshape(-1)
    cdef int64_t k, row, begin, count = offsets.shape[0] - 1
    cdef const char* text = <const char*>&letters[0]  # never looked at where there are none
    for k in range(numbers.shape[0]):
        row = numbers[k]
        if not -1 <= row < count:
            raise IndexError(f"row {row} of {count}")
        if row >= 0:
            begin = offsets[row]
            places[k] = PyUnicode_DecodeUTF8(text + begin, offsets[row + 1] - begin, NULL)
    return out


# ---- Python's own objects ------------------------------------------------------------------------
#
# What takes time in millions of look-ups in a dict is waiting for memory: the key, a slot, an entry
# and a number, one after the other. So keys are hashed a batch at a time, and slots and known keys
# are asked for before they are looked at.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define RECSYS_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define RECSYS_PREFETCH(address) ((void)0)
    #endif
    """
    void RECSYS_PREFETCH(const void *address) noexcept nogil

cdef enum:
    BATCH = 64


cdef inline bint is_plain(object key) noexcept:
    """Hashing and comparing it runs no code but the interpreter's."""
    return type(key) is str or type(key) is int


def key_table(dict numbers):
    """A hash table of what keys are mapped to, for `find_keys`: the known keys, a list; their
    numbers (n,) int32; slots int32, places among these or -1, and hashes int64, (a power of 2,).
    None where a key is neither str nor int."""
    cdef list known = list(numbers)
    cdef int64_t size = 8, mask, slot, k, n = len(known)
    while size < 2 * n:
        size *= 2
    mask = size - 1
    values = np.fromiter(numbers.values(), np.int32, n)
    slots_array, hashes_array = np.full(size, -1, np.int32), np.empty(size, np.int64)
    cdef int32_t[::1] slots = slots_array
    cdef int64_t[::1] hashes = hashes_array
    cdef int64_t hashed
    for k in range(n):
        if not is_plain(known[k]):
            return None
        hashed = hash(known[k])
        slot = spread(<uint64_t>hashed) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = <int32_t>k
        hashes[slot] = hashed
    return known, values, slots_array, hashes_array


def find_keys(list keys, dict numbers, table, int32_t[::1] out):
    """The number of each key, into out (n,); how many there are before one that has none, or n.

    numbers is what `key_table` made table from, and answers where that is None or where a key is
    neither str nor int. TypeError where a key cannot be hashed."""
    cdef int64_t n = len(keys), begin, end, k, slot, mask
    cdef int64_t[BATCH] hashed, at
    cdef bint[BATCH] plain
    cdef list known
    cdef const int32_t[::1] values, slots
    cdef const int64_t[::1] hashes
    cdef object key, other
    if table is None:
        for k in range(n):
            found = numbers.get(keys[k])
            if found is None:
                return k
            out[k] = found
        return n
    known, values, slots, hashes = table
    mask = slots.shape[0] - 1
    for begin in range(0, n, BATCH):
        end = min(begin + BATCH, n)
        for k in range(begin, end):
            key = keys[k]
            plain[k - begin] = is_plain(key)
            if plain[k - begin]:
                hashed[k - begin] = hash(key)
                slot = spread(<uint64_t>hashed[k - begin]) & mask
                at[k - begin] = slot
                RECSYS_PREFETCH(&slots[slot])
                RECSYS_PREFETCH(&hashes[slot])
        for k in range(begin, end):
            if plain[k - begin]:
                slot = at[k - begin]
                if slots[slot] >= 0:
                    RECSYS_PREFETCH(<const void *>known[slots[slot]])
                    RECSYS_PREFETCH(&values[slots[slot]])
        for k in range(begin, end):
            key = keys[k]
            if not plain[k - begin]:
                found = numbers.get(key)
                if found is None:
                    return k
                out[k] = found
                continue
            slot = at[k - begin]
            while True:
                if slots[slot] < 0:
                    return k
                if hashes[slot] == hashed[k - begin]:
                    other = known[slots[slot]]
                    if other is key or other == key:
                        out[k] = values[slots[slot]]
                        break
                slot = (slot + 1) & mask
    return n


def event_columns(list events, list users, list items, float[::1] weights):
    """First and second parts of events, into lists of as many places, and third ones, 1 where there
    are none, into weights (n,); how many there are before one of another number of parts, or n.

    TypeError where an event has no parts, or its weight is no number."""
    cdef int64_t k, n = len(events)
    cdef tuple event
    for k in range(n):
        if k + 16 < n:
            RECSYS_PREFETCH(<const void *>events[k + 16])
        if type(events[k]) is tuple:
            event = <tuple>events[k]
        else:
            event = tuple(events[k])
        if len(event) == 2:
            weights[k] = 1.0
        elif len(event) == 3:
            weights[k] = event[2]
        else:
            return k
        users[k] = event[0]
        items[k] = event[1]
    return n
