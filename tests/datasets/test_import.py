import subprocess
import sys


def test_import_is_light():
    code = (
        "import sys, recsys.datasets; "
        "print({'pooch', 'h5py', 'pyarrow', 'pandas', 'requests'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
