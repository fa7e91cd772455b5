# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Functions of the scripts that run on the console of the machine. Each check prints a line
# "ok NAME" or "not ok NAME", and the output of a failed command.

OUTPUT=/run/scenario.output

# check NAME COMMAND ...: passes if the command succeeds.
check() {
	name=$1
	shift
	if "$@" >"${OUTPUT}" 2>&1; then
		echo "ok ${name}"
	else
		echo "not ok ${name} (exit code $?)"
		sed 's/^/# /' "${OUTPUT}"
	fi
}

# refused NAME COMMAND ...: passes if the command fails.
refused() {
	name=$1
	shift
	if "$@" >"${OUTPUT}" 2>&1; then
		echo "not ok ${name} (it succeeded)"
		sed 's/^/# /' "${OUTPUT}"
	else
		echo "ok ${name}"
	fi
}

says() {
	wanted=$1
	shift
	said=$("$@" 2>&1) || { echo "exit code $?: ${said}"; return 1; }
	[ "${said}" = "${wanted}" ] || { echo "it printed: ${said}"; return 1; }
}
