# SPDX-License-Identifier: BSD-3-Clause
"""Real servers publish a pool: nginx, sshd with rsync, and sftp."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from machine import InUse, Machine, Overlay
from pooling import packages, pool_of, short_machine

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with short_machine() as found:
        yield found


@pytest.fixture(scope="module")
def overlay(machine: Machine) -> Overlay:
    return packages(machine, ("base",))


@pytest.fixture(scope="module")
def pool(machine: Machine, overlay: Overlay) -> InUse:
    return pool_of(machine, overlay, ("top",))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(port: int, *argv: str | Path) -> Iterator[None]:
    """Run a server until the end of the block, once it accepts connections."""
    process = subprocess.Popen(argv)
    try:
        end = time.monotonic() + 20
        while True:
            assert process.poll() is None, "the server has ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < end, "the server does not accept connections"
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def takes_all(machine: Machine, overlay: Overlay, pool: InUse, name: str, url: str) -> None:
    """Set a prefix up that knows the URL and the key only, and install from the binhost."""
    key = pool.staging_dir / "pkgs/pool-key.asc"
    machine.ok(*machine.setup_command(
        "--bootstrap=none", f"--binhost={url}", f"--binhost-key={key}",
        f"--custom_ebuild_overlays={overlay.path}", name, f"/opt/{name}",
    ))  # fmt: skip
    taker = InUse(machine, name, f"/opt/{name}")
    if ssh := machine.variables.get("TEST_SSH_OPTIONS"):
        (taker.config("staging") / "make.conf.user").write_text(f"PORTAGE_SSH_OPTS={ssh!r}\n")
    said = taker.install("test-pool/top").stdout
    assert said.count(">>> Emerging binary (") == 4, said  # two packages, two roots
    assert ">>> Emerging (" not in said
    for kind in ("staging", "final"):
        text = (taker.eroot(kind) / "usr/share/test-pool/base").read_text()
        assert text.startswith(f"/opt/{name}/usr/share of")


def test_nginx_serves_a_pool(machine: Machine, overlay: Overlay, pool: InUse) -> None:
    port, place = free_port(), machine.base / "nginx"
    place.mkdir()
    owner = pwd.getpwuid(os.getuid()).pw_name
    config = place / "nginx.conf"
    config.write_text(f"""\
user {owner};
daemon off;
pid {place}/pid;
error_log stderr;
events {{}}
http {{
    access_log {place}/access.log;
    server {{
        listen 127.0.0.1:{port};
        location /pool/ {{ alias {pool.staging_dir}/pkgs/; }}
    }}
}}
""")
    with server(port, "/usr/sbin/nginx", "-c", config):
        takes_all(machine, overlay, pool, "by-http", f"http://127.0.0.1:{port}/pool")
    log = (place / "access.log").read_text()
    fetched = [line for line in log.splitlines() if ".gpkg.tar" in line]
    assert len(fetched) == 2, log
    assert "404" not in log


@pytest.fixture(scope="module")
def ssh_port(machine: Machine) -> Iterator[int]:
    """The port of an SSH server that admits the key of this test only."""
    port = free_port()
    # Confined fetchers have a private /tmp, where they would not see the key.
    with TemporaryDirectory(prefix="fp-ssh-", dir="/run") as directory:
        place = Path(directory)
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True
            )
        shutil.copy(place / "user.pub", place / "authorized")
        host = (place / "host.pub").read_text()
        (place / "known").write_text(f"[127.0.0.1]:{port} {host}")
        (place / "sshd.conf").write_text(f"""\
Port {port}
ListenAddress 127.0.0.1
HostKey {place}/host
PidFile {place}/pid
AuthorizedKeysFile {place}/authorized
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
""")
        (place / "ssh.conf").write_text(f"""\
IdentityFile {place}/user
IdentitiesOnly yes
UserKnownHostsFile {place}/known
BatchMode yes
""")
        Path("/run/sshd").mkdir(exist_ok=True)
        machine.variables["TEST_SSH_OPTIONS"] = shlex.join(["-F", f"{place}/ssh.conf"])
        with server(port, "/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd.conf"):
            yield port
        del machine.variables["TEST_SSH_OPTIONS"]


@pytest.mark.parametrize("scheme", ["ssh", "sftp"])
def test_ssh_serves_a_pool(
    machine: Machine, overlay: Overlay, pool: InUse, ssh_port: int, scheme: str
) -> None:
    url = f"{scheme}://root@127.0.0.1:{ssh_port}{pool.staging_dir}/pkgs"
    takes_all(machine, overlay, pool, f"by-{scheme}", url)
