# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# The messages of gentoo-functions, for scripts that source lib/gentoo/functions.sh on a
# build host that is not Gentoo.

einfo() { printf ' * %s\n' "$*"; }
einfon() { printf ' * %s' "$*"; }
ewarn() { printf ' * %s\n' "$*" >&2; }
eerror() { printf ' * %s\n' "$*" >&2; }
ebegin() { printf ' * %s ...\n' "$*"; }
eend() {
	_code=${1:-0}
	[ $# -eq 0 ] || shift
	if [ "${_code}" -ne 0 ] && [ $# -gt 0 ]; then
		eerror "$*"
	fi
	return "${_code}"
}
ewend() { eend "$@"; }
eindent() { :; }
eoutdent() { :; }
veinfo() { [ -z "${EINFO_VERBOSE-}" ] || einfo "$@"; }
yesno() {
	case ${1-} in
		[Yy][Ee][Ss] | [Tt][Rr][Uu][Ee] | [Oo][Nn] | 1) return 0 ;;
		*) return 1 ;;
	esac
}
die() {
	eerror "${*:-stopped}"
	exit 1
}
