# SPDX-License-Identifier: BSD-3-Clause
"""The binhosts of a prefix: choose them at set-up, and change them later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flatcar_prefix.binhost import keyring, where
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle.configure import reconfigure
from flatcar_prefix.prefix import leftovers, locks, markers, registry
from flatcar_prefix.prefix.model import Binhost, Prefix
from flatcar_prefix.system.files import usual_modes
from flatcar_prefix.system.progress import NO_PROGRESS, Progress

NONE = "none"
"""The word for no binhost and for no verification."""


@dataclass(frozen=True)
class Choice:
    """The binhosts of a prefix, and how their packages are verified."""

    binhosts: tuple[Binhost, ...] = ()
    verify: bool = True
    keys: tuple[tuple[str, Path], ...] = ()
    """The name of a binhost and a file of public keys; an empty name means all binhosts."""

    def applied(self, prefix: Prefix) -> Prefix:
        """Return ``prefix`` with these binhosts."""
        return replace(prefix, binhosts=self.binhosts, verify_binhosts=self.verify)

    def trust(self, prefix: Prefix) -> Prefix:
        """Add the keys to the keyring of ``prefix``, and return it with their fingerprints."""
        binhosts = list(prefix.binhosts)
        for name, file in self.keys:
            fingerprints = keyring.install(prefix.keyring_dir, [file])
            for number, one in enumerate(binhosts):
                if name in ("", one.name) and not (name == "" and one.pool):
                    keys = tuple(dict.fromkeys((*one.keys, *fingerprints)))
                    binhosts[number] = replace(one, keys=keys)
        return replace(prefix, binhosts=tuple(binhosts))


def requested(prefix: Prefix, words: Sequence[str] | None, keys: Sequence[Path | str]) -> Choice:
    """Return the binhosts for a new prefix; without ``words``, the fitting pool of this machine."""
    if words is not None:
        return choose(words, keys, prefix)
    if keys:
        raise UsageError(
            "--binhost-key has no effect without --binhost",
            hint="Add --binhost, or omit --binhost-key.",
        )
    return automatic(prefix)


def are_those_of(prefix: Prefix, words: Sequence[str]) -> bool:
    """Return whether ``words`` name the binhosts that a prefix has."""
    wanted = () if list(words) == [NONE] else where.find(words, prefix.board)
    return [one.uri for one in wanted] == [one.uri for one in prefix.binhosts]


def choose(
    words: Sequence[str],
    keys: Sequence[Path | str],
    prefix: Prefix,
    *,
    besides: Sequence[Binhost] = (),
    verified: bool = True,
) -> Choice:
    """Return the binhosts that the user names for ``prefix``, in addition to ``besides``.

    ``keys`` are files of public keys, or the word ``none``. ``verified`` says whether the prefix
    verifies the packages of ``besides``. Raise :class:`UsageError` for a binhost whose packages
    nothing can verify, and for a pool whose packages cannot be moved to the path of ``prefix``.
    """
    if list(words) == [NONE]:
        words = ()
    found = where.find(words, prefix.board, besides=besides)
    new = found[len(besides) :]
    pools = {one.name: registry.load(one.pool) for one in new if one.pool}
    for pool in pools.values():
        _refuse_short(pool, prefix)
    if list(map(str, keys)) == [NONE]:
        _refuse_mixture(prefix, besides, verified=verified, wanted=False)
        return Choice(found, verify=False)
    files = tuple(("", Path(os.path.abspath(file))) for file in keys)
    for _, file in files:
        keyring.check_file(file)
    unsigned = [name for name, pool in pools.items() if not pool.signing_key]
    if new and len(unsigned) == len(new) and not files:
        _refuse_mixture(prefix, besides, verified=verified, wanted=False)
        return Choice(found, verify=False)
    if unsigned:
        raise UsageError(
            f"the pool {unsigned[0]} is not signed, so its packages cannot be mixed with verified"
            " ones",
            hint=f"Sign it: setup_prefix --pool --force {unsigned[0]}; or add"
            " --binhost-key=none to verify none.",
        )
    if new:
        _refuse_mixture(prefix, besides, verified=verified, wanted=True)
    foreign = [one for one in new if not one.pool]
    if foreign and not files:
        raise UsageError(
            f"there is no key to verify the packages of {foreign[0].uri}",
            hint="Give the public key of its publisher, --binhost-key=FILE (a pool has it in"
            f" {where.KEY_FILE}), or --binhost-key=none to install what it sends.",
        )
    own = tuple((name, pool.staging.pkgdir / where.KEY_FILE) for name, pool in pools.items())
    return Choice(found, verify=True, keys=(*own, *files))


def _refuse_short(pool: Prefix, prefix: Prefix) -> None:
    """Raise :class:`UsageError` if the path of ``prefix`` is longer than that of ``pool``."""
    room = len(pool.eprefix)
    if len(prefix.eprefix) > room:
        raise UsageError(
            f"the packages of the pool {pool.id} fit paths of at most {room} bytes;"
            f" {prefix.eprefix} has {len(prefix.eprefix)}",
            hint=f"Choose a path of at most {room} bytes for the prefix, or build its packages"
            " from source with --binhost=none.",
        )


def _refuse_mixture(
    prefix: Prefix, besides: Sequence[Binhost], *, verified: bool, wanted: bool
) -> None:
    """Raise :class:`UsageError` if only a part of the binhosts would be verified."""
    if besides and verified != wanted:
        state = "verifies" if verified else "does not verify"
        raise UsageError(
            f"the prefix {state} the packages of its binhosts, and Portage treats all alike",
            hint="Remove the other binhosts first: flatcar-prefix binhost"
            f" {prefix.id} remove {' '.join(one.name for one in besides)}",
        )


def automatic(prefix: Prefix) -> Choice:
    """Return the pool of this machine that fits ``prefix``, without being asked.

    It has the same board, compiler, profile and kind of C library, an EPREFIX that is long
    enough, and belongs to root or to the caller. Without such a pool, return no binhosts.
    """
    for pool in registry.list_prefixes():
        if pool.complete and _fits(pool, prefix) and _is_trusted(pool.staging.pkgdir):
            one = where.of_pool(pool)
            keys = ((one.name, pool.staging.pkgdir / where.KEY_FILE),) if pool.signing_key else ()
            return Choice((one,), verify=bool(pool.signing_key), keys=keys)
    return Choice()


def _fits(pool: Prefix, prefix: Prefix) -> bool:
    def build(one: Prefix) -> tuple[object, ...]:
        return one.board, one.bootstrap, one.profile, one.toolchain.version

    return (
        pool.pool
        and not prefix.pool
        and build(pool) == build(prefix)
        and len(pool.eprefix) >= len(prefix.eprefix)
        and any((pool.staging.pkgdir / name).is_file() for name in where.INDEXES)
    )


def _is_trusted(directory: Path) -> bool:
    try:
        return directory.stat().st_uid in (0, os.geteuid())
    except OSError:
        return False


@usual_modes()
def add(
    prefix: Prefix,
    words: Sequence[str],
    *,
    keys: Sequence[Path | str] = (),
    say: Progress = NO_PROGRESS,
) -> Prefix:
    """Add binhosts after the existing ones; return the changed prefix.

    Raise :class:`PrefixError` if :func:`choose` refuses one; the prefix does not change then.
    """

    def wanted(now: Prefix) -> Choice:
        verified = now.verify_binhosts
        return choose(words, keys, now, besides=now.binhosts, verified=verified)

    return _change(prefix, wanted, say)


@usual_modes()
def remove(prefix: Prefix, names: Sequence[str], *, say: Progress = NO_PROGRESS) -> Prefix:
    """Remove binhosts, given by name or URL, with their keys; return the changed prefix."""

    def wanted(now: Prefix) -> Choice:
        left = tuple(_without(now, names))
        return Choice(left, verify=now.verify_binhosts if left else True)

    return _change(prefix, wanted, say)


def _without(prefix: Prefix, names: Sequence[str]) -> Iterator[Binhost]:
    known = {word: one for one in prefix.binhosts for word in (one.name, one.uri)}
    gone = []
    for name in names:
        one = known.get(name.rstrip("/")) or known.get(f"file://{os.path.abspath(name)}")
        if one is None:
            there = ", ".join(b.name for b in prefix.binhosts)
            raise PrefixError(
                f"{prefix.id} has no binhost {name!r}",
                hint=f"Choose one of: {there}."
                if there
                else f"It has none; run `flatcar-prefix binhost {prefix.id}` instead to see this.",
            )
        gone.append(one)
    return (one for one in prefix.binhosts if one not in gone)


def _change(prefix: Prefix, wanted: Callable[[Prefix], Choice], say: Progress) -> Prefix:
    with locks.locked_prefix(prefix) as now:
        leftovers.sweep(now)
        choice = wanted(now)
        changed = choice.trust(choice.applied(markers.claim(now)))
        changed = reconfigure(now, changed, say=say)
        keyring.keep(changed.keyring_dir, {key for one in changed.binhosts for key in one.keys})
        return changed
