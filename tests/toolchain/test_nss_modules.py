# SPDX-License-Identifier: BSD-3-Clause
"""The NSS modules of a prefix, in the machine's C library, on systems made of directories.

``prefix/nss-modules`` compiles them in a prefix. They do not depend on the C library's
configuration, so the machine's compiler and Python suffice here.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from machine import CHECKOUT

PACKAGE = CHECKOUT / "repos/prefix-toolchain/prefix/nss-modules"
PROGRAMS = ("/usr/bin", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/python3.11")
CORE = "core:x:500:500:Core Admin:/home/core:/bin/bash\n"
SERVICES = "tricky 1234/tcp\nshort 4321/udp # a comment\nlong-name 77/tcp alias another\n"
PROTOCOLS = "mine 200 MINE\n"

pytestmark = pytest.mark.skipif(not Path("/usr/lib/x86_64-linux-gnu").is_dir(), reason="amd64")


def declared() -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, source file and flags of each module, as the ebuild compiles it."""
    ebuild = next(PACKAGE.glob("*.ebuild")).read_text()
    body = ebuild.partition("src_compile() {")[2].partition("\n}")[0]
    for name, source, flags in re.findall(r"compile_module (\w+) (\S+)(.*)", body):
        yield name, source, [flags.strip().replace("'", "")] if flags else []


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all modules; the compiler has nothing to warn about."""
    place = tmp_path_factory.mktemp("modules")
    for name, source, flags in declared():
        command = [
            *("gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"),
            *("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
            *("-fvisibility=hidden", f"-DMODULE={name}", *flags),
            *("-o", place / f"libnss_{name}.so.2", PACKAGE / "files" / source),
        ]
        subprocess.run(command, check=True)
    return place


class System:
    """A system with a C library and Python, whose other files a test writes."""

    def __init__(self, place: Path, modules: Path) -> None:
        self.place = place
        self.modules = modules

    def write(self, path: str, text: str) -> None:
        file = self.place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def __call__(self, expression: str, hostname: str = "machine") -> object:
        """Return the value of a Python expression on this system."""
        command: list[str | Path] = ["bwrap", "--unshare-all", "--hostname", hostname]
        for program in PROGRAMS:
            if Path(program).is_dir():
                command += ["--ro-bind", program, program]
        command += ["--symlink", "usr/lib64", "/lib64", "--symlink", "usr/lib", "/lib"]
        command += [
            "--ro-bind",
            self.modules,
            "/modules",
            "--setenv",
            "LD_LIBRARY_PATH",
            "/modules",
        ]
        for file in sorted(self.place.rglob("*")):
            if not file.is_dir():
                command += ["--bind", file, f"/{file.relative_to(self.place)}"]
        text = f"import grp, json, pwd, socket; print(json.dumps({expression}))"
        python = shutil.which("python3", path="/usr/bin")
        assert python
        done = subprocess.run(
            [*command, "--", python, "-IS", "-c", text], capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        return json.loads(done.stdout)


@pytest.fixture
def system(modules: Path) -> Iterator[System]:
    # The path of a socket has at most 107 bytes.
    with TemporaryDirectory(prefix="nss-") as place:
        the_system = System(Path(place), modules)
        the_system.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        the_system.write("etc/group", "root:x:0:\n")
        yield the_system


@pytest.mark.parametrize(
    ("service", "directory"),
    [
        ("usrfiles", "usr/share/baselayout"),
        ("usrfiles", "usr/etc"),
        ("altfiles", "usr/lib"),
    ],
)
class TestFiles:
    @pytest.fixture(autouse=True)
    def files(self, system: System, service: str, directory: str) -> None:
        lines = (
            f"{name}: files {service}\n" for name in ("passwd", "group", "services", "protocols")
        )
        system.write("etc/nsswitch.conf", "".join(lines))
        system.write(f"{directory}/passwd", CORE)
        system.write(f"{directory}/group", "core:x:500:\nwheel:x:10:root,core\n")
        system.write(f"{directory}/services", SERVICES)
        system.write(f"{directory}/protocols", PROTOCOLS)

    def test_users_and_groups_by_name_and_number(self, system: System) -> None:
        assert system("[*pwd.getpwnam('core')]") == [
            *("core", "x", 500, 500, "Core Admin", "/home/core", "/bin/bash")
        ]
        assert system("pwd.getpwuid(500).pw_name") == "core"
        assert system("[*grp.getgrnam('wheel')]") == ["wheel", "x", 10, ["root", "core"]]
        assert system("grp.getgrgid(500).gr_name") == "core"
        assert system("pwd.getpwuid(0).pw_dir") == "/root"

    def test_lists_and_supplementary_groups(self, system: System) -> None:
        assert system("[user.pw_name for user in pwd.getpwall()]") == ["root", "core"]
        assert system("[group.gr_name for group in grp.getgrall()]") == ["root", "core", "wheel"]
        assert system("__import__('os').getgrouplist('core', 500)") == [500, 10]

    def test_services_and_protocols(self, system: System) -> None:
        assert system("socket.getservbyname('tricky')") == 1234
        assert system("socket.getservbyname('another', 'tcp')") == 77
        assert system("socket.getservbyport(4321, 'udp')") == "short"
        assert system("socket.getprotobyname('MINE')") == 200

    def test_an_absent_name_is_an_error_of_the_usual_kind(self, system: System) -> None:
        assert (
            system("pwd.getpwnam('absent')") == "KeyError: \"getpwnam(): name not found: 'absent'\""
        )
        assert "service/proto not found" in str(system("socket.getservbyname('short', 'tcp')"))

    def test_a_long_entry_gets_a_larger_buffer(self, system: System, directory: str) -> None:
        members = ",".join(f"user{number:05}" for number in range(3000))
        system.write(f"{directory}/group", f"many:x:20:{members}\nlast:x:21:\n")
        assert system("len(grp.getgrnam('many').gr_mem)") == 3000
        assert system("[group.gr_name for group in grp.getgrall()]") == ["root", "many", "last"]
        aliases = " ".join(f"alias{number:05}" for number in range(2000))
        system.write(f"{directory}/services", f"many 99/tcp {aliases}\n")
        assert system("socket.getservbyname('alias01999')") == 99


class TestMyHostname:
    @pytest.fixture(autouse=True)
    def hosts(self, system: System) -> None:
        system.write("etc/nsswitch.conf", "hosts: files myhostname\n")

    def test_the_own_name_and_localhost_have_addresses(self, system: System) -> None:
        assert system("socket.gethostbyname('machine')") == "127.0.0.2"
        addresses = "sorted({each[4][0] for each in socket.getaddrinfo('%s', 80)})"
        assert system(addresses % "machine") == ["127.0.0.2", "::1"]
        for name in ("localhost", "LocalHost.", "www.localhost", "localhost.localdomain"):
            assert system(addresses % name) == ["127.0.0.1", "::1"]

    def test_addresses_have_names(self, system: System) -> None:
        assert system("socket.gethostbyaddr('127.0.0.1')") == ["localhost", [], ["127.0.0.1"]]
        assert system("socket.gethostbyaddr('::1')[0]") == "localhost"
        assert system("socket.gethostbyaddr('127.0.0.2')[0]") == "machine"

    def test_other_names_do_not(self, system: System) -> None:
        for name in ("other", "localhost.example", "xlocalhost", ""):
            assert "socket.gaierror" in str(system(f"socket.getaddrinfo({name!r}, 80)"))
        assert "socket.herror" in str(system("socket.gethostbyaddr('127.0.0.9')"))


RECORDS = {
    "dynamic": {"userName": "dynamic", "uid": 61184, "gid": 61185, "homeDirectory": "/", "shell":
                "/usr/sbin/nologin", "realName": "D\u00fcse \"q\" \U0001f600"},
    "homed": {"userName": "homed", "binding": {"0" * 32: {"uid": 60001, "gid": 60001}, "1" * 32:
              {"uid": 60002, "gid": 60003, "homeDirectory": "/home/homed"}}},
    "bare": {"userName": "bare", "disposition": "dynamic", "uid": 7},
}  # fmt: skip
GROUPS = {"dynamic": {"groupName": "dynamic", "gid": 61185, "members": ["dynamic", "x"]}}


def reply(call: dict[str, dict[str, object]]) -> dict[str, object]:
    asked = call["parameters"]
    users = str(call["method"]).endswith("GetUserRecord")
    name, number = ("userName", "uid") if users else ("groupName", "gid")
    for record in (RECORDS if users else GROUPS).values():
        if record[name] == asked.get(name) or record.get(number, -1) == asked.get(number):
            return {"parameters": {"record": record, "incomplete": False}}
    return {"error": "io.systemd.UserDatabase.NoRecordFound", "parameters": {}}


@contextmanager
def database(file: Path, *, broken: bytes = b"") -> Iterator[list[str]]:
    """Serve the records by Varlink at a socket; yield the services of the calls."""
    file.parent.mkdir(parents=True, exist_ok=True)
    asked: list[str] = []

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                call = json.loads(client.recv(4096).rstrip(b"\0"))
                asked.append(call["parameters"]["service"])
                answer = broken or json.dumps(reply(call)).encode() + b"\0"
                with suppress(BrokenPipeError):
                    client.sendall(answer[:20])
                    client.sendall(answer[20:])

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(file))
        server.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


class TestUserDatabase:
    @pytest.fixture(autouse=True)
    def switch(self, system: System) -> None:
        system.write("etc/nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n")
        system.write("etc/machine-id", "1" * 32 + "\n")

    @pytest.mark.parametrize("service", ["io.systemd.Multiplexer", "io.systemd.DynamicUser"])
    def test_users_and_groups_of_the_machines_services(self, system: System, service: str) -> None:
        with database(system.place / "run/systemd/userdb" / service) as asked:
            assert system("[*pwd.getpwnam('dynamic')]") == [
                *(
                    "dynamic",
                    "x",
                    61184,
                    61185,
                    'D\u00fcse "q" \U0001f600',
                    "/",
                    "/usr/sbin/nologin",
                )
            ]
            assert system("pwd.getpwuid(61184).pw_name") == "dynamic"
            assert system("[*grp.getgrnam('dynamic')]") == ["dynamic", "x", 61185, ["dynamic", "x"]]
            assert system("grp.getgrgid(61185).gr_name") == "dynamic"
            assert system("[*pwd.getpwnam('homed')][2:6]") == [60002, 60003, "", "/home/homed"]
            assert system("[*pwd.getpwnam('bare')][2:]") == [7, 7, "", "/", "/bin/sh"]
            assert "KeyError" in str(system("pwd.getpwnam('absent')"))
            assert "KeyError" in str(system("grp.getgrgid(5)"))
        assert set(asked) == {service}

    def test_no_service_is_no_delay(self, system: System) -> None:
        assert "KeyError" in str(system("pwd.getpwnam('dynamic')"))
        assert system("pwd.getpwuid(0).pw_name") == "root"

    def test_a_name_cannot_change_the_call(self, system: System) -> None:
        with database(system.place / "run/systemd/userdb/io.systemd.Multiplexer") as asked:
            assert "KeyError" in str(system("""pwd.getpwnam('a","uid":7,"x":"')"""))
        assert asked == []

    @pytest.mark.parametrize(
        "answer",
        [
            b"", b"\0", b"{\0", b'{"parameters":{"record":{"uid":1,"userName":"\\u00\0',
            b'{"parameters":{"record":{"uid":1,"userName":["x"]}}}\0', b"[" * 100000 + b"\0",
            b'{"parameters":{"record":{"uid":4294967295,"userName":"x"}}}\0',
            b'{"parameters":{"record":{"uid":-1,"userName":"x"}}}\0', b"no end",
            b'{"parameters":{"record":{"uid":1,"userName":"\\ud800x"}}}\0',
        ],
    )  # fmt: skip
    def test_a_broken_reply_is_no_user(self, system: System, answer: bytes) -> None:
        place = system.place / "run/systemd/userdb/io.systemd.Multiplexer"
        with database(place, broken=answer or b"\0"):
            assert "KeyError" in str(system("pwd.getpwnam('dynamic')"))
