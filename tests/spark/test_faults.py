"""What goes wrong around a fit: executors that die, folders that cannot be written, two at once."""

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: [test-spark]")

LIMIT = 200  # seconds, on however busy a machine


def executors():
    """Process ids of this Spark's executors."""
    parents, backends = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(parent)
        if b"CoarseGrainedExecutorBackend" in command:
            backends.append(int(folder.name))

    def is_ours(pid):
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return list(filter(is_ours, backends))


def bits(sides):
    return [(ids, array.tobytes()) for ids, array in sides]


@pytest.fixture
def slow(monkeypatch):
    """Iterations that take a while in the executors, and leave their number in a file."""
    from recsys.spark import stage

    def use(folder, seconds):
        original = stage.worker

        def slower(settings):
            work = original(settings)

            def slow_work(batches):
                import time as clock
                from pathlib import Path

                from recsys.distributed.rank import Rank

                half_sweep = Rank.half_sweep

                def waits(self, fixed, *args):
                    clock.sleep(seconds)
                    loss = half_sweep(self, fixed, *args)
                    number = len(self.report.seconds) + self.report.first
                    Path(folder, f"rank-{self.mesh.rank}").write_text(str(number))
                    return loss

                Rank.half_sweep = waits
                try:
                    yield from work(batches)
                finally:
                    Rank.half_sweep = half_sweep

            return slow_work

        monkeypatch.setattr(stage, "worker", slower)

    return use


def test_an_executor_killed_in_mid_fit_changes_no_bit(
    spark, events, als, model, factors, model_factors, slow, tmp_path
):
    """The fit goes on from checkpoints, which lie where Spark says; of models fitted before one is
    on the other executor too, and half of one has to be made again."""
    once = als(finalStorageLevel="MEMORY_ONLY").fit(events)
    slow(str(tmp_path), 0.3)
    killed = []

    def kill():
        while not killed:
            note = tmp_path / "rank-0"
            if note.exists() and int(note.read_text() or 0) >= 2:
                os.kill(executors()[0], signal.SIGKILL)
                killed.append(note.read_text())
            time.sleep(0.05)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    spark.sparkContext.setCheckpointDir(str(tmp_path / "checkpoints"))
    again = als(checkpointInterval=1).fit(events)
    assert killed and again.summary.resumed >= 1
    whole = bits(model_factors)
    assert [bits(factors(each)) == whole for each in (again, model, once)] == [True] * 3
    [folder] = (tmp_path / "checkpoints").iterdir()
    assert not any(folder.iterdir())  # those of the fit are gone


def test_an_interrupted_driver_ends_the_tasks(events, als, slow, tmp_path):
    """As by Ctrl-C; the next fit has all the slots it needs, long before 1000 s, which all of the
    iterations would take."""
    slow(str(tmp_path), 0.1)
    note, main, began = tmp_path / "rank-0", threading.get_ident(), []

    def iteration():
        return int(note.read_text() or 0) if note.exists() else 0

    def interrupt():
        while iteration() < 2:
            time.sleep(0.05)
        began.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        als(maxIter=5000).fit(events)
    assert als(maxIter=1).fit(events).userFactors.count() == 300
    assert time.monotonic() - began[0] < LIMIT
    assert iteration() <= 1  # of the next fit, and nobody writes another


