"""Random numbers by counter: a draw is a function of its key and its place in the sequence alone.

The mix is that of splitmix64 (Steele, Lea and Flood, OOPSLA 2014). Whole arrays are drawn at once;
key and counter broadcast against each other.
"""

from __future__ import annotations

import numpy as np


def draw(key, counter):
    """64 random bits for each place `counter` of the sequence of `key`; uint64."""
    z = np.asarray(key, np.uint64) + np.asarray(counter, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def below(random, n):
    """An integer in [0, n) for each of `random`, n at most 2^32: probabilities are off by less than
    2^-32 (Lemire, ACM TOMACS 29, 2019, without the rejection)."""
    return ((random >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)
