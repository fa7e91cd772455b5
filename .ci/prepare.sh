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
	say "installing ${packages[*]}"
	{
		apt-get -q update
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${packages[@]}"
	} >"${TOP}/.apt.log" 2>&1 || stop \
		"apt-get could not install ${packages[*]}" "See ${TOP}/.apt.log."
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

# Makes the virtual environment with this project and extras of its setup.py, such as
# [test]; does nothing where that was done for this setup.py, with these extras or more.
make_venv() {
	local extras=$1 python wanted stamp=${VENV}/.flatcar-prefix
	python=$(find_python)
	"${python}" -c "${NEW_ENOUGH}" 2>/dev/null || stop \
		"Python 3.10 or newer is missing" "Install it, or name it: PYTHON=python3.11 $0"
	wanted="$(cksum <"${TOP}/setup.py") $("${python}" -V) ${extras}"
	[[ -e ${stamp} && $(<"${stamp}") == "${wanted}"* ]] && return 0

	say "making the virtual environment ${VENV}, with this project and Portage"
	"${python}" -m venv "${VENV}" || stop \
		"the virtual environment cannot be made" "Remove ${VENV} and try again."
	"${VENV}/bin/pip" --disable-pip-version-check -qq install -e "${TOP}${extras}" || stop \
		"pip could not install what is needed" "See above; is there a network?"
	printf '%s\n' "${wanted}" >"${stamp}"
}
