# SPDX-License-Identifier: BSD-3-Clause
"""Write, check and remove the wrapper files of a prefix; keep all other files."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import model as prefixes
from flatcar_prefix.prefix.model import Prefix, Wrapper
from flatcar_prefix.system import process
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.wrappers import script, view
from flatcar_prefix.wrappers.declaration import Tool, filled, tools as declared_tools
from flatcar_prefix.wrappers.variables import ASTRAY

IN_THE_WAY = "in-the-way"

_MARK_LINE = re.compile(rf"# {script.MARK} ([^\s:]+)(?: ([0-9a-f]+))?: (.+)")


@dataclass(frozen=True)
class DeclaredWrapper(Wrapper):
    """A wrapper with the tool that it runs."""

    tool: Tool


@dataclass(frozen=True)
class Mark:
    """The mark line of a generated script, parsed."""

    version: str
    checksum: str
    staging_dir: Path
    content: str

    @property
    def unchanged(self) -> bool:
        """Whether the script has its original content."""
        return script.checksum(script.unmarked(self.content)) == self.checksum


@dataclass(frozen=True)
class Finding:
    """A faulty file. States: ``missing changed outdated left-over in-the-way``."""

    path: Path
    state: str
    reason: str


def read_mark(path: Path) -> Mark | None:
    """Return the mark of a generated script; ``None`` for any other file, or if none exists."""
    try:
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    match = _MARK_LINE.fullmatch(content.split("\n", 2)[1] if content.count("\n") > 1 else "")
    if match is None:
        return None
    try:
        (staging,) = shlex.split(match[3])
    except ValueError:
        return None
    return Mark(match[1], match[2], Path(staging), content)


def wrappers(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[DeclaredWrapper]:
    """Return the wrappers that the prefix should have."""
    declared = declared_tools() if tools is None else tools
    return [DeclaredWrapper(prefix, tool.name, tool) for tool in declared.values()]


def texts(prefix: Prefix, wanted: Iterable[DeclaredWrapper]) -> dict[Path, str]:
    """Return the text of each wrapper and of each script of the view, by path."""
    enter = view.enter_text(prefix, portage_api.global_config_path())
    templates = script.templates()
    out = {
        view.enter_script(prefix): script.mark(enter, prefix),
        view.directory(prefix) / "portage-python": script.mark(view.portage_python(prefix), prefix),
    }
    for wrapper in wanted:
        works = working(prefix, wrapper.tool)
        out[wrapper.path] = script.text(prefix, wrapper.tool, templates, works=works)
    return out


def working(prefix: Prefix, tool: Tool) -> str:
    """Return the path of the tool's command if it passes its probe with this Portage, else ''."""
    if not tool.stand_in or not tool.probe:
        return ""
    at = script.found(prefix, tool)
    if at is None:
        return ""
    root = prefix.root("staging" if tool.root == "both" else tool.root)
    values = script.placeholders(root)
    env = {k: v for k, v in os.environ.items() if k not in ASTRAY}
    env |= script.environment(root, tool.entry)
    argv = [os.fspath(at), *(filled(word, values) for word in tool.probe)]
    if tool.entry == "view":
        argv = view.command(root, argv)
    result = process.run(argv, env=env, check=False, capture=True, input="")
    # A query without results may exit with 3: only a command that cannot run is broken.
    broken = not 0 <= result.returncode < 126 or "Traceback" in result.stdout + result.stderr
    return "" if broken else os.fspath(at)


