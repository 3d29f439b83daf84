"""implicit.gpu: recsys runs on CPUs only."""

HAS_CUDA = False
HAS_RMM = False


def no_gpu() -> ValueError:
    return ValueError(
        "No CUDA extension has been built, can't train on GPU: recsys runs on CPUs. "
        "Pass use_gpu=False"
    )


from . import als, bpr, matrix_factorization_base  # noqa: E402 (they need the above)

__all__ = ["HAS_CUDA", "HAS_RMM", "als", "bpr", "matrix_factorization_base", "no_gpu"]
