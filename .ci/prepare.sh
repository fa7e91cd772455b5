# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Functions that install the missing requirements of this project. ../quickstart,
# ../run-tests and run source this file.

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${TOP}/.venv

# Each entry is a program and its Debian package. doctor and setup_prefix read the same file.
# shellcheck disable=SC2034  # the scripts that source this file use it
mapfile -t BUILD_PROGRAMS < <(
	awk '!/^#/ { print $1 ":" $2 }' "${TOP}/flatcar_prefix/system/build-programs"
)
# shellcheck disable=SC2034
TEST_PROGRAMS=(
	mkfs.erofs:erofs-utils mke2fs:e2fsprogs mkfs.btrfs:btrfs-progs
	systemd-sysext:systemd qemu-aarch64-static:qemu-user-static
	aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu
	debootstrap:debootstrap busybox:busybox-static sudo:sudo shellcheck:shellcheck
	git:git cmake:cmake clang:clang strace:strace meson:meson ninja:ninja-build
	openssl:openssl sfdisk:fdisk veritysetup:cryptsetup-bin systemd-dissect:systemd-container
	qemu-system-x86_64:qemu-system-x86 gpg:gpg gpgv:gpgv gpg-agent:gpg-agent
	softhsm2-util:softhsm2 pkcs11-tool:opensc
	"/usr/lib/$(uname -m)-linux-gnu/engines-3/pkcs11.so:libengine-pkcs11-openssl"
	/usr/bin/cargo:cargo /usr/bin/go:golang-go sshd:openssh-server nginx:nginx-light rsync:rsync
	autoconf:autoconf aclocal:automake gdb:gdb groff:groff-base zsh:zsh fish:fish ccache:ccache distccd:distcc
	chromium-headless-shell:chromium-headless-shell
)

say() {
	if [[ -t 1 ]]; then
		printf '\033[32;01m * \033[0m%s\n' "$*"
	else
		printf ' * %s\n' "$*"
	fi
}

# Prints the problem and a hint, and exits.
stop() {
	printf ' * %s\n * %s\n' "$1" "$2" >&2
	exit 1
}

# Prints the number of test processes. Many tests wait for other processes, so there are more than
# processors.
test_processes() {
	echo $(($(nproc) * 3 / 2))
}

# Runs a slow command with its output in a log, and shows progress:
#   with_progress <description> <log> <command> [argument ...]
with_progress() {
	local what=$1 log=$2 started=${SECONDS} code=0 child
	shift 2
	say "${what}; log: ${log}"
	"$@" >"${log}" 2>&1 &
	child=$!
	# A background child of a shell ignores SIGINT from the terminal, so end it here.
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

# Updates a line on a terminal; elsewhere, prints a line every half minute.
alive() {
	if [[ -t 1 ]]; then
		printf '\r\033[K   %s, %d s' "$1" "$2"
	elif (($2 && $2 % 30 == 0)); then
		say "$1, $2 s"
	fi
}

# Prints the packages of the programs that are not installed.
missing_packages() {
	local entry path=${PATH}:/usr/local/sbin:/usr/sbin:/sbin
	for entry in "$@"; do
		[[ ${entry} == /* && -e ${entry%%:*} ]] || PATH=${path} command -v "${entry%%:*}" >/dev/null ||
			printf '%s\n' "${entry#*:}"
	done
}

# Installs the packages of the given programs, and those of missing files.
install_packages() {
	local -a packages
	mapfile -t packages < <(missing_packages "$@")
	[[ -e /usr/include/stdio.h ]] || packages+=(libc6-dev)
	[[ -e /usr/include/linux/version.h ]] || packages+=(linux-libc-dev)
	"$(find_python)" -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
	((${#packages[@]})) || return 0

	command -v apt-get >/dev/null || stop \
		"packages are missing, and apt-get is not available: ${packages[*]}" \
		"Install them with this system's package manager, then run this again."
	[[ ${EUID} == 0 ]] || stop \
		"packages are missing: ${packages[*]}" \
		"Run as root: apt-get install ${packages[*]}; then run this again."
	with_progress "installing ${packages[*]}" "${TOP}/.apt.log" apt_install "${packages[@]}" || stop \
		"apt-get could not install ${packages[*]}" "Read ${TOP}/.apt.log."
}

apt_install() {
	apt-get -q update &&
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

# Prints the Python to use: the value of PYTHON, or the first one that is new enough and that
# every user can run, because ordinary users run wrappers, too.
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

# Succeeds if every user can run a Python: all directories of its path are searchable.
is_reachable() {
	local path
	path=$("$1" -c 'import os, sys; print(os.path.realpath(sys.executable))') || return
	while [[ ${path} != / ]]; do
		[[ -n $(find "${path}" -maxdepth 0 -perm -o=x) ]] || return
		path=$(dirname -- "${path}")
	done
}

# Creates the virtual environment with this project and extras of its pyproject.toml, such as
# [test]. Does nothing if it is up to date and has at least these extras.
make_venv() {
	local extras=$1 python wanted stamp=${VENV}/.flatcar-prefix
	python=$(find_python)
	"${python}" -c "${NEW_ENOUGH}" 2>/dev/null || stop \
		"Python 3.10 or newer is missing" "Install it, or choose it: PYTHON=python3.11 $0"
	wanted="$(cat "${TOP}/setup.py" "${TOP}/pyproject.toml" | cksum) $("${python}" -V) ${extras}"
	[[ -e ${stamp} && $(<"${stamp}") == "${wanted}"* ]] && return 0

	with_progress "creating the virtual environment ${VENV}, with this project and Portage" \
		"${TOP}/.venv.log" fill_venv "${python}" "${extras}" || stop \
		"creating the virtual environment ${VENV} failed" \
		"Read ${TOP}/.venv.log, and check the network."
	printf '%s\n' "${wanted}" >"${stamp}"
}

# Replaces an environment of another Python. In the mode "compat", a path file in site-packages
# names the checkout; the default mode is an import finder, which slows every start.
fill_venv() {
	local -a fresh=()
	[[ "${VENV}/bin/python3" -ef "$(type -P "$1")" ]] || fresh=(--clear)
	"$1" -m venv "${fresh[@]}" "${VENV}" &&
		"${VENV}/bin/pip" --disable-pip-version-check -q install \
			--config-settings editable_mode=compat -e "${TOP}$2"
}
