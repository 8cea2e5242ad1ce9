"""A first run mails nobody but this machine."""

import re
import shutil
import socket
import subprocess
import sys

import pytest

from tests.faults.scene import scene

CALL = re.compile(r"(?:connect|sendto|sendmsg)\(.*?sa_family=(AF_\w+)(.*)")


def listens(port: int) -> bool:
    """Return whether some program of this machine listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.embedded
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace to see every socket")
def test_a15_without_any_setting_mail_knows_the_way_to_this_machine_only(tmp_path):
    played = scene(tmp_path, {})
    played.seed(["ann@example.org"])
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", "trace=connect,sendto,sendmsg"]
        + [sys.executable, "manage.py", "deliver", "--day", played.day],
        cwd=played.tree,
        env=played.env,
        check=False,
        capture_output=True,
    )
    # Who runs `up` beside the tests has its mail catcher there.
    if not listens(2525):
        assert done.returncode == 1 and b"Connection refused" in done.stderr
    calls = CALL.findall(trace.read_text())
    assert any("sin_port=htons(2525)" in words for _, words in calls)
    away = [
        words for family, words in calls if family != "AF_UNIX" and "127.0.0.1" not in words
    ]
    assert away == []
