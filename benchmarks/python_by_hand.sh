#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Measures ./configure && make && make install of Python and the libraries that it needs, one
# after the other with the machine's compiler, for comparison with dev-lang/python in a prefix.
#   python_by_hand.sh [distfiles [jobs]]
set -euo pipefail

DISTDIR=$(realpath -- "${1:-/var/cache/flatcar-prefix/distfiles}")
JOBS=${2:-2}
WORK=$(mktemp -d)
trap 'rm -rf "${WORK}"' EXIT
PREFIX=${WORK}/installed

export CFLAGS="-O2 -pipe" CXXFLAGS="-O2 -pipe" LDFLAGS="-L${PREFIX}/lib -Wl,-rpath,${PREFIX}/lib"
export CPPFLAGS="-I${PREFIX}/include" PKG_CONFIG_PATH=${PREFIX}/lib/pkgconfig
export LD_LIBRARY_PATH=${PREFIX}/lib
TIMEFORMAT="%R %U %S"

# Unpacks a tarball and enters it, or a directory of it.
enter() {
	mkdir -p "${WORK}/$1"
	tar -C "${WORK}/$1" --strip-components=1 --no-same-owner -xf "${DISTDIR}/$2"
	cd "${WORK}/$1/${3-}"
}

by_autoconf() {
	./configure --prefix="${PREFIX}" "$@"
	make -j"${JOBS}"
	make install
}

# Runs a build quietly and prints its elapsed seconds, then its processor seconds.
measure() {
	local name=$1 log=${WORK}/$1.log
	if ! { time "build_${name}" >"${log}" 2>&1; } 2>"${WORK}/time"; then
		tail -n 20 "${log}" >&2
		exit 1
	fi
	awk -v name="${name}" '{ printf "%-10s %7.1f s  %7.1f s\n", name, $1, $2 + $3 }' "${WORK}/time"
	cat "${WORK}/time" >>"${WORK}/times"
}

build_zlib() {
	enter zlib zlib-1.2.13.dfsg.tar.bz2
	by_autoconf
}
build_bzip2() {
	enter bzip2 bzip2-1.0.8.tar.gz
	make -j"${JOBS}" CFLAGS="${CFLAGS} -fPIC" bzip2 libbz2.a
	make PREFIX="${PREFIX}" install
}
build_xz() {
	enter xz xz-utils-5.4.1.tar.xz
	by_autoconf --disable-static --disable-doc
}
build_libffi() {
	enter libffi libffi-3.4.4.tar.gz
	by_autoconf --disable-static --disable-docs --disable-multi-os-directory
}
build_expat() {
	enter expat expat-2.5.0-tag.tar.gz expat
	cmake -B build -DCMAKE_INSTALL_PREFIX="${PREFIX}" -DCMAKE_INSTALL_LIBDIR=lib \
		-DEXPAT_BUILD_TESTS=OFF -DEXPAT_BUILD_EXAMPLES=OFF -DEXPAT_BUILD_TOOLS=OFF
	cmake --build build -j"${JOBS}"
	cmake --install build
}
build_ncurses() {
	enter ncurses ncurses-6.4.tar.gz
	by_autoconf --with-shared --without-normal --without-debug --without-ada --without-cxx \
		--without-cxx-binding --without-manpages --without-progs --without-tests \
		--enable-widec --enable-overwrite --disable-db-install
}
build_readline() {
	enter readline readline-8.2.tar.gz
	./configure --prefix="${PREFIX}" --disable-static --with-curses
	make -j"${JOBS}" SHLIB_LIBS=-lncursesw
	make SHLIB_LIBS=-lncursesw install
}
build_sqlite() {
	enter sqlite sqlite-3.40.1-tree.tar.xz
	by_autoconf --disable-static --disable-tcl --disable-readline --enable-all
}
build_openssl() {
	enter openssl openssl-3.0.20.tar.gz
	./Configure --prefix="${PREFIX}" --libdir=lib shared no-tests
	make -j"${JOBS}"
	make install_sw install_ssldirs
}
build_python() {
	enter python Python-3.11.2.tgz
	by_autoconf --enable-shared --disable-test-modules --with-system-expat --with-system-ffi \
		--with-openssl="${PREFIX}" --enable-loadable-sqlite-extensions
	"${PREFIX}/bin/python3" -c \
		'import ssl, sqlite3, ctypes, lzma, bz2, zlib, readline, curses, hashlib'
}

printf '%-10s %9s  %9s\n' "" clock processor
for name in zlib bzip2 xz libffi expat ncurses readline sqlite openssl python; do
	measure "${name}"
done
awk '{ clock += $1; cpu += $2 + $3 }
	END { printf "%-10s %7.1f s  %7.1f s\n", "all", clock, cpu }' "${WORK}/times"
