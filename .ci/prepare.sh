# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Installs what this project needs, where it is missing. Sourced by ../quickstart,
# ../run-tests and run; nothing happens until a function is called.

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${TOP}/.venv

# A program, and the Debian package that has it.
# shellcheck disable=SC2034  # used by those who source this
BUILD_PROGRAMS=(
	gcc:gcc g++:g++ make:make ld:binutils patch:patch file:file gawk:gawk bison:bison
	m4:m4 perl:perl xz:xz-utils bzip2:bzip2 pkg-config:pkg-config bwrap:bubblewrap
	mksquashfs:squashfs-tools setpriv:util-linux scanelf:pax-utils tic:ncurses-bin
)
# shellcheck disable=SC2034
TEST_PROGRAMS=(
	mkfs.erofs:erofs-utils mke2fs:e2fsprogs mkfs.btrfs:btrfs-progs
	systemd-sysext:systemd qemu-aarch64-static:qemu-user-static
	aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu
	debootstrap:debootstrap busybox:busybox-static sudo:sudo shellcheck:shellcheck
	git:git cmake:cmake clang:clang strace:strace meson:meson ninja:ninja-build
	autoconf:autoconf gdb:gdb
)

say() {
	if [[ -t 1 ]]; then
		printf '\033[32;01m * \033[0m%s\n' "$*"
	else
		printf ' * %s\n' "$*"
	fi
}

# Says what is wrong and what to do, and stops.
stop() {
	printf ' * %s\n * %s\n' "$1" "$2" >&2
	exit 1
}

# Runs a command that takes a while, its output in a log, and shows that it is alive:
#   with_progress <what it does> <log> <command> [argument ...]
with_progress() {
	local what=$1 log=$2 started=${SECONDS} code=0 child
	shift 2
	say "${what}; log: ${log}"
	"$@" >"${log}" 2>&1 &
	child=$!
	# The shell has told it to ignore what comes from the keyboard.
	trap 'kill "${child}" 2>/dev/null || :; exit 130' INT TERM
	while kill -0 "${child}" 2>/dev/null; do
		alive "${what}" $((SECONDS - started))
		sleep 1
	done
	[[ ! -t 1 ]] || printf '\r\033[K'
	wait "${child}" || code=$?
	trap - INT TERM
	return "${code}"
}

# On a terminal in a line that changes, else every half minute.
alive() {
	if [[ -t 1 ]]; then
		printf '\r\033[K   %s, %d s' "$1" "$2"
	elif (($2 && $2 % 30 == 0)); then
		say "$1, $2 s"
	fi
}

# Prints the packages of those programs that are not here.
missing_packages() {
	local entry path=${PATH}:/usr/local/sbin:/usr/sbin:/sbin
	for entry in "$@"; do
		PATH=${path} command -v "${entry%%:*}" >/dev/null || printf '%s\n' "${entry#*:}"
	done
}

# Installs the packages of the programs given, and those for which a file is missing.
install_packages() {
	local -a packages
	mapfile -t packages < <(missing_packages "$@")
	[[ -e /usr/include/stdio.h ]] || packages+=(libc6-dev)
	[[ -e /usr/include/linux/version.h ]] || packages+=(linux-libc-dev)
	"$(find_python)" -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
	((${#packages[@]})) || return 0

	command -v apt-get >/dev/null || stop \
		"these are missing, and there is no apt-get to install them: ${packages[*]}" \
		"Install them by this system's package manager, then run this again."
	[[ ${EUID} == 0 ]] || stop \
		"these packages are missing: ${packages[*]}" \
		"As root: apt-get install ${packages[*]}; then run this again."
	with_progress "installing ${packages[*]}" "${TOP}/.apt.log" apt_install "${packages[@]}" || stop \
		"apt-get could not install ${packages[*]}" "See ${TOP}/.apt.log."
}

apt_install() {
	apt-get -q update &&
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

# Prints the Python to use: the one that PYTHON names; else the first of those here that is
# new enough and that every user can reach, since wrappers are for ordinary users, too.
find_python() {
	local candidate usable=
	[[ -z ${PYTHON-} ]] || { printf '%s\n' "${PYTHON}"; return; }
	for candidate in python3 /usr/bin/python3 python3.{13,12,11,10}; do
		"${candidate}" -c "${NEW_ENOUGH}" 2>/dev/null || continue
		usable=${usable:-${candidate}}
		! is_reachable "${candidate}" || { usable=${candidate}; break; }
	done
	printf '%s\n' "${usable:-python3}"
}

NEW_ENOUGH='import sys; sys.exit(sys.version_info < (3, 10))'

# Whether a Python and what it is made of can be reached by every user.
is_reachable() {
	local path
	path=$("$1" -c 'import os, sys; print(os.path.realpath(sys.executable))') || return
	while [[ ${path} != / ]]; do
		[[ -n $(find "${path}" -maxdepth 0 -perm -o=x) ]] || return
		path=$(dirname -- "${path}")
	done
}

# Makes the virtual environment with this project and extras of its pyproject.toml, such as
# [test]; does nothing where that was done for these files, with these extras or more.
make_venv() {
	local extras=$1 python wanted stamp=${VENV}/.flatcar-prefix
	python=$(find_python)
	"${python}" -c "${NEW_ENOUGH}" 2>/dev/null || stop \
		"Python 3.10 or newer is missing" "Install it, or name it: PYTHON=python3.11 $0"
	wanted="$(cat "${TOP}/setup.py" "${TOP}/pyproject.toml" | cksum) $("${python}" -V) ${extras}"
	[[ -e ${stamp} && $(<"${stamp}") == "${wanted}"* ]] && return 0

	with_progress "making the virtual environment ${VENV}, with this project and Portage" \
		"${TOP}/.venv.log" fill_venv "${python}" "${extras}" || stop \
		"the virtual environment could not be made" "See ${TOP}/.venv.log; is there a network?"
	printf '%s\n' "${wanted}" >"${stamp}"
}

# An environment of another Python is replaced, not mixed. In the mode "compat" a path in
# site-packages leads to the checkout; the default is a finder that every start pays for.
fill_venv() {
	local -a fresh=()
	[[ "${VENV}/bin/python3" -ef "$(type -P "$1")" ]] || fresh=(--clear)
	"$1" -m venv "${fresh[@]}" "${VENV}" &&
		"${VENV}/bin/pip" --disable-pip-version-check -q install \
			--config-settings editable_mode=compat -e "${TOP}$2"
}
