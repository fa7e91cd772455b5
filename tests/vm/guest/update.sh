# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Updates of an image with systemd-sysupdate, from a web server on the loopback interface.
# /mnt/www has one directory for each state of the server.

SERVER=/run/www
IMAGES=/var/lib/extensions.d/hello
DATA=/usr/local/shipped/usr/share/hello/version
PATH=${PATH}:/usr/lib/systemd

serve() {
	mkdir -p "${SERVER}"
	rm -rf "${SERVER:?}"/*
	cp "/mnt/www/$1"/* "${SERVER}"
}

version() { says "$1" cat "${DATA}"; }
installed() { says "$1" sh -c "cd ${IMAGES} && echo *"; }
update() { systemd-sysupdate -C hello update; }
updated() { update && systemd-sysext refresh; }
new_version() { [ "$(systemd-sysupdate -C hello check-new 2>/dev/null)" = "$1" ]; }

# Other checks of this machine use the image by its name.
clean() {
	systemd-sysext unmerge
	rm -rf "${IMAGES}" /etc/extensions/hello.raw
}

serve 1
/mnt/busybox httpd -p 127.0.0.1:8000 -h "${SERVER}"
mkdir -p /etc/sysupdate.hello.d
cp /mnt/www/1/hello.transfer /etc/sysupdate.hello.d/
refused "update: nothing is installed without the public key" update
cp /mnt/import-pubring.gpg /etc/systemd/
rm -rf /etc/extensions
refused "update: the link needs /etc/extensions" update
mkdir -p /etc/extensions
rm -rf "${IMAGES}"
check "update: version 1 is installed" updated
check "update: version 1 is merged" version 1
services

serve 2
check "update: version 2 is available" new_version 2
check "update: version 2 is installed while version 1 is merged" updated
check "update: version 2 is merged" version 2

check "rollback: the link can lead to version 1" \
	ln -sfn "${IMAGES}/hello-1-x86-64.raw" /etc/extensions/hello.raw
check "rollback: refresh succeeds" systemd-sysext refresh
check "rollback: version 1 is merged" version 1
check "rollback: an update without a new version keeps it" updated
check "rollback: version 1 is still merged" version 1

for wrong in other-key altered; do
	serve "${wrong}"
	refused "update: ${wrong}: the version is refused" update
	check "update: ${wrong}: it is not installed" \
		installed "hello-1-x86-64.raw hello-2-x86-64.raw"
	systemd-sysext refresh
	check "update: ${wrong}: version 1 stays merged" version 1
done

serve 3
check "update: version 3 follows a rollback" updated
check "update: version 3 is merged" version 3
serve 4
check "update: version 4 is installed" updated
check "update: version 4 is merged" version 4
check "update: three versions stay" \
	installed "hello-2-x86-64.raw hello-3-x86-64.raw hello-4-x86-64.raw"
clean
