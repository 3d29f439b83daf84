"""What goes wrong is said in one line on standard error, and nothing is written."""

import errno
import os
import shutil

import pytest

import recsys

COLUMNS = ("--item", "artist", "--value", "plays")
BAD_FILES = {
    "empty.csv": (b"", "the file is empty"),
    "header.csv": (b"user,item,value\n", "there are no events"),
    "null.csv": (b"user,item,value\nann,Wire,1\n,Abba,2\n", "column 'user' is missing in 1 row"),
    "negative.csv": (b"user,item,value\nann,Wire,-1\n", "column 'value' is negative in 1 row"),
    "nan.csv": (b"user,item,value\nann,Wire,nan\n", "column 'value' is not finite in 1 row"),
    "inf.csv": (b"user,item,value\nann,Wire,inf\n", "column 'value' is not finite in 1 row"),
    "words.csv": (b"user,item,value\nann,Wire,many\n", "many"),
    "columns.csv": (b"user,items,value\nann,Wire,1\n", "it has 'user', 'items', 'value'; did you"),
    "binary.csv": (b"PAR1\x00\x01", "Parquet"),
    "text.parquet": (b"user,item,value\nann,Wire,1\n", "no Parquet file"),
    "text.npz": (b"user,item,value,more\n", "text.npz"),
    "packed.csv.gz": (b"\x1f\x8b nothing", "packed.csv.gz"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(error, folder, name):
    content, words = BAD_FILES[name]
    (folder / name).write_bytes(content)
    line = error("train", name, "--value", "value", "-o", "out.safetensors")
    assert words in line and name in line


def test_ids_of_more_than_one_kind(error, folder):
    import pandas as pd

    mixed = pd.DataFrame({"user": ["ann", "bob"], "item": [1.5, 2.5]})
    mixed.to_parquet("mixed.parquet")
    assert "item" in error("train", "mixed.parquet", "-o", "out.safetensors")


def test_ids_that_no_model_file_holds(error, monkeypatch):
    import pandas as pd

    dates = pd.DataFrame({"user": pd.to_datetime(["2026-01-01", "2026-01-02"]), "item": [1, 2]})
    dates.to_parquet("dates.parquet")
    monkeypatch.setattr(recsys.ImplicitALS, "fit", None)  # it does not come to that
    assert "cannot be written to a file" in error("train", "dates.parquet", "-o", "o.safetensors")


def test_duplicate_events(error, recsys_):
    options = ("train", "plays.csv", *COLUMNS, "-o", "out.safetensors")
    assert "that was there before" in error(*options, "--aggregate", "raise")
    recsys_(*options, "--aggregate", "max", "--iterations", 1)


@pytest.mark.parametrize(
    "options, words",
    [
        (("nowhere.csv",), "nowhere.csv"),
        (("plays.xls",), "the ending of 'plays.xls' says nothing of its format"),
        (("plays.csv", "--format", "tsv"), "unknown format 'tsv'"),
        (("plays.csv", "-m", "implicit"), "unknown model 'implicit'; expected 'bpr' or"),
        (("plays.csv", "-m", "bpr", "--alpha", 3), "bpr has no --alpha; there are factors, lear"),
        (("plays.csv", "--set", "solvr=cg"), "no parameter 'solvr'; did you mean 'solver'?"),
        (("plays.csv", "--set", "solver=gc"), "unknown solver 'gc'"),
        (("plays.csv", "--set", "solver"), "--set takes NAME=VALUE"),
        (("plays.csv", "--set", "alpha=much"), "alpha must be a finite number"),
        (("plays.csv", "--factors", 0), "factors must be at least 1"),
        (("plays.csv", "--patience", 2), "--patience goes by what is held out"),
        (("plays.csv", "--min-gain", 0.1), "--min-gain 0.1 is what --patience waits for"),
        (("plays.csv", "--refit"), "--refit goes by what is held out"),
        (("plays.csv", "--validation", 0.2, "--metric", "ngcg@10"), "did you mean 'ndcg@10'?"),
        (("plays.csv", "--validation", 2), "must be"),
        (("plays.csv", "--validation", 0.2, "--split", "peruser"), "did you mean 'per-user'?"),
        (("plays.csv", "--validation", 0.2, "--split", "time"), "needs times"),
        (("plays.csv", "--validation", 0.01), "with a share of 0.01 holds out nothing of 300"),
        (
            ("plays.csv", "-m", "item-neighbors", "--validation", 0.2, "--patience", 1),
            "item-neighbors has no iterations",
        ),
        (("bare.csv", "--no-header"), "without a header columns go by number"),
        (("plays.csv", "--min-user", 1000), "leave no entries"),
    ],
)
def test_bad_options_of_train(error, options, words):
    assert words in error("train", *options, *COLUMNS, "-o", "out.safetensors")


def test_where_files_go_is_looked_at_first(error, folder):
    assert "no folder" in error("train", "nowhere.csv", "-o", "none/out.safetensors")
    assert "is a folder" in error("train", "nowhere.csv", "-o", ".")
    assert "end in .parquet" in error("recommend", "nowhere.safetensors", "-o", "out.xls")


@pytest.mark.parametrize(
    "options, words",
    [
        (("recommend", "nowhere.safetensors"), "no model file"),
        (("recommend", "plays.csv"), "not a whole model file"),
        (("recommend", "model.safetensors", "--user", "anne"), "did you mean 'ann'?"),
        (("recommend", "model.safetensors", "--user", "ann", "-N", 2000), "N must be"),
        (("recommend", "numbers.safetensors", "--user", "ann"), "users are integers here"),
        (("recommend", "numbers.safetensors", "--histories", "plays.csv"), "knows no ids"),
        (("similar", "model.safetensors", "Joy Divisoin"), "did you mean 'Joy Division'?"),
        (("similar", "model.safetensors", "Joy Divisoin", "Wires"), "'Joy Divisoin', 'Wires'"),
        (("similar", "numbers.safetensors", "99"), "items not known to the model: 99"),
        (("info", "plays.parquet"), "not a whole model file"),
        (("evaluate", "model.safetensors"), "models of files take --test FILE"),
        (("evaluate", "plays.csv", "later.parquet", "-m", "bpr"), "one file of events; got 2"),
        (("evaluate", "numbers.safetensors", "--test", "plays.csv", *COLUMNS), "knows no ids"),
        (("evaluate", "model.safetensors", "--test", "plays.csv", *COLUMNS), "was trained on"),
        (("evaluate", "plays.csv", *COLUMNS, "-m", "bpr", "--metric", "ngcg"), "ndcg"),
        (("tune", "plays.csv", *COLUMNS, "--trials", 0), "trials must be at least 1"),
    ],
)
def test_bad_options(error, options, words):
    assert words in error(*options)


def test_nobody_named(error, folder):
    (folder / "none.txt").write_text("\n \n", encoding="utf-8")
    assert "names nobody" in error("recommend", "model.safetensors", "--users", "none.txt")
    assert "names nobody" in error("recommend", "model.safetensors", "--users", "-", stdin="")
    line = error("recommend", "model.safetensors", "--users", "plays.parquet")
    assert line == "'plays.parquet' is no text in UTF-8; expected one id a line"


def test_lists_for_many_go_to_a_file(error, monkeypatch):
    monkeypatch.setattr("recsys.cli.lists._SHOWN", 20)
    assert "lists for all 40 users are for a file" in error("recommend", "model.safetensors")


def test_verbose_says_where(recsys_):
    done = recsys_("info", "nowhere.safetensors", "-v", status=1)
    assert "Traceback" in done.stderr and "read_model_file" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: there is no model file")


@pytest.mark.parametrize("command", [(), ("train",), ("trian",), ("train", "plays.csv", "--users")])
def test_usage(recsys_, command):
    done = recsys_(*command, status=2)
    assert "Usage: " in done.output and "Traceback" not in done.output


def disk_full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_disk_full_while_lists_are_written(error, folder, monkeypatch, ending):
    writer = {
        "csv": "recsys.cli.list_files._rows",
        "jsonl": "recsys.cli.list_files._rows",
        "parquet": "pyarrow.parquet.ParquetWriter.write_table",
    }
    (folder / f"out.{ending}").write_text("as it was", encoding="utf-8")
    monkeypatch.setattr(writer[ending], disk_full)
    line = error("recommend", "model.safetensors", "-o", f"out.{ending}", "-q")
    assert line == f"No space left on device: out.{ending}"
    assert (folder / f"out.{ending}").read_text(encoding="utf-8") == "as it was"


@pytest.mark.parametrize(
    "failure, line",
    [
        (MemoryError(), "not enough memory."),
        (FloatingPointError("training diverged"), "training diverged"),
        (KeyError("what"), "what"),
        (ImportError("needs optuna:\n  pip install it"), "needs optuna: pip install it"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_the_library_raises(error, monkeypatch, failure, line):
    def fit(*_, **__):
        raise failure

    monkeypatch.setattr(recsys.ImplicitALS, "fit", fit)
    assert error("train", "plays.csv", *COLUMNS, "-o", "out.safetensors") == line


def test_a_bug_is_not_taken_for_bad_input(folder, recsys_, monkeypatch):
    def fit(*_, **__):
        raise AssertionError("a bug")

    monkeypatch.setattr(recsys.ImplicitALS, "fit", fit)
    with pytest.raises(AssertionError, match="a bug"):
        recsys_("train", "plays.csv", *COLUMNS, "-o", "out.safetensors")
    assert not (folder / "out.safetensors").exists()


def interrupted(monkeypatch, after):
    """Ctrl-C in iteration `after` + 1."""
    whole = recsys.ImplicitALS.fit

    def fit(model, *arguments, **options):
        def callback(iteration, *_):
            if iteration == after:
                raise KeyboardInterrupt

        if not after:
            raise KeyboardInterrupt
        return whole(model, *arguments, callback=callback, **options)

    monkeypatch.setattr(recsys.ImplicitALS, "fit", fit)


def test_interrupted_training_leaves_its_last_iteration(recsys_, folder, monkeypatch):
    shutil.copy(folder / "numbers.safetensors", folder / "out.safetensors")
    before = (folder / "out.safetensors").read_bytes()
    interrupted(monkeypatch, after=2)
    done = recsys_("train", "plays.csv", *COLUMNS, "-o", "out.safetensors", "-q", status=130)
    assert (
        done.stderr == "interrupted: the model of iteration 2 is in out-interrupted.safetensors\n"
    )
    assert len(recsys.load("out-interrupted.safetensors").history) == 2
    assert (folder / "out.safetensors").read_bytes() == before


def test_interrupted_before_there_is_anything(recsys_, folder, monkeypatch):
    interrupted(monkeypatch, after=0)
    done = recsys_("train", "plays.csv", *COLUMNS, "-o", "out.safetensors", "-q", status=130)
    assert done.stderr == "interrupted: nothing was written\n"
    assert not list(folder.glob("out*"))
