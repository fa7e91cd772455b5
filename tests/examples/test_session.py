# SPDX-License-Identifier: BSD-3-Clause
"""A portable Python in the corners of a user's session, on several kinds of hosts.

``FLATCAR_PREFIX_TEST_PYTHON`` names the prefix, as for ``test_python.py``. The results are the table
in docs/python.md; ``--update-golden`` writes it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from session import HOSTS, Guest, poison
from test_python import CHECKOUT, prefix as prefix  # the fixture

from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.prefix.model import Prefix

pytestmark = [pytest.mark.e2e, pytest.mark.needs_namespaces, pytest.mark.timeout(900)]

PAGE = CHECKOUT / "docs/python.md"
BEGIN, END = "<!-- made by tests/examples/test_session.py -->\n", "<!-- end -->\n"
NONE = "nothing but the prefix"
MODERN = {"like Flatcar", "like Fedora CoreOS"}

LOCALES = {
    "": "utf-8", "C": "utf-8", "POSIX": "utf-8", "C.UTF-8": "utf-8", "C.utf8": "utf-8",
    "en_US.UTF-8": "utf-8", "de_DE.utf8": "utf-8", "ja_JP.UTF-8": "utf-8",
    "sr_RS.UTF-8@latin": "utf-8", "xx_YY.UTF-8": "utf-8", "de_DE": "utf-8",
}  # fmt: skip

CHILD = """
import os, subprocess, sys
assert subprocess.run([sys.executable, '-c', 'import ssl, sqlite3'], env=os.environ).returncode == 0
assert os.environ.get('{name}') == '{value}', 'the variable must stay for other programs'
"""

LOOPBACK = """
import os, socket, ssl, subprocess, tempfile, threading, urllib.request, http.server
place = tempfile.mkdtemp()
key, certificate = place + '/key.pem', place + '/cert.pem'
open(key, 'w').write({key!r}); open(certificate, 'w').write({certificate!r})
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ['SSL_CERT_FILE'] = certificate
address = 'https://localhost:%d/' % server.server_port
try:
    socket.getaddrinfo('localhost', 0)
except OSError:
    address = address.replace('localhost', '127.0.0.1')
assert urllib.request.urlopen(address).status == 200
os.environ.pop('SSL_CERT_FILE')
try:
    urllib.request.urlopen(address)
except urllib.error.URLError as error:
    assert 'certificate verify failed' in str(error), error
else:
    raise AssertionError('an unknown certificate was accepted')
"""

TERMINAL = """
import curses, os, pty
child, terminal = pty.fork()
if child == 0:
    os.environ['TERM'] = 'xterm'
    screen = curses.initscr(); screen.addstr(0, 0, 'hello'); screen.refresh(); curses.endwin()
    os._exit(0)
text = b''
while b'hello' not in text:
    text += os.read(terminal, 1000)
assert os.waitpid(child, 0)[1] == 0
"""

USERS = """
import grp, os, pwd, socket
assert pwd.getpwnam('core').pw_uid == 500 and pwd.getpwuid(500).pw_dir == '/home/core'
assert grp.getgrnam('wheel').gr_mem == ['core'] and 'core' in [u.pw_name for u in pwd.getpwall()]
assert os.getgrouplist('core', 500) == [500, 10] and os.path.expanduser('~core') == '/home/core'
assert socket.getservbyname('ssh') == 22
"""

VENV = """
import subprocess, sys, venv
venv.create('/tmp/venv', with_pip=True)
out = subprocess.run(['/tmp/venv/bin/python', '-c', 'import pip, sys; print(sys.prefix)'],
                     capture_output=True, text=True, check=True).stdout