def generate(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[Path]:
    """Write all wrappers of ``prefix``, each atomically; return the changed paths.

    Remove left-over wrappers of this prefix. :class:`PrefixError` if a file that was not
    created by flatcar-prefix has the name of a wrapper: that file stays, and all other
    wrappers are written.
    """
    wanted = wrappers(prefix, tools)
    view.write_places(prefix, portage_api.global_config_path())
    prefix.wrapper_dir.mkdir(parents=True, exist_ok=True)
    changed, blocked = [], []
    for path, text in texts(prefix, wanted).items():
        if not _may_replace(path, prefix):
            blocked.append(path)
        elif not _is_same(path, text):
            write_atomic(path, text, mode=0o755)
            changed.append(path)
    changed += [w.short_path for w in wanted if _link_short(w)]
    for path in left_over(prefix, wanted):
        path.unlink()
        changed.append(path)
    if blocked:
        raise _blocked(blocked)
    return changed


def refuse_blocked(prefix: Prefix, *, instead_of: Iterable[Prefix] = ()) -> None:
    """Raise :class:`PrefixError` if :func:`generate` could not write all of ``prefix``.

    Change nothing. ``instead_of`` are prefixes to be removed first, with their wrappers.
    """
    _refuse_unwritable(prefix.wrapper_dir)
    gone = {old.staging_dir for old in instead_of}
    paths = [w.path for w in wrappers(prefix)]
    if blocked := [path for path in paths if not _may_replace(path, prefix, gone)]:
        raise _blocked(blocked)


def _blocked(paths: Iterable[Path]) -> PrefixError:
    return PrefixError(
        f"{', '.join(map(os.fspath, paths))}: exists and was not created by flatcar-prefix",
        hint="Move it away, or set up the prefix with another --wrapper_dir.",
    )


def _refuse_unwritable(directory: Path) -> None:
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not there.is_dir():
        why = f"{there} is not a directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        why = f"{there} is not writable"
    else:
        return
    raise PrefixError(
        f"cannot create wrappers in {directory}: {why}",
        hint="Correct this, or choose another directory with --wrapper_dir.",
    )


def _is_same(path: Path, text: str) -> bool:
    try:
        same = path.read_text(encoding="utf-8", errors="surrogateescape") == text
        return same and not path.is_symlink() and os.access(path, os.X_OK)
    except OSError:
        return False


def _may_replace(path: Path, prefix: Prefix, gone: Collection[Path] = ()) -> bool:
    """Return whether a wrapper of ``prefix`` may be written to ``path``.

    The path must be free, belong to this prefix or to a deleted one, or be a short name:
    a full name takes precedence over a short one. The prefixes ``a`` and ``a-amd64-usr``
    may have them in common.
    """
    if not os.path.lexists(path):
        return True
    if path.is_symlink():
        return _is_own_link(path)
    mark = read_mark(path)
    return mark is not None and (_is_of(mark, prefix) or mark.staging_dir in gone)


def _is_alive(staging_dir: Path) -> bool:
    return (staging_dir / prefixes.RECORD_NAME).exists()


def _is_own_link(path: Path) -> bool:
    """Return whether flatcar-prefix created the link, for any prefix."""
    target = os.readlink(path)
    if target not in {f"{path.name}-{board}" for board in BOARDS}:
        return False
    full = path.with_name(target)
    return read_mark(full) is not None or not os.path.lexists(full)


def _link_short(wrapper: DeclaredWrapper) -> bool:
    """Create the short name unless it is in use; return whether anything changed."""
    finding = _compare_short(wrapper)
    if finding is None or finding.state == IN_THE_WAY:
        return False
    replace_link(wrapper.short_path, wrapper.path.name)
    return True


def _compare_short(wrapper: DeclaredWrapper) -> Finding | None:
    """Return the fault of a short name. It may belong to another board or be a full name."""
    path = wrapper.short_path
    if not os.path.lexists(path):
        return Finding(path, "missing", "does not exist")
    if path.is_symlink():
        return _compare_link(wrapper, os.readlink(path))
    mark = read_mark(path)
    if mark is None:
        return Finding(path, IN_THE_WAY, "was not created by flatcar-prefix")
    if mark.staging_dir == wrapper.prefix.staging_dir:
        return Finding(path, "changed", "is not a link")
    if not _is_alive(mark.staging_dir):
        return Finding(path, "missing", "belongs to a prefix that no longer exists")
    return None


def _compare_link(wrapper: Wrapper, target: str) -> Finding | None:
    path, prefix = wrapper.short_path, wrapper.prefix
    full = path.parent / target
    mark = read_mark(full)
    if target in {f"{path.name}-{board}" for board in BOARDS}:
        if full == wrapper.path or (mark and _is_alive(mark.staging_dir)):
            return None
        return Finding(path, "missing", f"points to {target}, whose prefix no longer exists")
    another_of_ours = mark is not None and mark.staging_dir == prefix.staging_dir
    once_ours = full.parent == path.parent and target.endswith(f"-prefix-{prefix.id}")
    if another_of_ours or (once_ours and not full.exists()):
        return Finding(path, "changed", f"points to {target}")
    return Finding(path, IN_THE_WAY, f"points to {target}, which was not created by flatcar-prefix")


def taken(prefix: Prefix) -> list[Path]:
    """Return the short names in use by files that flatcar-prefix did not create."""
    findings = (_compare_short(wrapper) for wrapper in wrappers(prefix))
    return [found.path for found in findings if found and found.state == IN_THE_WAY]


def missing(prefix: Prefix) -> list[Path]:
    """Return the wrappers of the prefix that do not exist, under either name."""
    paths = (path for w in wrappers(prefix) for path in (w.path, w.short_path))
    return [path for path in paths if not os.path.lexists(path)]


def left_over(prefix: Prefix, wanted: Iterable[DeclaredWrapper]) -> list[Path]:
    """Return the wrappers of this prefix that no declaration defines."""
    keep = {path for wrapper in wanted for path in (wrapper.path, wrapper.short_path)}
    return [path for path in _own(prefix) if path not in keep]


def _own(prefix: Prefix) -> list[Path]:
    """Return all wrappers of this prefix in the wrapper directory, links first."""
    if not prefix.wrapper_dir.is_dir():
        return []
    links, files = [], []
    endings = (f"-prefix-{prefix.id}", f"-prefix-{prefix.name}")
    # Compare names first: reading the files of a hundred prefixes would take too long.
    for name in sorted(n for n in os.listdir(prefix.wrapper_dir) if n.endswith(endings)):
        path = prefix.wrapper_dir / name
        if path.is_symlink():
            if _is_short_name(path, prefix):
                links.append(path)
        elif (mark := read_mark(path)) and _is_of(mark, prefix):
            files.append(path)
    return links + files


def _is_short_name(link: Path, prefix: Prefix) -> bool:
    """Return whether the link is a short name of this prefix."""
    wanted = f"{link.name}-{prefix.board.name}"
    if not link.name.endswith(f"-prefix-{prefix.name}") or os.readlink(link) != wanted:
        return False
    mark = read_mark(link)
    return mark is None or _is_of(mark, prefix)


def _is_of(mark: Mark, prefix: Prefix) -> bool:
    """Return whether a wrapper of the prefix's name is its own, or was before a move."""
    return mark.staging_dir == prefix.staging_dir or not _is_alive(mark.staging_dir)


def check(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[Finding]:
    """Return the faults of the wrappers of ``prefix``; change nothing."""
    wanted = wrappers(prefix, tools)
    findings = [
        finding
        for path, text in texts(prefix, wanted).items()
        if (finding := _compare(path, text, prefix))
    ]
    findings += [finding for w in wanted if (finding := _compare_short(w))]
    why = "has no declaration"
    findings += [Finding(path, "left-over", why) for path in left_over(prefix, wanted)]
    return sorted(findings, key=lambda finding: finding.path)


def _compare(path: Path, text: str, prefix: Prefix) -> Finding | None:
    if not os.path.lexists(path):
        return Finding(path, "missing", "does not exist")
    if not _may_replace(path, prefix):
        return Finding(path, IN_THE_WAY, "was not created by flatcar-prefix")
    mark = None if path.is_symlink() else read_mark(path)
    if mark is None or mark.staging_dir != prefix.staging_dir:
        return Finding(path, "missing", "belongs to another prefix")
    if not mark.unchanged:
        return Finding(path, "changed", "was changed by hand")
    if not os.access(path, os.X_OK):
        return Finding(path, "changed", "is not executable")
    if mark.content != text:
        reason = f"was written by version {mark.version}, or for another machine"
        return Finding(path, "outdated", reason)
    return None


def remove(prefix: Prefix) -> Iterator[Path]:
    """Remove all wrappers of ``prefix``, yielding the path of each.

    A short name that becomes free is linked to another board's prefix of the same name, if
    there is one.
    """
    for path in _own(prefix):
        path.unlink()
        yield path
        _hand_on(path, prefix)


def _hand_on(short: Path, prefix: Prefix) -> None:
    for board in BOARDS:
        other = read_mark(full := short.with_name(f"{short.name}-{board}"))
        if other and other.staging_dir != prefix.staging_dir and _is_alive(other.staging_dir):
            replace_link(short, full.name)
            return
