# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

MY_P="systemd-${PV}"

DESCRIPTION="systemd's library that finds devices in the database of the target's own udev"
HOMEPAGE="https://systemd.io/"
SRC_URI="https://github.com/systemd/systemd/archive/refs/tags/v${PV}.tar.gz -> ${MY_P}.tar.gz"
S="${WORKDIR}/${MY_P}"

LICENSE="LGPL-2.1+"
SLOT="0/1"
KEYWORDS="amd64 arm64"
# The tests need a running udev.
RESTRICT="test"

DEPEND="
	sys-libs/libcap
	virtual/libc
"
RDEPEND="
	${DEPEND}
	!sys-apps/systemd
	!sys-apps/systemd-utils[udev]
"
BDEPEND="
	dev-build/meson
	dev-build/ninja
	dev-util/gperf
"

src_prepare() {
	default

	# Only programs and other libraries need these.
	sed -i -e "s/^\(python = .*\), modules : \['jinja2'\])/\1)/" \
		-e "s/^\(libmount = dependency('mount',\)/\1 required : false,/" \
		-e "s/cc.find_library('crypt')/cc.find_library('crypt', required : false)/" meson.build || die
	# Of systemd's shared code it calls two files; the linker drops what these do not need. All of
	# the code would need util-linux.
	sed -i "/^libudev = shared_library(/,/^)/{
		s/\[libsystemd_static, libshared_static\]/[libsystemd_static]/
		s/'-shared',/'-shared', '-Wl,--gc-sections',/
	}" meson.build || die
	local more="'../shared/device-nodes.c', '../shared/udev-util.c'"
	sed -i "s|^        libudev_sources,\$|        libudev_sources + files(${more}),|" \
		src/libudev/meson.build || die
}

src_configure() {
	# make.conf sets FLATCAR_PREFIX_MESON_CROSS: the prefix's compiler and libraries.
	set -- meson setup "${WORKDIR}/build" . \
		--cross-file "${FLATCAR_PREFIX_MESON_CROSS}" \
		--buildtype plain \
		--auto-features disabled \
		--prefix "${EPREFIX}/usr" \
		--libdir "$(get_libdir)" \
		-Dmode=release \
		-Dversion-tag="${PV}"
	echo "$@"
	"$@" || die
}

src_compile() {
	meson compile -C "${WORKDIR}/build" -v udev:shared_library || die
}

# @FUNCTION: new_pc
# @USAGE: <name> <description> [line...]
# @DESCRIPTION:
# Install a file for pkg-config. Those of the source are templates for a module of Python.
new_pc() {
	insinto "/usr/$(get_libdir)/pkgconfig"
	printf '%s\n' "prefix=${EPREFIX}/usr" "Name: $1" "Description: $2" "Version: ${PV%%.*}" "${@:3}" \
		| newins - "$1.pc" || die
}

src_install() {
	local library
	library=$(readlink -f "${WORKDIR}/build/libudev.so.1") || die
	dolib.so "${library}"
	dosym "${library##*/}" "/usr/$(get_libdir)/libudev.so.1"
	dosym libudev.so.1 "/usr/$(get_libdir)/libudev.so"
	doheader src/libudev/libudev.h
	new_pc libudev "Library to access udev device information" \
		"Libs: -L\${prefix}/$(get_libdir) -ludev" 'Cflags: -I${prefix}/include'
	new_pc udev "udev" 'udevdir=${prefix}/lib/udev' 'udev_dir=${udevdir}'
}
