"""The fixture that catches leaks catches them."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent / "conftest.py"

LEAKS = """
import threading
import numpy as np
import dezero

end = threading.Event()

def test_switch():
    dezero.Config.train = False

def test_switch_is_back():
    assert dezero.Config.train

def test_seed():
    dezero.random.seed(0)

def test_thread():
    threading.Thread(target=end.wait, daemon=True).start()

def test_thread_known_before():
    end.set()

def test_draw():
    assert np.random.rand() == 0.5488135039273248

def test_draw_again():
    assert np.random.rand() == 0.5488135039273248
"""


def test_leaks_fail(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    report = ran.stdout
    assert "the test leaks a switch" in report
    assert "the test leaks a seed" in report
    assert "the test leaks threads: [<Thread(" in report
    assert "7 passed, 3 errors" in report, report
    for name in ("test_switch", "test_seed", "test_thread"):
        assert f"ERROR test_leaks.py::{name} - " in report
