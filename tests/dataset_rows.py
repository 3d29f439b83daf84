"""Writes small files in the forms lastfm-360K comes in."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import scipy.sparse as sp

MEMBER = "lastfm-dataset-360K/usersha1-artmbid-artname-plays.tsv"


def sha1(user) -> str:
    return hashlib.sha1(str(user).encode()).hexdigest()


def write_tsv(path, n_users=30, n_items=40, seed=0, extra=()):
    """Random rows, grouped by user, then ``extra`` lines; returns {(user, artist): plays}."""
    rng = np.random.default_rng(seed)
    plays, lines = {}, []
    for user in range(n_users):
        for item in rng.choice(n_items, rng.integers(1, 12), replace=False):
            name = f"Björk & the {item}" if item % 3 else f"artist '{item}\""
            mbid = "" if item % 4 == 0 else f"{item:08x}-aaaa-bbbb-cccc-{item:012x}"
            count = int(rng.lognormal(4.5, 1.3)) + 1
            plays[sha1(user), name] = count
            lines.append(f"{sha1(user)}\t{mbid}\t{name}\t{count}".encode())
    path.write_bytes(b"\n".join([*lines, *extra]) + b"\n")
    return plays


def write_tar(path, tsv, mode="w:gz", member=MEMBER):
    with tarfile.open(path, mode) as archive:
        readme = tarfile.TarInfo("lastfm-dataset-360K/README.txt")
        readme.size = 5
        archive.addfile(readme, io.BytesIO(b"hello"))
        archive.add(tsv, member)
    return path


def write_gzip(path, tsv):
    path.write_bytes(gzip.compress(tsv.read_bytes()))
    return path


def write_hdf5(path, plays):
    import h5py

    users = sorted({user for user, _ in plays})
    artists = sorted({artist for _, artist in plays})
    rows = [artists.index(artist) for _, artist in plays]
    cols = [users.index(user) for user, _ in plays]
    data = np.array(list(plays.values()), dtype=np.float32)
    matrix = sp.csr_matrix((data, (rows, cols)), shape=(len(artists), len(users)))
    with h5py.File(path, "w") as file:
        group = file.create_group("artist_user_plays")
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(matrix, name))
        for name, values in (("artist", artists), ("user", users)):
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
    return path


def as_dict(dataset):
    """{(user, item): count} of a Dataset."""
    coo = dataset.user_items.tocoo()
    users, items = dataset.users[coo.row], dataset.items[coo.col]
    return dict(zip(zip(users, items, strict=True), coo.data.tolist(), strict=True))
