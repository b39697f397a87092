"""What a user installs, and the quickstart as it is printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from server import WRITE_KEY, Server

ROOT = Path(__file__).resolve().parent.parent


def test_wheel_and_sdist_hold_what_they_should(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "dist", ".*")
    shutil.copytree(ROOT, copy, ignore=ignored)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert sources | {"momsflow/py.typed"} <= set(names)
    assert sdist.stat().st_size > 10_000
    # Installed means unpacked: there are no dependencies, and nothing is compiled.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = "import momsflow; print(momsflow.__version__, 'django' in sys.modules or 'flask' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {program}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "0.1.0 False\n"


def test_the_quickstart_works_as_printed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "momsflow-data").mkdir()
    (tmp_path / "momsflow-data" / "write-key").write_text(f"{WRITE_KEY}\n")
    printed = re.search(r"## Quickstart.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert printed is not None
    # Only the address differs from that of a `momsflow serve` without a config.
    environment = {**os.environ, "MOMSFLOW_HOST": server.host}
    subprocess.run([sys.executable, "-c", printed[1]], check=True, cwd=tmp_path, env=environment)
    server.wait_for_count(1, "event = 'Article Read' and user_id = 'u-1' and properties->>'content_id' = 'a-1'")


def test_the_options_in_the_readme_are_those_that_there_are() -> None:
    import dataclasses

    from momsflow import Options
    from momsflow.options import GivenOptions

    section = (ROOT / "README.md").read_text().split("## Options")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(cells))) == {field.name for field in dataclasses.fields(Options)}
    assert set(GivenOptions.__annotations__) == {field.name for field in dataclasses.fields(Options)}
