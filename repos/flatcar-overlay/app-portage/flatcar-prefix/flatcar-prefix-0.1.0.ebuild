# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="Portable software for Flatcar Container Linux: prefix builds with Portage"
HOMEPAGE="https://www.flatcar.org/"
S="${WORKDIR}"

LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"
# The project's tests set up prefixes and merge images; run them in its checkout.
RESTRICT="test"

# Not every possible master of this repository has an eclass for Python packages. The program
# imports Portage, so it uses the Python that runs Portage. A Python upgrade rebuilds it.
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

# The ebuild installs the checkout that contains this repository, or the checkout in
# FLATCAR_PREFIX_SOURCE.
src_unpack() {
	local source=${FLATCAR_PREFIX_SOURCE:-${EBUILD%/repos/*}} file
	[[ -f ${source}/setup.py && -d ${source}/flatcar_prefix ]] ||
		die "${source} is not a checkout of ${PN}: set FLATCAR_PREFIX_SOURCE to one"
	for file in README.md LICENSE pyproject.toml setup.py man flatcar_prefix repos wrappers \
		eclass-helpers completion docs; do
		[[ -e ${source}/${file} ]] || continue
		cp -R "${source}/${file}" "${S}/" || die
	done
}

src_install() {
	local python=${FLATCAR_PREFIX_HOST_PYTHON:-${PORTAGE_PYTHON:-python3}}
	# Use setuptools directly: pip would need the package that builds wheels.
	"${python}" setup.py -q install --root="${D}" --prefix="${EPREFIX}/usr" \
		--single-version-externally-managed --no-compile || die "cannot install ${P}"
	dodoc README.md
}
