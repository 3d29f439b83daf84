"""Neighbours that make sense to anyone who knows music, on real listening data."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS

DATA = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def lastfm():
    path = DATA / "lastfm-2k.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there; set RECSYS_DATA to the folder that holds lastfm-2k.npz")
    with np.load(path) as file:
        plays = sparse.csr_array(
            (file["plays"], file["indices"], file["indptr"]), shape=tuple(file["shape"])
        )
        names = file["artists"]
    return ImplicitALS(random_state=0).fit(plays), names


@pytest.mark.parametrize(
    "artist, known",
    [
        (
            "Jay-Z",
            "Kanye West, Lil' Wayne, 50 Cent, Eminem, Nas, Ludacris, Busta Rhymes, Drake, T.I.",
        ),
        (
            "Joy Division",
            "New Order, The Smiths, The Cure, Interpol, Morrissey, Sonic Youth, Pixies",
        ),
    ],
)
def test_neighbours(lastfm, artist, known):
    model, names = lastfm
    [which] = np.flatnonzero(names == artist)
    ids, scores = model.similar_items(which, 11)
    assert names[ids[0]] == artist and scores[0] == 1
    near = list(names[ids[1:]])
    assert len(set(known.split(", ")).intersection(near)) >= 3, near