def test_two_fits_at_once(events, entries, als, factors, in_threads):
    seeds, found = (3, 4), [None, None]

    def fit(at):
        found[at] = bits(factors(als(seed=seeds[at]).fit(events)))

    threads = [threading.Thread(target=fit, args=(at,), daemon=True) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert found == [bits(in_threads(entries, seed=seed)[0]) for seed in seeds]


def test_a_checkpoint_folder_that_cannot_be_written(tmp_path):
    from recsys.distributed import CheckpointError
    from recsys.spark.store import ArrowStore

    (tmp_path / "a file").write_text("")
    read_only = tmp_path / "read only"
    read_only.mkdir(mode=0o500)
    if os.access(read_only, os.W_OK):  # of root, who may write everywhere but here
        read_only = "/proc"
    for folder in (tmp_path / "a file", read_only):
        with pytest.raises(CheckpointError, match=f"{folder}/recsys: .*checkpointInterval=-1"):
            ArrowStore(f"{folder}/recsys").write("users", b"factors")
        with pytest.raises(CheckpointError, match=f"{folder}/recsys: .*checkpointInterval=-1"):
            ArrowStore(f"{folder}/recsys").check("rank-0")
    with pytest.raises(CheckpointError, match=r"written to foo://x: .*checkpointInterval=-1"):
        ArrowStore("foo://x").check("rank-0")
    ArrowStore(str(tmp_path)).check("rank-0")
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["a file"]


def test_what_hdfs_takes_is_said_in_a_few_words(monkeypatch):
    from recsys.distributed import CheckpointError
    from recsys.spark import store

    def fails(address):
        raise OSError("Unable to load libjvm\ndlopen" + "x" * 15_000)

    monkeypatch.setattr(store, "fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=fails)))
    for folder in ("hdfs://host/x", "s3a://bucket/x"):
        with pytest.raises(CheckpointError) as caught:
            store.ArrowStore(folder).check("rank-0")
        said = str(caught.value)
        assert said.startswith(f"checkpoints cannot be written to {folder}: Unable to load libjvm.")
        assert ("libhdfs" in said and "CLASSPATH" in said) == folder.startswith("hdfs")
        assert len(said) < 500 and "checkpointInterval=-1" in said
    assert store.brief(OSError("x" * 500)) == "x" * 200 + "..."


def test_checkpoint_folders_as_they_are_at_hand(als, tmp_path):
    from recsys.spark.store import check_address

    assert als(checkpointDir=tmp_path).getOrDefault("checkpointDir") == str(tmp_path)
    with pytest.raises(TypeError, match="checkpointDir"):
        als(checkpointDir=3)
    with pytest.raises(ValueError, match=r"'dbfs:/x', which .*s3a://.*did you mean '/dbfs/x'\?"):
        check_address("dbfs:/x")


@pytest.mark.parametrize("folder", ["foo://x", "s3x://bucket/x", "checkpoints"])
def test_a_checkpoint_folder_of_no_kind_is_an_error_of_the_driver(events, als, folder):
    said = f"{folder}', which is neither an absolute path nor .*s3://.*checkpointInterval=-1"
    with pytest.raises(ValueError, match=said):
        als(checkpointDir=folder).fit(events)


@pytest.mark.parametrize("folder", ["/folder", "file:/folder", "hdfs://host/x", "s3a://bucket/x"])
def test_folders_as_hadoop_names_them_can_be_checkpoint_folders(folder):
    from recsys.spark.store import check_address

    check_address(folder)


@pytest.mark.parametrize("folder", ["a file", "a file/below"])
def test_a_checkpoint_folder_that_is_a_file_ends_a_fit_at_its_start(events, als, tmp_path, folder):
    (tmp_path / "a file").write_text("")
    with pytest.raises(
        OSError, match=rf"rank-0 cannot be written .*{folder}/recsys-.*checkpointDi"
    ):
        als(checkpointDir=f"{tmp_path}/{folder}", checkpointInterval=3).fit(events)


def test_a_checkpoint_folder_that_is_full_for_one_of_the_tasks(
    events, als, factors, model_factors, monkeypatch, tmp_path
):
    """One error, of what that task met and not of who lost it; then the fit can be had again."""
    from recsys.spark import stage

    original = stage.worker

    def full(settings):
        work = original(settings)

        def fills(batches):
            from pyspark import BarrierTaskContext

            from recsys.spark.store import ArrowStore

            write = ArrowStore.write

            def onto_a_full_disk(self, name, data):
                if name.endswith(".factors"):  # it fills up after the fit has begun
                    Path(self.folder, name + ".part").symlink_to("/dev/full")
                write(self, name, data)

            if BarrierTaskContext.get().partitionId() == 1:
                ArrowStore.write = onto_a_full_disk
            try:
                yield from work(batches)
            finally:
                ArrowStore.write = write

        return fills

    monkeypatch.setattr(stage, "worker", full)
    estimator = als(checkpointDir=str(tmp_path), checkpointInterval=1)
    with pytest.raises(OSError, match=r"cannot be written .* No space left.* checkpointDir"):
        estimator.fit(events)
    assert not any(tmp_path.iterdir())
    monkeypatch.undo()
    assert bits(factors(estimator.fit(events))) == bits(model_factors)


def test_numbers_out_of_scale_are_one_error(events, als):
    huge = events.selectExpr("user", "item", "rating * 1e37D rating")
    with pytest.raises((ValueError, FloatingPointError), match="alpha"):
        als(alpha=1000.0).fit(huge)


def test_executors_without_recsys(events, als, monkeypatch):
    from recsys.spark import stage

    original = stage.cutter

    def without(*args):
        cut = original(*args)

        def hidden(batches):
            import sys

            kept = {name: sys.modules.pop(name) for name in list(sys.modules) if "recsys" in name}
            sys.modules["recsys"] = None
            try:
                yield from cut(batches)
            finally:
                del sys.modules["recsys"]
                sys.modules.update(kept)

        return hidden

    monkeypatch.setattr(stage, "cutter", without)
    with pytest.raises(Exception, match=r"install\s+recsys-engine\[spark\]"):
        als().fit(events)


@pytest.mark.parametrize(
    "name",
    [
        "spark.dynamicAllocation.enabled",
        "spark.network.crypto.enabled",
        "spark.authenticate.enableSaslEncryption",
        "spark.ssl.rpc.enabled",
    ],
)
def test_settings_that_forbid_barrier_stages(spark, events, als, monkeypatch, name):
    """They are named, and lead to the other plane."""
    from recsys.spark import stage

    monkeypatch.setattr(
        stage, "_setting", lambda spark, key, default: "true" if key == name else default
    )
    assert stage.choose_plane(spark, "auto", None) == "shuffle"
    with pytest.raises(ValueError, match=rf"{name} is true.*plane at 'auto'"):
        als(plane="barrier").fit(events)
    with pytest.raises(ValueError, match=f"not used by the shuffle plane, which is .*{name}"):
        als(checkpointDir="somewhere").fit(events)
    if name == "spark.dynamicAllocation.enabled":
        assert stage.layout(spark, None, None, (4, 7), "shuffle") == (7, 1, None)


@pytest.mark.parametrize(
    "name", ["spark.authenticate", "spark.io.encryption.enabled", "spark.ssl.enabled"]
)
def test_settings_that_leave_barrier_stages(spark, monkeypatch, name):
    from recsys.spark import stage

    monkeypatch.setattr(
        stage, "_setting", lambda spark, key, default: "true" if key == name else default
    )
    assert stage.choose_plane(spark, "auto", None) == "barrier"


def test_a_fresh_application_waits_for_its_first_executor():
    """Where they come and go there may be none."""
    from recsys.spark import stage

    executors = []
    context = SimpleNamespace(
        resourceProfileManager=lambda: SimpleNamespace(defaultResourceProfile=lambda: None),
        maxNumConcurrentTasks=lambda profile: len(executors),
    )
    application = SimpleNamespace(
        conf={"spark.master": "spark://host"},
        _jsc=SimpleNamespace(sc=lambda: context),
        range=lambda n: SimpleNamespace(count=lambda: executors.append("the first")),
    )
    assert stage.slots(application) == (1, False)
    executors.clear()
    application.conf["spark.dynamicAllocation.enabled"] = "true"
    assert stage.slots(application) == (0, False)


def test_threads_of_a_task_are_cores_where_spark_can_say_so(spark, monkeypatch):
    from recsys.spark import stage

    blocks = 4, 4
    assert stage.layout(spark, None, 2, blocks) == (2, 2, None)  # two executors of one core
    monkeypatch.setattr(
        stage, "_setting", lambda _, name, default: "yarn" if name == "spark.master" else default
    )
    assert stage.layout(spark, None, None, blocks) == (2, 1, None)
    assert stage.layout(spark, None, 2, blocks) == (1, 2, 2)
    with pytest.raises(ValueError, match="only 1 tasks at a time"):
        stage.layout(spark, 2, 2, blocks)


def test_without_an_interval_there_is_no_folder(spark, tmp_path):
    from recsys.spark import stage

    assert stage.checkpoint_folder(spark, str(tmp_path), -1) is None
