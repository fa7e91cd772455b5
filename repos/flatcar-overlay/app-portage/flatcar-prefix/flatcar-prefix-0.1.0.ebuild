# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Portable software for Flatcar Container Linux: prefix builds with Portage"
HOMEPAGE="https://www.flatcar.org/"
S="${WORKDIR}"

LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"
# The project's own tests set up prefixes and merge images; they are run in its checkout.
RESTRICT="test"

# No eclass for Python packages is to be had in every repository that this one can have for
# a master. The Python is the one that runs Portage, as the program imports that; an upgrade
# of Python has it installed again.
RDEPEND="
	dev-lang/python:=
	dev-python/lxml
	dev-python/packaging
	sys-apps/bubblewrap
	>=sys-apps/portage-3.0.63
	sys-apps/util-linux
	sys-fs/squashfs-tools
"
BDEPEND="
	dev-lang/python
	dev-python/setuptools
"

# What is installed is the checkout that this repository is part of, unless the variable
# FLATCAR_PREFIX_SOURCE names another.
src_unpack() {
	local source=${FLATCAR_PREFIX_SOURCE:-${EBUILD%/repos/*}} file
	[[ -f ${source}/setup.py && -d ${source}/flatcar_prefix ]] ||
		die "${source} is no checkout of ${PN}: name one in FLATCAR_PREFIX_SOURCE"
	for file in README.md LICENSE pyproject.toml setup.py flatcar_prefix repos wrappers eclass-helpers completion; do
		[[ -e ${source}/${file} ]] || continue
		cp -R "${source}/${file}" "${S}/" || die
	done
}

src_install() {
	local python=${FLATCAR_PREFIX_HOST_PYTHON:-${PORTAGE_PYTHON:-python3}}
	# setuptools itself: pip would want a wheel in between, and a package to make it.
	"${python}" setup.py -q install --root="${D}" --prefix="${EPREFIX}/usr" \
		--single-version-externally-managed --no-compile || die "cannot install ${P}"
	dodoc README.md
}
