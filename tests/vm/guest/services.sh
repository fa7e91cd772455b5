# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Services of an image, for update.sh, while the image is merged and after an update.

UNIT=hello.service

# Waits until the service runs.
active() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		systemctl -q is-active "${UNIT}" && return
		sleep 1
	done
	systemctl --no-pager status "${UNIT}" sysext-hello.service
	return 1
}

pid() { systemctl show -P MainPID "${UNIT}"; }

restarted() {
	before=$(pid)
	systemctl restart sysext-hello.service && active && [ "$(pid)" != "${before}" ]
}

stopped() {
	systemctl mask --runtime --now "${UNIT}" sysext-hello.service || return
	sleep 2
	! systemctl -q is-active "${UNIT}" && systemd-sysext unmerge &&
		systemctl unmask --runtime "${UNIT}" sysext-hello.service &&
		! systemctl -q is-active "${UNIT}"
}

merged_again() { systemd-sysext merge && active; }

services() {
	check "services: the service of the image is active" active
	check "services: its user was made" getent passwd hello
	check "services: its directory was made" test -d /var/lib/hello
	check "services: one unit restarts them" restarted
	check "services: they can be stopped before unmerging" stopped
	check "services: merging starts them again" merged_again
}
