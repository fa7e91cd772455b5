# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Merges images under a policy that wants signatures.

HELLO=/usr/local/shipped/usr/bin/hello
POLICY=root=signed+absent:usr=signed+absent
PLACE=/run/extensions

# Merges the image and reads all its files, which dm-verity checks when they are read.
merge() {
	mkdir -p "${PLACE}"
	cp "/mnt/$1" "${PLACE}/hello.raw"
	systemd-sysext "--image-policy=${POLICY}" merge || return
	[ -e "${HELLO}" ] || return
	find /usr/local/shipped -type f -exec cat {} + >/dev/null
}

unmerge() {
	systemd-sysext unmerge
	rm -f "${PLACE}/hello.raw"
	[ ! -e "${HELLO}" ]
}

trust() {
	mkdir -p /etc/verity.d
	cp /mnt/mine.crt /etc/verity.d/
}

refused "an image is refused before its certificate is trusted" merge signed.raw
check "nothing is merged" unmerge
check "the certificate can be trusted" trust
for form in signed signed-erofs; do
	check "${form}: a signed image is merged" merge "${form}.raw"
	check "${form}: its program runs" says "hello from the prefix" "${HELLO}"
	check "${form}: its file system is protected by dm-verity" grep -q verity /sys/block/dm-0/dm/uuid
	check "${form}: it can be unmerged" unmerge
done
for wrong in plain other-key altered; do
	refused "${wrong}: the image is refused" merge "${wrong}.raw"
	check "${wrong}: nothing is merged" unmerge
done
