"""The main job, a timed factorization of lastfm-360K: what ``recsys benchmark`` and the programs in
benchmarks/ have in common."""

from .main_job import (
    EXAMPLE_ARTIST,
    Problem,
    choose_artists,
    choose_user,
    described,
    headline,
    lastfm360k_or_twin,
    numpy_reference,
    reference_text,
    similar_text,
    timed_fit,
    user_text,
)

__all__ = [
    "EXAMPLE_ARTIST",
    "Problem",
    "choose_artists",
    "choose_user",
    "described",
    "headline",
    "lastfm360k_or_twin",
    "numpy_reference",
    "reference_text",
    "similar_text",
    "timed_fit",
    "user_text",
]
