"""implicit.ann: approximate lists, over `recsys.serving.AnnIndex`."""
