# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Runs on the console of the machine at each boot, as root. /mnt has the files of the test.
set -u
. /mnt/checks.sh

HELLO=/usr/local/shipped/usr/bin/hello
DATA=/usr/local/shipped/usr/share/hello/version
STATE=/var/lib/scenario

merged() { systemd-sysext status --no-pager | grep -q -w -- "$1"; }
hello() { says "hello from the prefix" "${HELLO}"; }
version() { says "$1" cat "${DATA}"; }
as_user() { says "hello from the prefix" su - core -c "${HELLO}"; }
user_id() { [ "$(su - core -c 'id -u')" != 0 ]; }

# Runs a command line as a service with the confinement that services have.
as_service() {
	cat >/run/systemd/system/trial.service <<-UNIT
		[Service]
		Type=oneshot
		DynamicUser=yes
		ProtectSystem=strict
		ProtectHome=yes
		PrivateTmp=yes
		ExecStart=$1
	UNIT
	systemctl daemon-reload
	systemctl start trial.service || {
		journalctl --no-pager -n 20 -u trial.service
		return 1
	}
}

# The service of the image's unit runs the program of the prefix.
unit_active() {
	for try in 1 2 3 4 5 6 7 8 9 10; do
		if systemctl -q is-active hello.service; then
			pid=$(systemctl show -P MainPID hello.service)
			[ "$(readlink "/proc/${pid}/exe")" = "${HELLO}" ] && return
		fi
		sleep 1
	done
	echo "try ${try}"
	systemctl --no-pager status hello.service
	return 1
}

files_of_system() { find /usr /opt -xdev 2>/dev/null | sort | cksum; }

# The programs of a portable Python, if the test has one.
python() {
	[ -e /mnt/python.raw ] || return 0
	py=$(cat /mnt/python.program)
	check "$1: python is merged" merged python
	check "$1: python runs as root" "${py}" -c 'import ssl, sqlite3, ctypes, zlib'
	check "$1: python runs as a user" su - core -c "${py} -c 'import ssl, sqlite3, json'"
	check "$1: python runs as a service" as_service "${py} -c 'import ssl, hashlib, socket'"
}

first_boot() {
	check "first boot: the image is merged" merged hello
	refused "first boot: an image for another system is not merged" merged alien
	refused "first boot: /usr is read-only" touch /usr/new
	check "first boot: the program runs as root" hello
	check "first boot: the version is the first" version 1
	check "first boot: core is a user" user_id
	check "first boot: the program runs as a user" as_user
	check "first boot: the program runs as a service" as_service "${HELLO}"
	check "first boot: the unit of the image is active" unit_active
	python "first boot"

	check "refresh: nothing changes" systemd-sysext refresh
	check "refresh: the program runs" hello
	check "unmerge: it succeeds" systemd-sysext unmerge
	refused "unmerge: the program is gone" test -e "${HELLO}"
	before=$(files_of_system)
	check "merge: it succeeds" systemd-sysext merge
	check "merge: the program runs" hello
	check "unmerge again: it succeeds" systemd-sysext unmerge
	check "unmerge again: the system is as it was" says "${before}" files_of_system

	rm -rf /etc/extensions/hello.raw
	sh /mnt/on-target /mnt/hello.raw "${HELLO}" >"${STATE}/on-target"
	check "on-target: it passes" test "$?" = 0
	sed 's/^/# /' "${STATE}/on-target"

	mkdir -p /var/lib/extensions
	cp /mnt/hello-2.raw /var/lib/extensions/hello.raw
	check "update: refresh succeeds" systemd-sysext refresh
	check "update: the version is the second" version 2
}

second_boot() {
	check "restart: the image is merged" merged hello
	check "restart: the version is the second" version 2
	check "restart: the program runs as a user" as_user
	check "restart: the program runs as a service" as_service "${HELLO}"
	check "restart: the unit of the image is active" unit_active
	python restart
	check "removal: the image can be removed" rm /var/lib/extensions/hello.raw
	check "removal: refresh succeeds" systemd-sysext refresh
	refused "removal: the program is gone" test -e "${HELLO}"
	refused "removal: the program does not run" "${HELLO}"
}

uname -sr
systemctl --version | head -n 1
if [ ! -d "${STATE}" ]; then
	mkdir -p "${STATE}"
	first_boot
	exit 77
fi
second_boot
echo "the scenario is complete"
