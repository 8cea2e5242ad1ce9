"""Several hosts, of which one fails and one is replaced by its standby; all by the command."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.faults import hosts, network
from tests.faults.network import CUT

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.nightly,
    pytest.mark.skipif(bool(hosts.lacking()), reason=hosts.lacking()),
]


def test_r38_hosts_and_links_that_fail_cost_time_and_no_second_mail(tmp_path):
    figures = hosts.figures(tmp_path, short=True)
    assert figures
    assert [one for one in figures if not one.holds] == []


ASK = """
import sys
from django.conf import settings
import psycopg
options = settings.DATABASES["default"]["OPTIONS"]
names = ("connect_timeout", "tcp_user_timeout")
ours = {name: value for name, value in options.items() if name in names or "keep" in name}
with psycopg.connect(host=sys.argv[1], user="postgres", dbname="postgres", **ours) as server:
    print("connected", flush=True)
    try:
        server.execute("SELECT pg_sleep(1)")
    except psycopg.OperationalError:
        print("gone", flush=True)
"""


def test_r38_a_server_that_is_gone_without_a_word_is_noticed(tmp_path):
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    env = bare() | KEYS | DEPLOYMENT | {"DATABASE_URL": "postgresql://nobody@nowhere/none"}
    env |= {"STATE_DIR": f"{tmp_path}", "DJANGO_SETTINGS_MODULE": "digest.settings"}
    with network.network("client", "db1") as net:
        shutil.chown(home, "nobody", "nogroup")
        server = hosts.Server(net, "db1", home)
        server.make()
        server.start()
        words = net.command("client", [sys.executable, "-c", ASK, net.address("db1")])
        with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE) as client:
            try:
                assert client.stdout
                assert client.stdout.readline() == b"connected\n"
                net.spoil("client", "db1", CUT, CUT)
                began = time.monotonic()
                assert client.stdout.readline() == b"gone\n"
                assert time.monotonic() - began < 60
            finally:
                client.kill()
                hosts.kill(server)
                shutil.rmtree(home, ignore_errors=True)
