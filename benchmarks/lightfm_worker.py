"""LightFM's epochs, for the Python that has LightFM: one that recsys need not run on.

``python lightfm_worker.py matrix.npz PARAMETERS THREADS`` reads a request a line and answers each
with a line of JSON; PARAMETERS are LightFM's, as JSON.

epoch
    Make one epoch; answers its seconds, the setting up of `fit_partial` left out.
save PATH
    Write factors and biases of users and items to PATH, an npz.
"""

import json
import sys
import time

import lightfm
import numpy as np
import scipy.sparse as sp


class TimedLightFM(lightfm.LightFM):
    def _run_epoch(self, *args, **kwargs):
        begin = time.perf_counter()
        super()._run_epoch(*args, **kwargs)
        self.seconds = time.perf_counter() - begin


def main():
    path, parameters, threads = sys.argv[1:]
    matrix = sp.load_npz(path).tocoo()
    model = TimedLightFM(**json.loads(parameters))
    for line in sys.stdin:
        request, _, argument = line.strip().partition(" ")
        if request == "epoch":
            model.fit_partial(matrix, epochs=1, num_threads=int(threads))
            answer = {"seconds": model.seconds}
        elif request == "save":
            users, items = model.get_user_representations(), model.get_item_representations()
            names = "user_biases", "user_factors", "item_biases", "item_factors"
            np.savez(argument, **dict(zip(names, (*users, *items), strict=True)))
            answer = {}
        else:
            raise ValueError(f"unknown request {request!r}; expected 'epoch' or 'save PATH'")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
