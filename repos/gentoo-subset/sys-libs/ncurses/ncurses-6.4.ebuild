# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Draws on terminals, whatever their kind"
HOMEPAGE="https://invisible-island.net/ncurses/"
SRC_URI="https://ftp.gnu.org/gnu/${PN}/${P}.tar.gz"

LICENSE="MIT"
SLOT="0/6"
KEYWORDS="amd64 arm64"
IUSE="static-libs"

DEPEND="virtual/libc"
RDEPEND="${DEPEND}"

# The common ones of 1,800 terminal descriptions: the Linux console, serial lines, terminal
# emulators and multiplexers. For others, the library reads the machine's descriptions after
# the prefix's. They are data, in a format that has not changed in decades.
TERMINALS=(
	ansi dumb linux linux-16color pcansi vt52 vt100 vt102 vt220 vt320
	xterm xterm-{16color,256color,88color,color,direct,mono,new,r6,vt220,xfree86}
	alacritty foot gnome{,-256color} iterm2 kitty konsole{,-256color} mintty ms-terminal
	putty{,-256color} rxvt{,-16color,-256color,-unicode,-unicode-256color} st{,-256color} vte{,-256color}
	screen screen-{16color,256color,bce} screen.xterm-256color
	tmux{,-256color,-direct}
)
HOST_TERMINFO="/etc/terminfo:/lib/terminfo:/usr/share/terminfo"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return
	type -P tic >/dev/null ||
		die "tic not found; the build requires this program of ncurses: install it on this machine (ncurses-bin)"
}

src_configure() {
	local terminfo="${EPREFIX}/usr/share/terminfo"
	local myconf=(
		--disable-db-install
		--disable-rpath-hack
		--disable-stripping
		--enable-overwrite
		--enable-pc-files
		--enable-widec
		--with-build-cc="${BUILD_CC:-gcc}"
		--with-default-terminfo-dir="${terminfo}"
		--with-pkg-config-libdir="${EPREFIX}/usr/$(get_libdir)/pkgconfig"
		--with-shared
		--with-terminfo-dirs="${EPREFIX}/etc/terminfo:${terminfo}:${HOST_TERMINFO}"
		--without-ada
		--without-cxx
		--without-cxx-binding
		--without-debug
		--without-manpages
		--without-progs
		--without-tests
		$(use_with static-libs normal)
	)
	econf "${myconf[@]}"
}

# @FUNCTION: known_terminals
# @DESCRIPTION:
# Print the entries of TERMINALS that this release describes, separated by commas, because tic
# stops at an unknown name.
known_terminals() {
	local name
	for name in "${TERMINALS[@]}"; do
		grep -qE "^${name//./\\.}[|,]|^[^[:space:]#][^,]*\|${name//./\\.}[|,]" misc/terminfo.src &&
			printf '%s,' "${name}"
	done
}

src_install() {
	local name terminals=$(known_terminals) dir="/usr/$(get_libdir)"
	emake DESTDIR="${D}" install
	# This shell script does the work of pkg-config.
	rm -r "${ED}"/usr/bin || die

	dodir /usr/share/terminfo
	tic -x -s -o "${ED}/usr/share/terminfo" -e "${terminals%,}" misc/terminfo.src || die
	[[ -f ${ED}/usr/share/terminfo/x/xterm-256color ]] || die "tic did not write the terminal descriptions"

	# Programs that link with the name without w also get wide characters.
	for name in ncurses form menu panel; do
		dosym "lib${name}w.so" "${dir}/lib${name}.so"
		dosym "${name}w.pc" "${dir}/pkgconfig/${name}.pc"
	done
	dosym libncursesw.so "${dir}/libcurses.so"
	dodoc ANNOUNCE NEWS README
}
