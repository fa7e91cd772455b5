# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

MY_P="Python-${PV}"

DESCRIPTION="Interpreter of the Python language, with its library, venv and pip"
HOMEPAGE="https://www.python.org/"
SRC_URI="https://www.python.org/ftp/python/${PV}/${MY_P}.tgz"
S="${WORKDIR}/${MY_P}"

LICENSE="PSF-2"
SLOT="3.11"
KEYWORDS="amd64 arm64"
# The test suite runs the built programs; it is not installed.
RESTRICT="test"

DEPEND="
	app-arch/bzip2:=
	app-arch/xz-utils:=
	dev-db/sqlite:3=
	dev-libs/expat:=
	dev-libs/libffi:=
	dev-libs/openssl:=
	sys-libs/ncurses:=
	sys-libs/readline:=
	sys-libs/zlib:=
	virtual/libc
"
RDEPEND="
	${DEPEND}
	app-misc/ca-certificates
"

PYVER=${SLOT}
NATIVE_DIR="${WORKDIR}/native"

pkg_pretend() {
	[[ ${MERGE_TYPE} == binary ]] && return
	type -P python3 >/dev/null || die "python3 not found; the build requires any version: install it on this machine"
}

# @FUNCTION: find_build_python
# @DESCRIPTION:
# Print the path of a Python of the same version that runs on this machine. Skip links and
# virtual environments, because they have their own library paths. Return 1 if there is none.
find_build_python() {
	local candidate path script
	# Distributions may have separate packages for some modules that the build imports.
	script="import math, os, select, sys, zlib
sys.exit('%d.%d' % sys.version_info[:2] != '${PYVER}' or print(os.path.realpath(sys.executable)))"
	for candidate in /usr/bin/python${PYVER} python${PYVER} python3 ${FLATCAR_PREFIX_RUN%% *}; do
		path=$("${candidate}" -I -S -c "${script}" 2>/dev/null) || continue
		[[ ${path} ]] || continue
		echo "${path}"
		return
	done
	return 1
}

# @FUNCTION: build_native_python
# @DESCRIPTION:
# Build an interpreter for a machine without this version. It only runs the scripts of the
# build.
build_native_python() {
	einfo "This machine has no Python ${PYVER}: building a temporary one first"
	mkdir -p "${NATIVE_DIR}" || die
	(
		unset AR AS CPP CXX LD NM OBJCOPY OBJDUMP RANLIB READELF STRIP PKG_CONFIG
		unset CPPFLAGS CXXFLAGS LDFLAGS CONFIG_SITE
		export CC=${BUILD_CC:-gcc} CFLAGS=-O1 OPT="-DNDEBUG -fwrapv"
		cd "${NATIVE_DIR}" || die
		"${S}"/configure --disable-test-modules --without-ensurepip || die
		emake
	) || die "building the native interpreter failed"
}

src_prepare() {
	default

	# setup.py searches /usr/lib/<multiarch> even when it compiles for another root.
	sed -i '/^        self\.add_multiarch_paths()$/d' setup.py || die
	# Omit a test program, and the bytecode: src_install compiles it once, not three times.
	sed -i -e '/^build_all:/,/python-config$/s,Programs/_testembed,,' \
		-e '/^\t-PYTHONPATH=$(DESTDIR)$(LIBDEST)/,/^$/d' Makefile.pre.in || die
	grep -q 'compileall.py .$' Makefile.pre.in && die "Makefile.pre.in still compiles bytecode"
	# All files are below usr/lib, except the library that programs link with.
	sed -i 's,^BINLIBDEST=.*,BINLIBDEST= $(LIBDEST),' Makefile.pre.in || die
	# ctypes.util.find_library() must read the cache of the prefix's loader.
	sed -i "s,'/sbin/ldconfig','${EPREFIX}/sbin/ldconfig'," Lib/ctypes/util.py || die
	# The prefix does not contain Tk.
	rm -r Lib/{idlelib,tkinter,turtledemo} Lib/turtle.py || die
	# This is a shell script for upstream's maintainers.
	rm Lib/ctypes/macholib/fetch_macholib* || die
}

