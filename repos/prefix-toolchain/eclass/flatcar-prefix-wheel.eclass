# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

# @ECLASS: flatcar-prefix-wheel.eclass
# @MAINTAINER:
# flatcar-prefix <containers-flatcar@lists.linuxfoundation.org>
# @SUPPORTED_EAPIS: 8
# @BLURB: installs a wheel into the site-packages of a prefix's Python
# @DESCRIPTION:
# The ebuild's one distfile is a wheel ("Binary distribution format" of the Python Packaging
# User Guide). Its modules go into site-packages, its scripts and entry points into usr/bin,
# its data below usr. This machine's python3, of any version, does the work.

case ${EAPI} in
	8) ;;
	*) die "${ECLASS}: EAPI ${EAPI:-0} is not supported" ;;
esac

# @ECLASS_VARIABLE: WHEEL_PYTHON
# @PRE_INHERIT
# @REQUIRED
# @DESCRIPTION:
# Version of the prefix's Python, such as 3.11.

# @ECLASS_VARIABLE: WHEEL_FILE
# @DESCRIPTION:
# Name of the wheel in DISTDIR; default: the only file of SRC_URI.

S="${WORKDIR}"
# The author of a wheel has built and tested its shared libraries; do not change them.
RESTRICT="strip"
RDEPEND="dev-lang/python:${WHEEL_PYTHON}"

EXPORT_FUNCTIONS src_unpack src_install

# @FUNCTION: flatcar-prefix-wheel_src_unpack
# @DESCRIPTION:
# Leave the wheel packed.
flatcar-prefix-wheel_src_unpack() {
	:
}

# @FUNCTION: flatcar-prefix-wheel_src_install
# @DESCRIPTION:
# Install the wheel and compile its modules.
flatcar-prefix-wheel_src_install() {
	local site="${ED}/usr/lib/python${WHEEL_PYTHON}/site-packages" python
	_flatcar-prefix-wheel_unpacker > "${T}/unpack_wheel.py" || die
	python3 -I "${T}/unpack_wheel.py" "${DISTDIR}/${WHEEL_FILE:-${A}}" "${site}" "${ED}/usr" \
		"${EPREFIX}/usr/bin/python${WHEEL_PYTHON}" || die "the wheel could not be installed"

	# Bytecode depends on the Python version. The target cannot write it, so it is unchecked.
	for python in "/usr/bin/python${WHEEL_PYTHON}" "python${WHEEL_PYTHON}" python3; do
		[[ $("${python}" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
			== "${WHEEL_PYTHON}" ]] || continue
		# A wheel may hold files for other Python versions; they stay uncompiled.
		PYTHONHASHSEED=0 "${python}" -I -m compileall -q -s "${D}" -p / \
			--invalidation-mode unchecked-hash "${site}"
		break
	done
}

# @FUNCTION: _flatcar-prefix-wheel_unpacker
# @INTERNAL
# @DESCRIPTION:
# Print the program that unpacks a wheel.
_flatcar-prefix-wheel_unpacker() {
	cat <<-'EOF_PYTHON'
		import configparser, csv, io, os, sys, zipfile

		wheel, site, usr, python = sys.argv[1:]
		DATA = {"scripts": "bin", "data": "", "headers": "include"}
		SCRIPT = """#!%s
		import sys
		from %s import %s
		sys.exit(%s())
		"""

		def place(name, data):
		    """Return where a member of the wheel goes; nothing for what is left out."""
		    if not name.startswith(data + "/"):
		        return os.path.join(site, name)
		    _, kind, rest = name.split("/", 2)
		    if kind in ("purelib", "platlib"):
		        return os.path.join(site, rest)
		    if kind not in DATA:
		        sys.exit("the wheel has files of an unknown kind: " + name)
		    return os.path.join(usr, DATA[kind], rest)

		def write(path, content, mode):
		    top = os.path.dirname(usr)
		    path = os.path.normpath(path)
		    if not path.startswith(top + os.sep):
		        sys.exit("the wheel has a file that leads out of the prefix: " + path)
		    os.makedirs(os.path.dirname(path), exist_ok=True)
		    with open(path, "wb") as file:
		        file.write(content)
		    os.chmod(path, mode)

		def interpreted(content):
		    first, newline, rest = content.partition(b"\n")
		    if first.startswith(b"#!python"):
		        return b"#!" + python.encode() + newline + rest
		    return content

		with zipfile.ZipFile(wheel) as archive:
		    names = [name for name in archive.namelist() if not name.endswith("/")]
		    info = next(n for n in names if n.endswith(".dist-info/WHEEL")).split("/")[0]
		    data = info[: -len(".dist-info")] + ".data"
		    skipped = (info + "/RECORD", info + "/RECORD.jws", info + "/RECORD.p7s")
		    installed = []
		    for name in names:
		        if name in skipped:
		            continue
		        path, content = place(name, data), archive.read(name)
		        script = name.startswith(data + "/scripts/")
		        write(path, interpreted(content) if script else content, 0o755 if script else 0o644)
		        installed.append(path)
		    points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
		    points.optionxform = str
		    if info + "/entry_points.txt" in names:
		        points.read_string(archive.read(info + "/entry_points.txt").decode())
		for section in ("console_scripts", "gui_scripts"):
		    for name, target in points.items(section) if points.has_section(section) else ():
		        module, _, function = target.split("[")[0].strip().partition(":")
		        text = SCRIPT % (python, module.strip(), function.split(".")[0].strip(), function.strip())
		        path = os.path.join(usr, "bin", name)
		        write(path, text.encode(), 0o755)
		        installed.append(path)
		write(os.path.join(site, info, "INSTALLER"), b"flatcar-prefix\n", 0o644)
		installed.append(os.path.join(site, info, "INSTALLER"))
		rows = io.StringIO()
		out = csv.writer(rows, lineterminator="\n")
		for path in sorted(installed + [os.path.join(site, info, "RECORD")]):
		    out.writerow([os.path.relpath(path, site), "", ""])
		write(os.path.join(site, info, "RECORD"), rows.getvalue().encode(), 0o644)
	EOF_PYTHON
}
