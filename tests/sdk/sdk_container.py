# SPDX-License-Identifier: BSD-3-Clause
"""The Flatcar SDK container, imitated on this machine in a mount namespace.

All its parts are below one directory: the scripts checkout at
``/mnt/host/source/src/scripts``, cross toolchains in ``/usr/<chost>``, board roots in
``/build``, and the user ``sdk`` with sudo. The other files are this machine's own, read-only.
Each command runs in a separate mount namespace with such a root.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.boards import BOARDS, Board

CHECKOUT = Path(__file__).resolve().parents[2]

SCRIPTS = Path("/mnt/host/source/src/scripts")

SDK_UID = 4242
"""A user ID that no machine uses."""

Run = subprocess.CompletedProcess[str]

ENTER = r"""
set -eu
base=$1 root=$1/root
shift
mount -t tmpfs -o mode=755 flatcar-sdk "${root}"
for entry in /*; do
	here=${root}${entry}
	case ${entry} in
	/build | /mnt | /lost+found) ;;
	/root) mkdir -m 755 "${here}" ;;
	/usr | /etc)
		mkdir "${here}"
		mount -t overlay -o "ro,lowerdir=${base}/layer${entry}:${entry}" flatcar-sdk "${here}"
		;;
	/var)
		mkdir "${here}"
		mount --bind "${base}/var" "${here}"
		mount --bind /var/lib/dpkg "${here}/lib/dpkg" 2>/dev/null || :
		;;
	*)
		if [ -L "${entry}" ]; then
			ln -s "$(readlink "${entry}")" "${here}"
		elif [ -d "${entry}" ]; then
			mkdir "${here}"
			mount --rbind "${entry}" "${here}"
		fi
		;;
	esac
done
for shared in ${SHARED}; do
	mkdir -p "${root}${shared}"
	mount --rbind "${shared}" "${root}${shared}"
done
mkdir "${root}/build" "${root}/mnt"
mount --bind "${base}/build" "${root}/build"
mount --bind "${base}/mnt" "${root}/mnt"
mount --bind "${base}/bin" "${root}/usr/local/bin"
scripts=${root}/mnt/host/source/src/scripts
if [ -n "${REAL_SCRIPTS}" ]; then
	mount -t overlay -o "lowerdir=${REAL_SCRIPTS},upperdir=${base}/changed,workdir=${base}/work" \
		flatcar-sdk "${scripts}"
fi
cd "${root}"
pivot_root . .
umount -l .
cd /
unset REAL_SCRIPTS SHARED
exec "$@"
"""
"""A script that mounts the root and runs the words after the container's directory."""


@dataclass
class Container:
    """An SDK container below ``base``.

    ``real_scripts`` is a checkout that does not change; an overlay holds the written files.
    """

    base: Path
    real_scripts: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place in (
            "root", "changed", "work", "bin", "build", "home", "layer/usr/local/bin", "layer/etc",
            "var/tmp", "var/lib/dpkg", "var/cache", "var/db",
            "mnt/host/source/src/scripts", "mnt/host/source/.cache/distfiles",
        ):  # fmt: skip
            (self.base / place).mkdir(parents=True, exist_ok=True)
        (self.base / "var/tmp").chmod(0o1777)
        _write_users(self.base / "layer/etc", log=self.sudo_log)

    @property
    def scripts(self) -> Path:
        """The path of the checkout on this machine."""
        return self.base / "mnt/host/source/src/scripts"

    @property
    def distfiles(self) -> Path:
        return self.base / "mnt/host/source/.cache/distfiles"

    @property
    def sudo_log(self) -> Path:
        return self.base / "sudo.log"

    @property
    def sudo_calls(self) -> int:
        """The number of sudo calls."""
        log = self.sudo_log
        return log.read_text().count("COMMAND=") if log.exists() else 0

    def here(self, path: str | Path) -> Path:
        """Return the path on this machine of a path in the container."""
        text = os.fspath(path)
        if text.startswith("/usr/local/bin"):
            return self.base / "bin" / text.removeprefix("/usr/local/bin").lstrip("/")
        if text.startswith(str(SCRIPTS)) and self.real_scripts:
            return self.base / "changed" / text.removeprefix(str(SCRIPTS)).lstrip("/")
        if text.startswith(("/build", "/mnt", "/var")):
            return self.base / text.lstrip("/")
        if text.startswith(("/usr", "/etc")):
            return self.base / "layer" / text.lstrip("/")
        return Path(text)

    def run(
        self,
        *argv: str | Path,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        path: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Run a command in the container to its end; return stdout and stderr separately."""
        words = [os.fspath(word) for word in argv]
        if cwd:
            words = ["env", f"--chdir={cwd}", *words]
        if user != "root":
            ids = [f"--reuid={SDK_UID}", f"--regid={SDK_UID}", "--init-groups"]
            words = ["setpriv", *ids, *words]
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", os.fspath(self.base)]
        return subprocess.run(
            [*enter, *words],
            env=self.environment(user, {"PATH": path or os.environ["PATH"], **(env or {})}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def environment(self, user: str, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "HOME": "/home/sdk" if user == "sdk" else os.fspath(self.base / "home"),
            "USER": user,
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONPATH": os.fspath(CHECKOUT),
            "REAL_SCRIPTS": os.fspath(self.real_scripts or ""),
            "SHARED": " ".join(_hidden(sys.base_prefix, sys.prefix, CHECKOUT)),
            **self.variables,
            **more,
        }

    def ok(self, *argv: str | Path, **options: object) -> Run:
        """Run a command that must succeed."""
        result = self.run(*argv, **options)  # type: ignore[arg-type]
        assert result.returncode == 0, f"{argv}\n{result.stdout}\n{result.stderr}"
        return result

    def setup_command(self, *args: str | Path) -> list[str]:
        code = (
            "import sys; from flatcar_prefix.cli.main import setup_prefix; sys.exit(setup_prefix())"
        )
        return [sys.executable, "-c", code, *map(str, args)]

    def setup(self, *args: str | Path, **options: object) -> Run:
        """Run ``setup_prefix``, which must succeed."""
        return self.ok(*self.setup_command(*args), **options)

    def fp_command(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "flatcar_prefix", *map(str, args)]

    def fp(self, *args: str | Path, **options: object) -> Run:
        """Run ``flatcar-prefix``."""
        return self.run(*self.fp_command(*args), **options)  # type: ignore[arg-type]


def _hidden(*places: str | Path) -> list[str]:
    """Return the directories of which the container has its own.

    root's home is one of them: other users cannot enter the machine's, but the SDK's user must.
    """
    own = (Path("/root"), Path("/var"))
    return [os.fspath(place) for place in places if set(own) & set(Path(place).parents)]


def _write_users(etc: Path, *, log: Path) -> None:
    """Write /etc with the SDK's users added to this machine's."""
    groups, users = _lines("/etc/group"), _lines("/etc/passwd")
    if not any(line.startswith("portage:") for line in groups):
        groups.append("portage:x:250:portage,sdk")
    if not any(line.startswith("portage:") for line in users):
        users.append("portage:x:250:250:portage:/var/tmp/portage:/bin/false")
    groups.append(f"sdk:x:{SDK_UID}:")
    users.append(f"sdk:x:{SDK_UID}:{SDK_UID}:sdk:/home/sdk:/bin/bash")
    _write(etc / "group", groups)
    _write(etc / "passwd", users)
    _write(etc / "shadow", [*_lines("/etc/shadow"), "sdk:*:19000:0:99999:7:::"], mode=0o640)
    sudoers = [
        "Defaults !requiretty",
        f'Defaults logfile="{log}"',
        "Defaults !syslog, !pam_session",
        "sdk ALL=(ALL) NOPASSWD: ALL",
    ]
    (etc / "sudoers.d").mkdir(exist_ok=True)
    _write(etc / "sudoers.d/sdk", sudoers, mode=0o440)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _write(path: Path, lines: Iterable[str], *, mode: int = 0o644) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(mode)


# --- checkouts ------------------------------------------------------------------------------

LAYOUTS: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = {
    "repos": (
        "repos",
        {
            "gentoo-subset": ("gentoo-subset", "gentoo-subset"),
            "flatcar-overlay": ("flatcar-overlay", "flatcar-overlay"),
            "prefix-overlay": ("prefix-overlay", "prefix-overlay"),
        },
    ),
    "third_party": (
        "sdk_container/src/third_party",
        {
            "gentoo-subset": ("portage-stable", "portage-stable"),
            "flatcar-overlay": ("coreos-overlay", "coreos-overlay"),
            "prefix-overlay": ("prefix-overlay", "prefix"),
        },
    ),
}
"""Each layout's directory, and for each included repository its directory and its
``repo_name`` there."""


def write_scripts(scripts: Path, layout: str) -> None:
    """Copy the repositories of this project into the layout of a checkout."""
    place, names = LAYOUTS[layout]
    main = names["gentoo-subset"][1]
    for own, (directory, name) in names.items():
        target = scripts / place / directory
        shutil.copytree(
            CHECKOUT / "repos" / own, target, symlinks=True,
            ignore=shutil.ignore_patterns("md5-cache"),
        )  # fmt: skip
        (target / "profiles/repo_name").write_text(f"{name}\n", encoding="utf-8")
        conf = target / "metadata/layout.conf"
        text = conf.read_text(encoding="utf-8").replace("gentoo-subset", main)
        conf.write_text(re.sub("^repo-name = .*", f"repo-name = {name}", text, flags=re.MULTILINE))


# --- toolchains -----------------------------------------------------------------------------

CROSS_GCC = """\
#!/bin/sh
# A cross gcc whose libraries are in lib64, as crossdev's is, from Debian's, which looks for
# them below other names. The last --sysroot is the one that holds.
sysroot=/usr/{chost}
for word; do
	case ${{word}} in --sysroot=*) sysroot=${{word#--sysroot=}} ;; esac
done
exec {real} --sysroot=/usr/{chost} -B"${{sysroot}}/usr/{libdir}/" -B"${{sysroot}}/{libdir}/" "$@"
"""

BINUTILS = (
    "ar as gcc-ar gcc-nm gcc-ranlib ld ld.bfd nm objcopy objdump ranlib readelf strip".split()
)


def add_sdk_toolchain(container: Container, board: Board) -> Path:
    """Install ``<chost>-gcc`` and its sysroot ``/usr/<chost>``; return the sysroot."""
    programs = container.base / "layer/usr/bin"
    programs.mkdir(parents=True, exist_ok=True)
    triplet = board.host_triplets[0]
    for compiler in ("gcc", "g++"):
        text = CROSS_GCC.format(
            chost=board.chost, libdir=board.libdir, real=f"/usr/bin/{triplet}-{compiler}"
        )
        script = programs / f"{board.chost}-{compiler}"
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    for name in BINUTILS:
        link = programs / f"{board.chost}-{name}"
        if not link.is_symlink():
            link.symlink_to(f"/usr/bin/{triplet}-{name}")
    sysroot = container.base / "layer/usr" / board.chost
    fill_sysroot(sysroot, board)
    return sysroot


def add_board(container: Container, board: Board, *, cflags: str, profile: str) -> Path:
    """Create the board's root ``/build/<board>`` in the container; return it.

    ``profile`` is the path in the container of the board's profile.
    """
    root = container.base / "build" / board.name
    fill_sysroot(root, board)
    config = root / "etc/portage"
    config.mkdir(parents=True, exist_ok=True)
    (config / "make.conf").write_text(
        f'CHOST="{board.chost}"\nCFLAGS="{cflags}"\nCXXFLAGS="${{CFLAGS}}"\n'
        f'ROOT="/build/{board.name}"\nPKGDIR="/build/{board.name}/packages"\n'
    )
    if not (config / "make.profile").is_symlink():
        (config / "make.profile").symlink_to(profile)
    return root


def fill_sysroot(sysroot: Path, board: Board) -> None:
    """Copy this machine's C library for the board into a sysroot, with the SDK's paths."""
    if (sysroot / "usr/include").is_dir():
        return
    libdir, usr = sysroot / board.libdir, sysroot / "usr"
    for directory in (libdir, usr / board.libdir, usr / "include"):
        directory.mkdir(parents=True)
    triplet = board.host_triplets[0]
    if board is BOARDS["amd64-usr"]:
        headers = [*_files_of("libc6-dev"), *_files_of("linux-libc-dev")]
        includes = [Path("/usr/include", triplet), Path("/usr/include")]
        libraries = [Path("/usr/lib", triplet), Path("/lib", triplet)]
    else:
        headers = [*_files_of("libc6-dev-arm64-cross"), *_files_of("linux-libc-dev-arm64-cross")]
        includes, libraries = [Path("/usr", triplet, "include")], [Path("/usr", triplet, "lib")]
    for header in headers:
        base = next((i for i in includes if i in header.parents), None)
        if base and header.is_file():
            _copy(header, usr / "include" / header.relative_to(base))
    wanted = [*headers, *_libc_files(board)]
    for path in wanted:
        if (path.parent in libraries and path.suffix in (".o", ".a", ".so")) or ".so." in path.name:
            # Links for the linker and archives go below /usr, the libraries themselves to /lib64.
            _copy(path, (libdir if ".so." in path.name else usr / board.libdir) / path.name)
    _relative_scripts(usr / board.libdir)
    loader = sysroot / board.loader
    loader.parent.mkdir(exist_ok=True)
    if not loader.exists():
        loader.symlink_to(os.path.relpath(libdir / loader.name, loader.parent))
    for link in (usr / board.libdir).glob("*.so"):
        # A link to a library two directories away must name its new location.
        if link.is_symlink():
            name = os.path.basename(os.readlink(link))
            link.unlink()
            link.symlink_to(f"../../{board.libdir}/{name}")


def _libc_files(board: Board) -> list[Path]:
    if board is BOARDS["amd64-usr"]:
        return [*_files_of("libc6"), Path("/lib64/ld-linux-x86-64.so.2")]
    return _files_of("libc6-arm64-cross")


def _files_of(package: str) -> list[Path]:
    listed = subprocess.run(
        ["dpkg-query", "--listfiles", package], capture_output=True, text=True, check=True
    ).stdout
    # On this machine, /lib is a link to usr/lib, even if the package contains /lib.
    return [Path(os.path.realpath(Path(p).parent)) / Path(p).name for p in listed.split("\n") if p]


def _copy(source: Path, target: Path) -> None:
    if os.path.lexists(target) or source.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=not (source.is_symlink() and ".so" in source.name))


def _relative_scripts(directory: Path) -> None:
    """Remove directories from linker scripts; ld does not prepend its sysroot to these."""
    for script in directory.glob("*.so"):
        if script.is_symlink():
            continue
        data = script.read_bytes()
        if data.startswith(b"/* GNU ld script"):
            lines = data.decode().splitlines(keepends=True)
            script.write_text("".join(
                " ".join(w.rsplit("/", 1)[-1] for w in line.split(" ")) if "GROUP" in line else line
                for line in lines
            ))  # fmt: skip


# --- the SDK's own Portage --------------------------------------------------------------------


def add_portage(
    container: Container, *, profile: str, provided: str, repositories: Mapping[str, str]
) -> str:
    """Make the container a Gentoo machine with its own Portage; return its Python.

    It is the tests' Portage, installed as in a distribution, with a configuration in
    /etc/portage like that of ``update_chroot`` and an empty VDB. ``provided`` replaces the
    contents of the VDB. ``repositories`` are names with locations, the main one first.
    """
    usr, etc = container.base / "layer/usr", container.base / "layer/etc/portage"
    modules = usr / "lib/python3/dist-packages"
    modules.mkdir(parents=True)
    for name in ("_emerge", "lxml", "packaging", "portage"):
        source = Path(importlib.import_module(name).__path__[0])
        shutil.copytree(source, modules / name, ignore=shutil.ignore_patterns("__pycache__"))
    _edit(modules / "portage/installation.py", 'if "MODULE" == "MODULE":', "if False:")
    _edit(modules / "portage/installation.py", 'elif "MODULE" == "SYSTEM":', "elif True:")
    const = modules / "portage/const.py"
    _edit(const, 'PORTAGE_BASE_PATH = """"""', 'PORTAGE_BASE_PATH = "/usr/lib/portage"')
    _edit(const, 'PORTAGE_BIN_PATH = """"""', 'PORTAGE_BIN_PATH = "/usr/lib/portage/bin"')
    prefix = Path(sys.prefix)
    shutil.copytree(prefix / "lib/portage", usr / "lib/portage", symlinks=True)
    shutil.copytree(prefix / "share/portage", usr / "share/portage", symlinks=True)
    (etc / "repos.conf").mkdir(parents=True)
    for name, location in repositories.items():
        (etc / f"repos.conf/{name}.conf").write_text(f"[{name}]\nlocation = {location}\n")
    main = etc / f"repos.conf/{next(iter(repositories))}.conf"
    main.write_text(f"[DEFAULT]\nmain-repo = {main.stem}\n\n{main.read_text()}")
    (etc / "make.profile").symlink_to(profile)
    (etc / "profile").mkdir()
    (etc / "profile/package.provided").write_text(provided)
    (etc / "make.conf").write_text('FEATURES="-sandbox -usersandbox"\nPORTAGE_USERNAME="sdk"\n')
    (container.base / "var/db/pkg").mkdir()
    return "/usr/bin/python3"


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} is not what it was: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")