src_configure() {
	local build_python
	if ! build_python=$(find_build_python); then
		build_native_python
		build_python="${NATIVE_DIR}/python"
	fi
	einfo "Building with ${build_python}"

	local myconf=(
		--disable-test-modules
		--enable-ipv6
		--enable-loadable-sqlite-extensions
		--enable-shared
		--with-build-python="${build_python}"
		--with-computed-gotos
		--with-dbmliborder=
		--with-readline=readline
		--with-system-expat
		--with-system-ffi
		--without-ensurepip
		--without-static-libpython
	)
	# Portage would strip debugging information. Calls within libpython do not need the PLT.
	# Assertions would contain paths of the build machine.
	local -x OPT="-fwrapv -Wall"
	local -x CFLAGS_NODIST="-fno-semantic-interposition -ffile-prefix-map=${S}=."
	local -x LDFLAGS_NODIST="-fno-semantic-interposition"
	# configure finds crypt(3) even where no library has it, as with an imported C library.
	[[ -e ${ESYSROOT}/usr/include/crypt.h ]] || local -x py_cv_module__crypt="n/a"
	# Results of configure's run tests on Linux with glibc.
	ac_cv_aligned_required=no \
	ac_cv_broken_nice=no \
	ac_cv_broken_poll=no \
	ac_cv_broken_sem_getvalue=no \
	ac_cv_buggy_getaddrinfo=no \
	ac_cv_computed_gotos=yes \
	ac_cv_file__dev_ptc=no \
	ac_cv_file__dev_ptmx=yes \
	ac_cv_have_size_t_format=yes \
	ac_cv_posix_semaphores_enabled=yes \
	ac_cv_pthread_is_default=yes \
	ac_cv_pthread_system_supported=yes \
	ac_cv_working_tzset=yes \
	ac_cv_x87_double_rounding=no \
		econf "${myconf[@]}"

	# The build's Python would load extension modules of the new Python, which may not run on
	# this machine. Give it a directory that contains only the configuration data.
	sed -i '/^PYTHON_FOR_BUILD=/s,$(shell test -f pybuilddir.txt .*`cat pybuilddir.txt`:),$(abs_builddir)/described:,' \
		Makefile || die
	grep -q '^PYTHON_FOR_BUILD=.*described' Makefile || die "Makefile does not run the build's Python as expected"
}

src_compile() {
	emake pybuilddir.txt
	mkdir described || die
	cp "$(<pybuilddir.txt)"/_sysconfigdata_*.py described || die
	emake
}

# @FUNCTION: install_wheels
# @DESCRIPTION:
# Unpack the wheels of pip and setuptools, which Python includes, into site-packages. Their
# own installer would write the path of this machine's interpreter into their programs.
install_wheels() {
	local site="${ED}/usr/lib/python${PYVER}/site-packages" name
	python3 "${FILESDIR}/install_wheels.py" "${site}" Lib/ensurepip/_bundled/*.whl || die
	for name in pip pip3 "pip${PYVER}"; do
		newbin - "${name}" <<-EOF_PIP
			#!${EPREFIX}/usr/bin/python${PYVER}
			import sys
			from pip._internal.cli.main import main
			sys.exit(main())
		EOF_PIP
	done
}

# @FUNCTION: forget_build
# @USAGE: <file>...
# @DESCRIPTION:
# Remove the directories of this build, and the Python that it ran, from the files that
# describe how to build extension modules.
forget_build() {
	local build_python
	build_python=$(sed -n 's/^PYTHON_FOR_FREEZE=[[:space:]]*//p' Makefile) || die
	sed -i -E \
		-e "s,'?--with-build-python=[^' ]*'? ?,,g" \
		-e "s, *-ffile-prefix-map=[^' ]*,,g" \
		-e "s,${build_python},python${PYVER},g" \
		-e "s,${NATIVE_DIR},.,g" \
		-e "s,${S},.,g" \
		-e "s,${ESYSROOT%/},${EPREFIX},g" \
		"$@" || die
}

src_install() {
	emake -j1 DESTDIR="${D}" install
	local library="${ED}/usr/lib/python${PYVER}" config
	config=$(echo "${library}"/config-${PYVER}*)

	dosym python3 /usr/bin/python
	install_wheels
	rm "${ED}"/usr/bin/idle* || die
	# Shell scripts and sources for linking modules into the interpreter itself.
	rm "${config}"/{config.c*,install-sh,makesetup,Setup*} || die
	# There are two variants; the other is a shell script.
	mv "${config}/python-config.py" "${ED}/usr/bin/python${PYVER}-config" || die
	forget_build "${config}/Makefile" "${library}"/_sysconfigdata_*.py

	# These modules are also scripts, whose first line names another interpreter.
	find "${library}" -name '*.py' -exec chmod a-x {} + || die
	compile_bytecode "${library}"
	dodoc README.rst
}

# @FUNCTION: compile_bytecode
# @USAGE: <directory>
# @DESCRIPTION:
# Compile every module. Python does not compare this bytecode with the time of the source: the
# files of an image have other times, and the image is read-only.
compile_bytecode() {
	local build_python
	build_python=$(sed -n 's/^PYTHON_FOR_FREEZE=[[:space:]]*//p' Makefile) || die
	PYTHONHASHSEED=0 "${build_python}" -m compileall -q -f -s "${D}" -p / \
		--invalidation-mode unchecked-hash -x 'lib2to3/tests' "$1" || die
}
