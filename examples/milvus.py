"""A trained model behind a vector database: Milvus finds what a user may like, by name.

Trains on listening counts, stores each artist's factors with the name and the number of listeners,
and asks for the highest inner products with a user's factors, with and without a condition on the
listeners. Milvus scans all artists here (a FLAT index), so its lists must be the model's own, which
is checked. For a large catalogue a server has index_type="HNSW"; nothing else changes.

    pip install 'recsys-engine[milvus]'
    python examples/milvus.py
    python examples/milvus.py --data counts.csv                # user,item,count
    python examples/milvus.py --uri http://localhost:19530     # a server instead of a file
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import recsys
from recsys.datasets import lastfm360k_twin, read_interactions

try:
    from pymilvus import DataType, MilvusClient, MilvusException
except ImportError:
    sys.exit("this example needs Milvus: pip install 'recsys-engine[milvus]'")

COLLECTION = "recsys_example_artists"
BATCH = 1000  # rows sent together
NAME_BYTES = 512
WIDTH = 44  # of a name on the screen


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="a file with names (.csv of user,item,count, or .npz); default: the synthetic twin "
        "of lastfm-360K at a hundredth of its size",
    )
    parser.add_argument(
        "--uri", help="a server, or a file to keep; default: a file in a temporary folder"
    )
    parser.add_argument("--user", type=int, default=0, help="row number; default: 0")
    parser.add_argument("--listeners", type=int, default=100, help="at most; default: 100")
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    return parser.parse_args()


def store(client: MilvusClient, model: recsys.ImplicitALS, names: list[str], listeners) -> None:
    """One row for each artist: number, name, listeners, factors."""
    factors = np.asarray(model.item_factors, np.float32)
    if client.has_collection(COLLECTION):
        client.drop_collection(COLLECTION)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("item", DataType.INT64, is_primary=True)
    schema.add_field("artist", DataType.VARCHAR, max_length=NAME_BYTES)
    schema.add_field("listeners", DataType.INT64)
    schema.add_field("factors", DataType.FLOAT_VECTOR, dim=factors.shape[1])
    index = client.prepare_index_params()
    index.add_index("factors", index_type="FLAT", metric_type="IP")
    client.create_collection(COLLECTION, schema=schema, index_params=index)
    for begin in range(0, len(factors), BATCH):
        rows = [
            {
                "item": item,
                "artist": names[item].encode()[:NAME_BYTES].decode(errors="ignore"),
                "listeners": int(listeners[item]),
                "factors": factors[item],
            }
            for item in range(begin, min(begin + BATCH, len(factors)))
        ]
        client.insert(COLLECTION, rows)


def search(
    client: MilvusClient, user_factors: np.ndarray, seen: np.ndarray, most: int | None
) -> list[dict]:
    """The ten best artists that are not among `seen`, with at most so many listeners."""
    conditions = [f"item not in {seen.tolist()}"] if len(seen) else []
    if most is not None:
        conditions.append(f"listeners <= {most}")
    found = client.search(
        COLLECTION,
        data=[np.asarray(user_factors, np.float32)],
        anns_field="factors",
        limit=10,
        filter=" and ".join(conditions),
        output_fields=["artist", "listeners"],
        consistency_level="Strong",  # all that was inserted
    )
    return list(found[0])


def show(rows: list[dict]) -> None:
    for row in rows:
        name, listeners = row["entity"]["artist"], row["entity"]["listeners"]
        print(f"  {row['distance']:7.4f}  {name[:WIDTH]:<{WIDTH}} {listeners:>8,}")


def is_the_models_list(
    model: recsys.ImplicitALS, user: int, rows: list[dict], left_out: np.ndarray
) -> bool:
    """Whether both lists have the same scores, and so the same artists except for ties."""
    ids, scores = model.recommend(user, N=10, filter_items=left_out)
    items = np.array([row["item"] for row in rows], np.int64)
    found = np.array([row["distance"] for row in rows])
    if len(found) != (ids >= 0).sum():
        return False
    # The same products, summed in another order
    near = {"rtol": 1e-4, "atol": 1e-6}
    return bool(
        np.allclose(found, scores[ids >= 0], **near)
        and np.allclose(found, model.score(user, items), **near)
    )


def ask(client, model, counts, listeners, user: int, most: int | None) -> bool:
    """Show the list of Milvus for a user; whether it is the model's."""
    limit = "" if most is None else f" with at most {most:,} listeners"
    print(f"\nMilvus, for user {user}: artists{limit} not heard yet")
    seen = counts.indices[counts.indptr[user] : counts.indptr[user + 1]]
    rows = search(client, model.user_factors[user], seen, most)
    show(rows)
    left_out = np.flatnonzero(listeners > most) if most is not None else np.empty(0, np.int64)
    equal = is_the_models_list(model, user, rows, left_out)
    print("  the model's own list is " + ("the same" if equal else "ANOTHER"))
    return equal


def main() -> int:
    options = parse()
    try:
        dataset = read_interactions(options.data) if options.data else lastfm360k_twin(0.01)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot use that data: {error}")
    print(dataset)
    counts = dataset.user_items
    if not 0 <= options.user < counts.shape[0]:
        sys.exit(f"--user is {options.user}; expected 0 to {counts.shape[0] - 1}")
    names = list(map(str, dataset.items))
    listeners = np.bincount(counts.indices, minlength=counts.shape[1])
    model = recsys.ImplicitALS(options.factors, iterations=10, random_state=0).fit(counts)
    with tempfile.TemporaryDirectory() as folder:
        uri = options.uri or str(Path(folder) / "artists.db")
        try:
            client = MilvusClient(uri)
        except MilvusException as error:
            sys.exit(f"cannot open {uri}: {error}")
        try:
            store(client, model, names, listeners)
            equal = [
                ask(client, model, counts, listeners, options.user, most)
                for most in (None, options.listeners)
            ]
        finally:
            client.close()
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
