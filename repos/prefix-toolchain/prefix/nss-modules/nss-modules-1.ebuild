# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Modules for users, groups, services and hosts of immutable systems"
HOMEPAGE="https://www.flatcar.org/"
S="${WORKDIR}"

LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

# The C library reads the machine's nsswitch.conf and loads the modules that it names from the
# prefix. These have the names of modules that are in use on machines, and read the same places:
#   usrfiles    Flatcar's /usr/share/baselayout, and openSUSE's /usr/etc
#   altfiles    /usr/lib of Fedora CoreOS and its relatives
#   systemd     the user database, by Varlink; where systemd-userdbd runs, it also has the users
#               of all modules of the machine, such as sss
#   myhostname  the machine's name and localhost
# Without a module for resolve, the C library asks the servers of resolv.conf (dns), which
# systemd-resolved provides as well.

# @FUNCTION: compile_module
# @USAGE: <service> <source file> [preprocessor flags]
compile_module() {
	local name=$1 source=$2
	shift 2
	set -- ${CC:-${CHOST}-gcc} ${CPPFLAGS} ${CFLAGS} ${LDFLAGS} -std=gnu11 -fPIC -shared \
		-fvisibility=hidden -DMODULE="${name}" "$@" -Wl,-soname,"libnss_${name}.so.2" \
		-o "${T}/libnss_${name}.so.2" "${FILESDIR}/${source}"
	echo "$@"
	"$@" || die "cannot compile ${source}"
}

src_compile() {
	compile_module usrfiles files.c -DDIRECTORIES='"/usr/share/baselayout","/usr/etc"'
	compile_module altfiles files.c -DDIRECTORIES='"/usr/lib"'
	compile_module systemd userdb.c
	compile_module myhostname myhostname.c
}

src_install() {
	dolib.so "${T}"/libnss_*.so.2
}
