"""Files of events, a model of them, and the program run in this process."""

import json
import shutil

import numpy as np
import pytest

import recsys

ARTISTS = (
    "Joy Division", "New Order", "The Cure", "The Smiths", "Bauhaus", "Wire",
    "Magazine", "Gang of Four", "Television", "Pere Ubu", "Abba", "Boney M.",
)  # fmt: skip


def events(seed=0, count=600):
    """Plays of 40 users; a pair may come more than once."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    users = ["ann", "bob", *(f"user {i:02d}" for i in range(38))]
    return pd.DataFrame(
        {
            "user": rng.choice(users, count),
            "artist": rng.choice(ARTISTS, count, p=np.arange(1, 13) / 78),
            "plays": rng.integers(1, 50, count),
            "day": rng.integers(0, 400, count),
        }
    )


def described():
    """What artists are, and two that nobody has played."""
    import pandas as pd

    tags = ["post-punk|british"] * 6 + ["british|pop"] * 6 + ["pop|synth"] * 2
    years = [1976 + number % 5 for number in range(14)]
    columns = {"artist": [*ARTISTS, "Ultravox", "Visage"], "year": years, "tags": tags}
    return pd.DataFrame({**columns, "label": ["Factory", "EMI"] * 7})


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of input files that no test changes."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("made")
    plays = events()
    plays.to_parquet(folder / "plays.parquet")
    described().to_parquet(folder / "artists.parquet")
    plays.to_csv(folder / "plays.csv", index=False)
    plays.to_csv(folder / "plays.tsv", index=False, sep="\t")
    plays.to_csv(folder / "plays.csv.gz", index=False)
    plays.to_csv(folder / "bare.csv", index=False, header=False)
    events(seed=1, count=200).to_parquet(folder / "later.parquet")
    newcomers = events(seed=2, count=12).assign(user=["zoe", "yan", "ann"] * 4)
    newcomers.to_csv(folder / "newcomers.csv", index=False)
    (folder / "users.txt").write_text("ann\nbob\n\nuser 07\n", encoding="utf-8")
    data = recsys.Interactions.from_frame(plays, "user", "artist", "plays")
    model = recsys.ImplicitALS(4, regularization=1, iterations=3, random_state=0)
    model.fit(data).save(folder / "model.safetensors")
    model.fit(data.user_items).save(folder / "numbers.safetensors")
    neighbors = recsys.ItemNeighbors(k=5, weighting="cosine").fit(data)
    neighbors.save(folder / "neighbors.safetensors")
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The current folder, with copies of those files."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recsys_(folder):
    """Runs a command; checks its exit status; the result has stdout and stderr."""
    runner = pytest.importorskip("typer.testing", reason="needs typer").CliRunner()
    from recsys.cli.app import app

    def run(*arguments, status=0, stdin=None):
        done = runner.invoke(app, list(map(str, arguments)), input=stdin)
        assert done.exit_code == status, (done.output, done.exception)
        return done

    return run


@pytest.fixture
def as_json(recsys_):
    """Runs a command with --json; what it prints."""

    def run(*arguments):
        return json.loads(recsys_(*arguments, "--json").stdout)

    return run


@pytest.fixture
def error(recsys_, folder):
    """Runs a command that fails; its one line, after a look that no file was written."""

    def run(*arguments, status=1, stdin=None):
        before = sorted(folder.iterdir())
        done = recsys_(*arguments, status=status, stdin=stdin)
        assert sorted(folder.iterdir()) == before
        assert done.stdout == ""
        [line] = [line for line in done.stderr.splitlines() if not line.startswith("read ")]
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run
