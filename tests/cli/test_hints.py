# SPDX-License-Identifier: BSD-3-Clause
"""Each hint leads to success: a user who only does what hints say gets there.

A hint that runs in a circle, names an unknown flag or a page that is not installed fails.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from machine import InUse, Machine, Overlay, Run

pytestmark = pytest.mark.e2e

LONGEST = 5
"""More steps than any error needs."""

PLACEHOLDER = re.compile(r"<([a-z ]+)>")
PAGE = re.compile(r"[^\s`()]+\.md\b")

TOKEN = re.compile(
    r"""
    `(?P<quoted>[^`]+)`
    | (?P<command>(?:flatcar-prefix|setup_prefix|[a-z]+-prefix-[\w+.-]+)(?:\ (?!or\b)[^\s;,]*[^\s;,.])*)
    | (?P<flag>(?<![\w-])-(?:-[a-z-]+(?:(?:=|\ (?!and\b|or\b|to\b|that\b))[^\s,;]+)?|o\b))
    | Did\ you\ mean\ (?P<meant>[^?\s]+)\?
    | Choose\ one\ of:\ (?P<choice>[^,\s]+?)(?=[,.;]?(?:\s|$))
    | Use\ the\ name\ (?P<name>\S+)\.
    | Omit\ (?P<omitted>/[^\s:]+)
    | Put\ it\ first:\ (?P<first>.*)
    | (?P<by_hand>\b(?:Add\ this\ line|Choose\ (?:the|a\ (?!.{0,8}--)|another\ name)|Correct|Create\ it,|Pass\ the|Use\ an
        |Move|Remove\ (?:it|the\ (?:link|directory))|Set\ up\ the|Write\ (?:it|one)))
    """,
    re.VERBOSE,
)
"""The parts of a hint that say what to do."""

NEXT = re.compile(r" and (?:a )?|, such as ")
"""The words between two parts of one action."""

ByHand = Callable[["User", list[str], str, str], list[str]]
"""Does what a hint asks for in words; receives the command, the error and the hint."""


@dataclass
class Action:
    """One of the things that a hint proposes."""

    kind: str
    words: list[str] = field(default_factory=list)
    instead: bool = False


@dataclass
class User:
    """Somebody who does what hints say."""

    machine: Machine
    directory: Path
    answers: dict[str, str] = field(default_factory=dict)
    """What the user would fill in for placeholders, and for flags without a value."""
    by_hand: ByHand | None = None
    followed: list[str] = field(default_factory=list)

    def run(self, words: list[str]) -> Run:
        program, *rest = words
        if program == "setup_prefix":
            # Another bootstrap takes minutes.
            rest = [word.replace("=source", "=none") for word in rest]
            if not any(w.startswith(("--bootstrap", "--bootstarp", "--uninstall")) for w in rest):
                rest = ["--bootstrap=none", *rest]
            return self.machine.run(*self.machine.setup_command(*rest), cwd=self.directory)
        if program == "flatcar-prefix":
            return self.machine.fp(*rest, cwd=self.directory)
        wrapper = self.machine.bin / program
        if program.startswith("emerge-") and not wrapper.exists():
            raise AssertionError(f"{program} does not exist")
        return self.machine.run(wrapper, *rest, cwd=self.directory)

    def gets_there(self, line: str, *, take: int = 0) -> Run:
        """Run a command, and follow hints until it succeeds; first, take the one with this number."""
        return self.reach(shlex.split(line), take)

    def reach(self, words: list[str], take: int = 0) -> Run:
        seen: set[tuple[str, ...]] = set()
        for _ in range(LONGEST):
            done = self.run(words)
            if done.returncode == 0:
                return done
            what, hint = error_of(done)
            assert (*words, what, hint) not in seen, (
                f"a circle: {shlex.join(words)}: {what}: {hint}"
            )
            assert "unrecognized arguments" not in what or not self.followed, f"{what}: {hint}"
            seen.add((*words, what, hint))
            self.followed.append(hint)
            words = self.follow(words, what, hint, take)
            take = 0
        raise AssertionError(f"no end: {self.followed}")

    def follow(self, words: list[str], what: str, hint: str, take: int) -> list[str]:
        """Do what a hint says; return the command to run next."""
        for page in PAGE.findall(f"{what} {hint}"):
            assert Path(page).is_file(), f"{page} is not installed: {hint}"
        actions = list(self.actions(words, hint))
        assert len(actions) > take, f"nothing to do: {what}: {hint}"
        action = actions[take]
        if action.kind == "run":
            if action.instead:
                return action.words
            self.reach(action.words)
            return words
        if action.kind == "by_hand":
            assert self.by_hand, f"{what}: {hint}"
            return self.by_hand(self, words, what, hint)
        change = {
            "add": with_flags, "omit": without, "omitted": without, "replace": replaced,
        }[action.kind]  # fmt: skip
        return change(words, action.words, what)

    def actions(self, words: list[str], hint: str) -> Iterator[Action]:
        """Yield the actions that a hint proposes, in order."""
        text = PLACEHOLDER.sub(lambda found: self.answers[found[1]], hint)
        end, before = 0, None
        for token in TOKEN.finditer(text):
            between, end_before, end = text[end : token.start()], end, token.end()
            action = self.action(words, token, text)
            if (
                before is not None
                and before.kind == action.kind == "add"
                and end_before
                and NEXT.fullmatch(between)
            ):
                before.words = with_flags(before.words, action.words, "")
                continue
            if before is not None:
                yield before
            if action.kind == "add" and re.search(r"\b([Oo]mit|[Rr]emove)\b", between):
                action.kind = "omit"
            before = action
        if before is not None:
            yield before

    def action(self, words: list[str], token: re.Match[str], text: str) -> Action:
        kind = token.lastgroup or ""
        said = token[kind].rstrip(".:")
        if kind in ("quoted", "command"):
            named = shlex.split(said)
            same = named[0] == words[0] == "setup_prefix"
            return Action("run", named, instead=same or " instead" in text)
        if kind == "flag":
            flag, _, value = said.replace(" ", "=", 1).partition("=")
            value = value or self.answers.get(flag, "")
            return Action("add", [f"{flag}={value}" if value else flag])
        if kind == "first":
            return Action("run", [words[0], *shlex.split(token[kind])], instead=True)
        if kind in ("by_hand", "omitted"):
            return Action(kind, [said])
        return Action("replace", [said])


def error_of(done: Run) -> tuple[str, str]:
    """Return the error and the hint of a failed command, which come last."""
    lines = [line for line in done.stderr.splitlines() if line.startswith(" * ")]
    assert len(lines) >= 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return lines[-2][3:], lines[-1][3:]


def with_flags(words: list[str], flags: list[str], _what: str) -> list[str]:
    given = [f"{flag.partition('=')[0]}" for flag in flags]
    kept = without(words, given, "")
    flags = [part for flag in flags for part in (flag.split("=", 1) if flag[1] == "o" else [flag])]
    return [*kept, *flags]


def without(words: list[str], flags: list[str], _what: str) -> list[str]:
    names = {flag.partition("=")[0] for flag in flags}
    kept, skip = [], False
    for word in words:
        if not skip and word.partition("=")[0] not in names:
            kept.append(word)
        skip = word == "-o" and word in names
    return kept


def replaced(words: list[str], by: list[str], what: str) -> list[str]:
    """Return the command with the word that the error names replaced."""
    patterns = (r"'([^']*)'", r"(?<!\S)(/\S+)", r"(--[\w-]+)", r"(^[\w.-]+\.[a-z]+)(?=:)")
    for name in (name for pattern in patterns for name in re.findall(pattern, what)):
        for number, word in enumerate(words):
            if name == word or word.endswith(f"={name}") or word.startswith(f"{name}="):
                return [*words[:number], word.replace(name, by[0]), *words[number + 1 :]]
    raise AssertionError(f"the error does not name a word of {shlex.join(words)}: {what}")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> InUse:
    """A prefix that the tests do not change, on the machine of all of them."""
    return Machine(tmp_path_factory.mktemp("hints") / "machine").setup("there")


@pytest.fixture
def beside(there: InUse, tmp_path: Path) -> User:
    """A user of this prefix."""
    return User(there.machine, tmp_path, {"name": "there", "prefix path": "/usr/local/there"})


@pytest.fixture
def user(there: InUse, tmp_path: Path) -> Iterator[User]:
    """A user who makes other prefixes."""
    user = User(there.machine, tmp_path, {"name": "my", "prefix path": "/usr/local/my"})
    yield user
    for one in known(there.machine):
        if one["name"] != "there":
            user.run(["flatcar-prefix", "uninstall", one["staging"]["directory"]])
    for directory in (there.machine.staging("my"), there.machine.final("my")):
        shutil.rmtree(directory, ignore_errors=True)  # what a failed test leaves


def known(machine: Machine) -> list[dict[str, Any]]:
    """Return the prefixes of the machine, also broken ones."""
    found: list[dict[str, Any]] = json.loads(machine.fp("list", "--json").stdout)
    return found


class TestSetUp:
    """The hints of ``setup_prefix``."""

    @pytest.mark.parametrize(
        "line",
        [
            "setup_prefix",
            "setup_prefix there",
            "setup_prefix --bootstrap=non there /usr/local/there",
            "setup_prefix --bootstarp=none there /usr/local/there",
            "setup_prefix --board=amd64-us there /usr/local/there",
            "setup_prefix --from=lib there /usr/local/there",
            "setup_prefix --binhost-key=none there /usr/local/there",
        ],
    )
    def test_a_wrong_command_line(self, beside: User, line: str) -> None:
        beside.answers["--binhost"] = "none"
        beside.gets_there(line)

    def test_another_option_for_a_finished_prefix(self, user: User, tmp_path: Path) -> None:
        user.machine.setup("my", "--binhost=http://localhost/old", "--binhost-key=none")
        for words in (
            f"--custom-ebuild-overlays={Overlay(tmp_path / 'other', 'other').path}",
            f"--wrapper-dir={tmp_path / 'other-bin'}",
            f"--binhost=file://{tmp_path} --binhost-key=none",
        ):
            line = f"setup_prefix {words} my /usr/local/my"
            user.gets_there(line)
            count = len(user.followed)
            user.gets_there(line)
            assert len(user.followed) == count, "the hint did not bring what was asked for"
        user.gets_there("setup_prefix --from=runtime my /usr/local/my")
        user.by_hand = lambda _user, _words, _what, _hint: [
            "setup_prefix", "there", "/usr/local/there",
        ]  # fmt: skip
        user.gets_there("setup_prefix my /usr/local/other")

    def test_the_directory_of_another_prefix(self, user: User) -> None:
        staging = user.machine.setup("my").staging_dir
        line = f"setup_prefix --staging-dir={staging} other /usr/local/other"
        user.gets_there(line, take=1)

    def test_directories_that_overlap(self, user: User, there: InUse, tmp_path: Path) -> None:
        """The first answer overlaps with another prefix."""
        one = there.staging_dir / "one"
        user.answers["--staging-dir"] = str(one)
        user.answers["--final-dir"] = str(tmp_path / "own/final")
        words = shlex.split(f"setup_prefix --staging-dir={one} --final-dir={one}/x my /opt/my")
        what, hint = error_of(user.run(words))
        words = user.follow(words, what, hint, 0)
        user.answers["--staging-dir"] = str(tmp_path / "own/staging")
        assert "belongs to the prefix there" in user.run(words).stderr
        user.reach(words)

    def test_what_is_in_the_way(self, user: User, tmp_path: Path) -> None:
        final = user.machine.final("my")
        final.mkdir(parents=True)
        (final / "file").touch()
        user.answers["--staging-dir"] = str(tmp_path / "own/staging")
        user.answers["--final-dir"] = str(tmp_path / "own/final")
        user.answers["--wrapper-dir"] = str(tmp_path / "own/bin")
        user.gets_there("setup_prefix my /usr/local/my", take=1)
        user.gets_there("flatcar-prefix uninstall my")
        shutil.rmtree(final)
        wrapper = tmp_path / "own/bin/emerge-prefix-my-amd64-usr"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text("mine")
        (tmp_path / "file").touch()
        user.by_hand = self.remove
        user.gets_there(f"setup_prefix my /usr/local/my --wrapper-dir={tmp_path}/file/bin", take=1)
        assert len(user.followed) == 3

    @staticmethod
    def remove(_user: User, words: list[str], what: str, _hint: str) -> list[str]:
        """Remove the path with which an error begins."""
        path = Path(re.split(r"[: ]", what)[0])
        assert path.is_absolute(), what
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return words

    def test_a_name_that_would_mean_two(self, beside: User) -> None:
        beside.by_hand = lambda _user, words, _what, _hint: ["setup_prefix", "there", words[2]]
        beside.gets_there("setup_prefix there-amd64-usr /usr/local/there")

    def test_a_binhost_that_is_not_a_pool(self, user: User) -> None:
        user.answers["name"] = "a-pool"
        user.by_hand = self.choose_a_pool
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            user.answers["--staging-dir"] = f"{short}/staging"
            user.gets_there("setup_prefix --binhost=there my /usr/local/my")
            user.gets_there("flatcar-prefix uninstall a-pool")

    @staticmethod
    def choose_a_pool(user: User, words: list[str], _what: str, hint: str) -> list[str]:
        create = next(action for action in user.actions(words, hint) if action.kind == "run")
        user.reach(create.words)
        return [word.replace("=there", "=a-pool") for word in words]


REMAINS: dict[str, dict[str, object]] = {
    "removing": {"removing": True, "complete": False},
    "broken": {"name": 3},
    "newer": {"format": 99, "written_by": "9"},
    "deleted": {},
}
"""What can remain of a prefix: the changes of its record, or no staging directory."""


class TestRemains:
    """A prefix that is broken or half removed, as each command meets it."""

    def leave(self, prefix: InUse, how: str) -> None:
        if REMAINS[how]:
            file = prefix.staging_dir / "flatcar-prefix.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | REMAINS[how]))
        else:
            shutil.rmtree(prefix.staging_dir)

    @pytest.mark.parametrize("how", REMAINS)
    def test_each_command_leads_to_a_new_prefix(self, user: User, how: str) -> None:
        prefix = user.machine.setup("my")
        self.leave(prefix, how)
        assert [one["state"] for one in known(user.machine)] != ["complete", "complete"]
        user.gets_there("setup_prefix my /usr/local/my")
        assert [one["state"] for one in known(user.machine)] == ["complete", "complete"]
        if how in ("broken", "newer"):  # emerge's hint is that of set-up
            return
        self.leave(prefix, how)
        user.answers["its new directory"] = "nowhere"
        words = ["emerge-prefix-my-amd64-usr", "--pretend", "--quiet", "@world"]
        what, hint = error_of(user.run(words))
        (first, *_) = [one for one in user.actions(words, hint) if one.kind == "run"]
        user.reach(first.words)
        assert not prefix.wrapper("emerge").exists(), (what, hint)
        assert [one["name"] for one in known(user.machine)] == ["there"]
        assert not prefix.final_dir.exists()


class TestUninstall:
    """The hints of ``uninstall`` and of ``--uninstall``."""

    @pytest.mark.parametrize("how", ["link", "unmarked", "inside"])
    def test_directories_that_are_not_as_they_were(
        self, user: User, tmp_path: Path, how: str
    ) -> None:
        prefix = user.machine.setup("my")
        staging = prefix.staging_dir
        if how == "link":
            staging.rename(tmp_path / "moved")
            staging.symlink_to(tmp_path / "moved")
        elif how == "unmarked":
            (staging / ".flatcar-prefix").unlink()
        else:
            user.machine.setup("inner").staging_dir.rename(staging / "inner")
        user.by_hand = self.remove_by_hand
        user.gets_there("flatcar-prefix uninstall my")
        assert not prefix.final_dir.exists()
        assert [one["name"] for one in known(user.machine)] == ["there"]

    @staticmethod
    def remove_by_hand(user: User, words: list[str], _what: str, _hint: str) -> list[str]:
        staging = user.machine.staging("my")
        staging.unlink() if staging.is_symlink() else shutil.rmtree(staging)
        return words


class TestWrappers:
    """The hints of wrappers and of the verb ``wrappers``."""

    @pytest.mark.parametrize(
        "line",
        [
            "emerge-prefix-there --pretend --quiet @world --staging",
            "emerge-prefix-there --root=/x --pretend --quiet @world",
            "flatcar-prefix wrappers",
            "flatcar-prefix wrappers there --wrapper-dir=/x --list",
            "flatcar-prefix wrappers there --chek",
        ],
    )
    def test_a_wrong_command_line(self, beside: User, line: str) -> None:
        beside.by_hand = lambda _user, words, _what, _hint: [*words, "there"]
        beside.gets_there(line)

    def test_missing_wrappers(self, beside: User, there: InUse) -> None:
        there.wrapper("qlist").unlink()
        done = beside.run(["flatcar-prefix", "wrappers", "there", "--check"])
        assert done.returncode == 1
        beside.gets_there("flatcar-prefix wrappers there --check")
        assert there.wrapper("qlist").exists()

    def test_a_package_that_no_repository_has(self, beside: User) -> None:
        done = beside.run(["emerge-prefix-there", "--pretend", "app-misc/nowhere"])
        pages = PAGE.findall(done.stdout + done.stderr)
        assert pages
        assert all(Path(page).is_file() for page in pages)


class TestSysext:
    """The hints of ``sysext``."""

    @pytest.mark.parametrize(
        "line",
        [
            "sysext there -o image.img",
            "sysext there -o nowhere/image.raw",
            "sysext there -o image.raw --units",
            "sysext there -o image.raw --sysext-level=1.0",
            "sysext there -o image.raw --format=squasfs",
            "sysext there -o image.raw --exclude=/etc",
            "sysext there -o image --format=directory --compression-level=3",
        ],
    )
    def test_a_wrong_command_line(self, beside: User, line: str) -> None:
        (beside.directory / "there.img").touch()
        beside.by_hand = self.create
        beside.gets_there(f"flatcar-prefix {line}{'' if 'nowhere' in line else ' --no-verify'}")

    @staticmethod
    def create(user: User, words: list[str], what: str, _hint: str) -> list[str]:
        (found,) = re.findall(r"the directory (\S+) does not exist", what)
        Path(user.directory, found).mkdir()
        return words

    def test_a_directory_that_exists(self, beside: User) -> None:
        beside.by_hand = self.remove
        line = "flatcar-prefix sysext there --format=directory --no-verify -o image"
        beside.gets_there(line)
        beside.answers["-o"] = "other"
        beside.gets_there(line, take=1)
        beside.gets_there(line)
        assert len(beside.followed) == 2

    @staticmethod
    def remove(user: User, words: list[str], what: str, _hint: str) -> list[str]:
        shutil.rmtree(user.directory / what.split(" ")[0])
        return words

    def test_a_path_that_no_image_can_have(self, user: User) -> None:
        user.machine.setup("my", eprefix="/srv/my")
        user.by_hand = self.set_up_elsewhere
        user.gets_there("flatcar-prefix sysext my -o my.raw")

    @staticmethod
    def set_up_elsewhere(user: User, words: list[str], _what: str, hint: str) -> list[str]:
        (path,) = re.findall(r"such as at (\S+)\.", hint)
        user.gets_there(f"setup_prefix --force my {path}")
        return words

    def test_errors_of_the_audit_and_a_root_that_is_gone(self, user: User) -> None:
        prefix = user.machine.setup("my")
        bad = prefix.final / "usr/bin/bad"
        bad.parent.mkdir(parents=True, exist_ok=True)
        bad.write_text("#!/usr/local/no/interpreter\n")
        bad.chmod(0o755)
        words = shlex.split("flatcar-prefix sysext my -o my.raw")
        what, hint = error_of(user.run(words))
        assert "bad" in what
        see, skip = user.actions(words, hint)
        shown = user.run(see.words)
        assert shown.returncode == 1
        assert "/usr/local/my/usr/bin/bad" in shown.stdout
        assert user.run(with_flags(words, skip.words, "")).returncode == 0
        shutil.rmtree(prefix.final)
        user.gets_there("emerge-prefix-my --pretend --quiet @world")
        shutil.rmtree(prefix.final)
        for verb in ("sysext my", "verify my", "report my", "run my -- program"):
            said = error_of(user.run(["flatcar-prefix", *verb.split()]))
            assert said[1] == "Set it up: flatcar-prefix update my-amd64-usr"


class TestVerify:
    """The hints of ``verify``."""

    @pytest.mark.parametrize(
        ("line", "take"),
        [
            ("", 0),
            ("", 1),
            ("there --staging --directory={final}/root", 0),
            ("there --eprefix=/usr/local/there", 1),
            ("--eprefix=/usr/local/there", 0),
            ("--as-shipped --directory={final}/root --eprefix=/usr/local/there", 0),
            ("there --forbid=relative", 0),
            ("--directory={final} --eprefix=/usr/local/there", 0),
        ],
    )
    def test_a_wrong_command_line(self, beside: User, there: InUse, line: str, take: int) -> None:
        final = there.final_dir
        beside.answers |= {"--directory": f"{final}/root", "--eprefix": "/usr/local/there"}
        beside.by_hand = self.do
        beside.gets_there(f"flatcar-prefix verify {line.format(final=final)}", take=take)

    @staticmethod
    def do(user: User, words: list[str], _what: str, hint: str) -> list[str]:
        if hint.startswith("Pass the name"):
            return [*words[:2], "there"]
        if hint.startswith("Pass the directory"):
            return [*words[:2], f"--directory={user.answers['--directory']}", words[-1]]
        return [word.replace("=relative", "=/absolute") for word in words]


class TestNames:
    """The hints for names of prefixes and of verbs."""

    @pytest.mark.parametrize(
        "line",
        [
            "flatcar-prefix show theer",
            "flatcar-prefix shwo there",
            "flatcar-prefix show there --jsn",
            "flatcar-prefix show there --env=stagin",
            "flatcar-prefix show there --board=amd64",
            "flatcar-prefix show /nowhere",
            "flatcar-prefix clean there",
            "flatcar-prefix clean there --json",
            "flatcar-prefix overlays there remove nothing-here",
            "flatcar-prefix binhost there remove nothing-here",
        ],
    )
    def test_a_wrong_command_line(self, beside: User, line: str) -> None:
        beside.by_hand = lambda _user, words, _what, _hint: [*words[:-1], "there"]
        beside.gets_there(line)

    def test_a_machine_without_a_prefix(self, machine: Machine, tmp_path: Path) -> None:
        """The command in this hint is one that the tests of the set-up run."""
        _, hint = error_of(User(machine, tmp_path).run(["flatcar-prefix", "show", "my"]))
        assert hint == "Create it: setup_prefix <name> <prefix path>."

    def test_a_path_of_two_prefixes_and_a_wrong_one(self, user: User) -> None:
        user.machine.setup("my", eprefix="/usr/local/there")
        user.gets_there("flatcar-prefix show /usr/local/there")
        user.gets_there("setup_prefix --uninstall my /usr/local/other")
        assert not user.machine.staging("my").exists()