assert out == '/tmp/venv\\n', out
"""

SPAWN = """
import multiprocessing, subprocess, sys
open('/tmp/squares.py', 'w').write('def square(x):\\n    return x * x\\n')
sys.path.insert(0, '/tmp')
import squares
for method in ('fork', 'spawn', 'forkserver'):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(squares.square, range(5)) == [0, 1, 4, 9, 16]
"""


@dataclass(frozen=True)
class Corner:
    """A program that must run on every host, or on those that have what it is about."""

    name: str
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    hosts: frozenset[str] | None = None
    uid: int = 0
    writable: bool = True


EVERYTHING = "import bz2, ctypes, curses, hashlib, lzma, readline, sqlite3, ssl, zlib"

CORNERS = (
    *(
        Corner(
            f"`{name}` names libraries of the host",
            EVERYTHING + CHILD.format(name=name, value=value),
            {name: value},
        )
        for name, value in (
            ("LD_LIBRARY_PATH", "/poison"),
            ("LD_PRELOAD", "/poison/poison.so"),
            ("LD_AUDIT", "/poison/poison.so"),
            ("GCONV_PATH", "/poison"),
        )
    ),
    Corner("`/etc/ld.so.preload` of the host", EVERYTHING, hosts=frozenset({"busybox", *MODERN})),
    Corner("users, groups and services of the system", USERS, hosts=frozenset(MODERN)),
    Corner(
        "`localhost` and the machine's name",
        "import socket\n"
        "for name in ('localhost', 'machine'):\n"
        "    assert socket.getaddrinfo(name, 80)",
        hosts=frozenset(MODERN),
    ),
    Corner(
        "a time zone with tzdata of the host",
        "import time, zoneinfo\n"
        "assert time.tzname == ('CET', 'CEST'), time.tzname\n"
        "zoneinfo.ZoneInfo('Asia/Tokyo')",
        {"TZ": "Europe/Berlin"},
        hosts=frozenset({"Debian 12"}),
    ),
    Corner(
        "a time zone without tzdata",
        "import time\nassert time.tzname == ('Europe', 'Europe'), time.tzname\n"
        "assert time.localtime(0).tm_hour == 0",
        {"TZ": "Europe/Berlin"},
        hosts=frozenset({NONE, "busybox", *MODERN}),
    ),
    Corner(
        "certificates of the prefix",
        "import ssl\nassert ssl.create_default_context().cert_store_stats()['x509_ca'] > 100",
    ),
    Corner("TLS and `http.server` on the loopback interface", LOOPBACK),
    Corner("`curses` on a terminal", TERMINAL),
    Corner(
        "a `TERM` that nobody knows",
        "import curses\ntry:\n    curses.setupterm('nobody')\nexcept curses.error:\n    pass\n"
        "else:\n    raise AssertionError('known')",
        {"TERM": "nobody"},
    ),
    Corner("`HOME` unset", EVERYTHING + "\nimport os.path; os.path.expanduser('~')", {"HOME": ""}),
    Corner(
        "umask 077",
        "import os; os.umask(0o077)\nimport sqlite3, tempfile\n"
        "sqlite3.connect(tempfile.mkdtemp() + '/x.db').execute('create table t (x)')",
    ),
    Corner("a user without an entry in passwd", EVERYTHING, uid=4711),
    Corner("no place is writable", EVERYTHING, writable=False),
    Corner("`venv` with pip", VENV),
    Corner("`multiprocessing` (fork, spawn, forkserver)", SPAWN),
    Corner(
        "`ctypes.util.find_library`",
        "import ctypes, ctypes.util\n"
        "for name in ('c', 'ssl', 'z', 'sqlite3'):\n"
        "    ctypes.CDLL(ctypes.util.find_library(name))",
    ),
)


@pytest.fixture(scope="module")
def guests(
    prefix: Prefix, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Guest]]:
    place = tmp_path_factory.mktemp("hosts")
    libraries = prefix.final.eroot.rglob("*.so*")
    poisoned = poison(place / "poison", sorted({library.name for library in libraries}))
    (place / "preload").write_text("/poison/poison.so\n")
    yield {
        host.name: Guest(prefix, host, place / f"host{number}", poisoned)
        for number, host in enumerate(HOSTS)
    }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", str(place / "key"), "-out", str(place / "certificate"), "-addext", names]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return {name: (place / name).read_text() for name in ("key", "certificate")}


def test_each_corner_on_each_host_is_as_the_table_says(
    guests: Mapping[str, Guest], certificate: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """Each program runs where it applies; the table names the results."""
    rows = [["", *guests], ["---"] * (len(guests) + 1)]
    failed = []
    for corner in CORNERS:
        program = corner.program
        if program is LOOPBACK:
            program = program.format(**certificate)
        row = [corner.name]
        for name, guest in guests.items():
            if corner.hosts is not None and name not in corner.hosts:
                row.append("")
                continue
            said = guest.python(
                program,
                environment=corner.environment,
                uid=corner.uid,
                writable=corner.writable,
            )
            row.append("no" if said else "works")
            failed += [f"{corner.name}, {name}: {said}"] if said else []
        rows.append(row)
    table = BEGIN + "".join(f"| {' | '.join(row)} |\n" for row in rows) + END
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    new = before + table + rest.split(END)[1]
    if request.config.getoption("--update-golden"):
        PAGE.write_text(new)
    assert not failed, "\n".join(failed)
    assert page == new, "run this test with --update-golden"


def test_the_poison_would_end_a_program(guests: Mapping[str, Guest]) -> None:
    """The variables reach programs of the host, and the library works there."""
    words = guests["Debian 12"].command()
    for name in ("LD_PRELOAD", "LD_AUDIT"):
        set_it = ["--setenv", name, "/poison/poison.so"]
        assert subprocess.run([*words, *set_it, "--", "/usr/bin/true"]).returncode == 66
    own = {"LD_PREFIX_VARIABLES": "1", "LD_PRELOAD": "/poison/poison.so"}
    assert guests[NONE].run("usr/bin/python3", "-c", "", environment=own).returncode != 0


def test_a_program_of_the_host_receives_the_variables(guests: Mapping[str, Guest]) -> None:
    text = (
        "import subprocess\n"
        "assert subprocess.run(['/usr/bin/true']).returncode == 66\n"
        "assert subprocess.run(['/usr/bin/env', '-u', 'LD_PRELOAD', 'true']).returncode == 66"
    )
    assert guests["Debian 12"].python(text, environment={"LD_PRELOAD": "/poison/poison.so"}) == ""


@pytest.mark.parametrize("name", LOCALES)
@pytest.mark.parametrize("variable", ["LANG", "LC_ALL"])
def test_any_utf_8_locale_keeps_characters_whole(
    guests: Mapping[str, Guest], prefix: Prefix, name: str, variable: str
) -> None:
    guest = guests[NONE]
    text = (
        "import locale, os, sys\n"
        f"assert sys.getfilesystemencoding() == {LOCALES[name]!r}\n"
        "assert sys.stdout.encoding.lower() in ('utf-8', 'utf8'), sys.stdout.encoding\n"
        "locale.setlocale(locale.LC_CTYPE, '')\n"
        "assert '\\u00e4'.encode(locale.getlocale()[1] or 'ascii', 'replace')\n"
    )
    if name != "de_DE":
        assert guest.python(text, environment={variable: name}) == ""
    if "." in name and (prefix.final.eroot / "usr/bin/grep").exists():
        done = guest.run(
            "usr/bin/grep", "-o", ".", environment={variable: name}, stdin="äß\n".encode()
        )
        assert done.stdout.decode() == "ä\nß\n"
        assert done.stderr == b""


def test_tools_of_the_c_library_are_safe_too(guests: Mapping[str, Guest]) -> None:
    variables = {"LD_LIBRARY_PATH": "/poison", "GCONV_PATH": "/poison"}
    for name, guest in guests.items():
        done = guest.run(
            "usr/bin/iconv", "-f", "LATIN1", "-t", "UTF-8", environment=variables, stdin=b"\xe4"
        )
        assert (done.stdout, done.stderr) == ("ä".encode(), b""), name
        done = guest.run("usr/bin/getent", "passwd", "0", environment=variables)
        assert done.returncode == (
            0 if "etc/passwd" in guest.host.files or name == "Debian 12" else 2
        )


WHEELS = {
    "numpy": "import numpy; assert numpy.arange(4).sum() == 6 and numpy.linalg.inv([[2.0]])[0][0] == .5",
    "cryptography": "from cryptography.fernet import Fernet; key = Fernet(Fernet.generate_key());"
    " assert key.decrypt(key.encrypt(b'x')) == b'x'",
    "lxml": "from lxml import etree; assert etree.fromstring('<a><b/></a>').xpath('count(b)') == 1",
}


@pytest.fixture(scope="module")
def wheels(guests: Mapping[str, Guest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the prefix's pip has installed wheels with compiled modules."""
    place = tmp_path_factory.mktemp("wheels")
    guest = guests["Debian 12"]
    words = guest.command()
    words[words.index("--unshare-all")] = "--unshare-uts"  # with the machine's network
    words += ["--bind", str(place), "/tmp"]
    python = f"{guest.prefix.eprefix}/usr/bin/python3"
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target=/tmp"]
    environment = ["--setenv", "HOME", "/tmp", "--setenv", "PIP_CACHE_DIR", "/tmp/cache"]
    done = subprocess.run(
        [*words, *environment, "--", *pip, *WHEELS], capture_output=True, text=True
    )
    if "NameResolutionError" in done.stderr or "NewConnectionError" in done.stderr:
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("name", WHEELS)
@pytest.mark.parametrize("host", [NONE, "like Flatcar"])
def test_a_wheel_with_compiled_modules_works(
    guests: Mapping[str, Guest], wheels: Path, name: str, host: str
) -> None:
    guest = guests[host]
    words = [*guest.command(), "--ro-bind", str(wheels), "/tmp", "--setenv", "PYTHONPATH", "/tmp"]
    words += ["--setenv", "LD_LIBRARY_PATH", "/poison"]
    python = f"{guest.prefix.eprefix}/usr/bin/python3"
    done = subprocess.run(
        [*words, "--", python, "-c", WHEELS[name]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_verify_says_that_the_caller_can_break_nothing(prefix: Prefix) -> None:
    from flatcar_prefix.audit.loader import Loader

    tree = Tree(root=prefix.final.path, eprefix=prefix.eprefix, board=prefix.board)
    assert Loader(tree).built_in.own_variables
