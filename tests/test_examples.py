"""The programs in examples/: each runs beside a copy of the folder, and the list names them all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ON_ITS_OWN = "make_overlay.py"  # needs captures that are not here
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != ON_ITS_OWN)
LAST_LINES = {
    "count_by_vni.py": "VNI 43: 1 packets, 102 octets",
    "find_broken.py": "row 667: eth/ipv4/udp/vxlan/eth: vlan at octet 64 needs 4 octets",
    "into_vxlan.py": "build/examples/vxlan.pcap: 404 of 673 packets, 55977 octets",
    "readdress.py": "build/examples/readdressed.pcap: 300 packets, 0 with an address of before",
    "split_by_tunnel.py": "build/examples/geneve-42.pcapng: 28 packets",
    "top_talkers.py": "10.1.0.2",
}
"""How the last line that each prints begins."""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(name: str, beside: Path) -> None:
    command = [sys.executable, "-W", "error", f"examples/{name}"]
    done = subprocess.run(
        command, cwd=beside, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(LAST_LINES[name])


def test_the_list_names_them_all() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == PROGRAMS
