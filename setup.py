"""Builds only: csrc/table.c once per instruction set and dtype, linked into one Cython module.

Compilers run side by side, and what one has made of csrc is used again while neither the sources
nor the compiler and its flags change: builds with and without OpenMP, or for several versions of
Python, share the kernels. RECSYS_NO_OPENMP=1 builds without OpenMP.

Everything else about the package is in pyproject.toml.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

CSRC = Path("csrc")
HEADERS = sorted(str(path) for path in CSRC.rglob("*.h"))
SOURCES = [str(CSRC / "table.c"), str(CSRC / "dispatch.c")]
FLAGS = ["-g0", "-fvisibility=hidden"]
FOR_KERNELS = ["-O3", "-fno-math-errno", "-ffp-contract=fast"]
FOR_MODULES = ["-O1"]  # what Cython writes has no loop worth more, and takes twice as long at -O3
X86_SETS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": [f"-mavx512{part}" for part in ("f", "dq", "bw", "vl")]
    + ["-mfma", "-mprefer-vector-width=512"],
}

# Flags for compiling and for linking. Apple's Clang has no OpenMP library of its own: where the
# environment's CPPFLAGS and LDFLAGS lead to one that is taken, then Homebrew's.
APPLE = ["-Xpreprocessor", "-fopenmp"]
OPENMP = [
    (["-fopenmp"], ["-fopenmp"]),
    (APPLE, ["-lomp"]),
    *(
        ([*APPLE, f"-I{prefix}/opt/libomp/include"], [f"-L{prefix}/opt/libomp/lib", "-lomp"])
        for prefix in ("/opt/homebrew", "/usr/local")
    ),
]
OPENMP_PROGRAM = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }"

LINKED = ["recsys.kernels._als"]  # the others ask it for kernels
MODULES = [
    *LINKED,
    *(
        f"recsys.kernels._{name}"
        for name in ("topk", "product", "neighbors", "lmf", "sgd", "hybrid", "keys", "entries")
    ),
]


class BuildKernels(build_ext):
    def build_extensions(self):
        self.force = True  # the environment decides as well (CC, RECSYS_NO_OPENMP), not files alone
        self.parallel = self.parallel or os.cpu_count()
        self.msvc = self.compiler.compiler_type == "msvc"
        with self.compiler_with_vectors():
            sets = {"baseline": []}
            if platform.machine().lower() in ("x86_64", "amd64"):
                sets |= {
                    name: flags
                    for name, flags in X86_SETS.items()
                    if self.can_build(self.for_kernels(flags))
                }
            objects = self.compile_kernels(sets)
        compiling, linking = self.openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args += (
                compiling if self.msvc else [*FLAGS, *FOR_MODULES, *compiling]
            )
            extension.extra_link_args += linking
            if extension.name in LINKED:
                extension.extra_objects += objects
        super().build_extensions()

    @contextmanager
    def compiler_with_vectors(self):
        """Microsoft's compiler lacks the vector extensions of csrc; clang-cl stands in for it."""
        if not self.msvc:
            yield
            return
        clang_cl = shutil.which("clang-cl")
        if clang_cl is None:
            raise CompileError(
                "the C kernels need clang-cl, which is not on PATH: install LLVM "
                "(winget install LLVM.LLVM) and add its bin folder to PATH"
            )
        if not self.compiler.initialized:
            self.compiler.initialize()
        own, self.compiler.cc = self.compiler.cc, clang_cl
        try:
            yield
        finally:
            self.compiler.cc = own

    def compile_kernels(self, sets):
        have = [(f"RECSYS_HAVE_{name.upper()}", None) for name in sets if name != "baseline"]
        jobs = [("dispatch", CSRC / "dispatch.c", have, [])]
        for name, flags in sets.items():
            for double in (0, 1):
                macros = [("RECSYS_ISA", name), ("RECSYS_DOUBLE", str(double))]
                jobs.append((f"{name}_f{64 if double else 32}", CSRC / "table.c", macros, flags))
        compiler = [self.compiler.cc] if self.msvc else self.compiler.compiler_so
        version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
        key = hashlib.sha256(repr((platform.machine(), compiler, version)).encode())
        for path in SOURCES + HEADERS:
            key.update(path.encode() + Path(path).read_bytes())
        with ThreadPoolExecutor(int(self.parallel)) as pool:
            return list(pool.map(lambda job: self.compile_once(key.copy(), *job), jobs))

    def compile_once(self, key, name, source, macros, flags):
        """The object file, which is there already if a build like this one was here before."""
        flags = self.for_kernels(FLAGS + FOR_KERNELS + flags)
        key.update(repr((macros, flags)).encode())
        folder = Path("build", "kernels")
        kept = folder / f"{name}-{key.hexdigest()[:16]}{self.compiler.obj_extension}"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                [made] = self.compiler.compile(
                    [str(source)],
                    output_dir=scratch,
                    macros=macros,
                    include_dirs=[str(CSRC)],
                    extra_postargs=flags,
                )
                os.replace(made, kept)  # whole or not at all
        return str(kept)

    def for_kernels(self, flags):
        return [f"/clang:{flag}" for flag in flags] if self.msvc else flags

    def can_build(self, compiling, linking=(), program="int main(void) { return 0; }"):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=list(compiling)
                )
                # as a module is linked, and not a program: LDFLAGS count in this one only
                self.compiler.link_shared_object(
                    objects, os.path.join(folder, "probe.so"), extra_postargs=list(linking)
                )
            except (CompileError, LinkError):
                return False
        return True

    def openmp_flags(self):
        if os.environ.get("RECSYS_NO_OPENMP", "0") not in ("", "0"):
            print("recsys: RECSYS_NO_OPENMP is set; building a serial engine", file=sys.stderr)
            return [], []
        for compiling, linking in [(["/openmp"], [])] if self.msvc else OPENMP:
            if self.can_build(compiling, linking, OPENMP_PROGRAM):
                return compiling, linking
        print("recsys: the C compiler has no OpenMP; building a serial engine", file=sys.stderr)
        return [], []


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=cythonize(
        [
            Extension(
                name,
                [name.replace(".", "/") + ".pyx"],
                include_dirs=[str(CSRC)],
                depends=[*HEADERS, *SOURCES],
            )
            for name in MODULES
        ],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    ),
)
