"""The program with all its commands, in the order in which its help lists them."""

from recsys.cli.about import config, info
from recsys.cli.command import app, register
from recsys.cli.lists import recommend, similar
from recsys.cli.measure import evaluate
from recsys.cli.search import tune
from recsys.cli.train import train
from recsys.cli.update import update

__all__ = ["app"]

register("train", train)
register("update", update)
register("recommend", recommend)
register("similar", similar)
register("evaluate", evaluate)
register("tune", tune)
register("info", info)
register("config", config)
