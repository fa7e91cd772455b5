# SPDX-License-Identifier: BSD-3-Clause
"""Variables of the caller that a tool must not see, and those that it must see.

Wrappers, the bashrc of a prefix and this program's own processes use these lists. No other file
contains them. docs/wrappers.md explains each group.
"""

from __future__ import annotations

ROOTS = (
    "ROOT", "SYSROOT", "EPREFIX", "EROOT", "ESYSROOT", "BROOT", "PORTAGE_CONFIGROOT",
    "PORTAGE_OVERRIDE_EPREFIX", "PORTDIR", "PORTDIR_OVERLAY", "PORTAGE_REPOSITORIES",
    "ARCH", "ABI", "DEFAULT_ABI", "CHOST", "CBUILD", "CTARGET",
)  # fmt: skip
"""Another root, tree, board or Portage."""

COMPILERS = (
    "CC", "CXX", "CPP", "FC", "F77", "AR", "AS", "LD", "NM", "RANLIB", "STRIP", "OBJCOPY",
    "OBJDUMP", "READELF", "LDFLAGS", "BUILD_CC", "BUILD_CXX", "BUILD_CPP", "BUILD_LD",
    "BUILD_AR", "BUILD_NM", "BUILD_PKG_CONFIG", "HOSTCC", "HOSTCXX", "CCC_OVERRIDE_OPTIONS",
    "PKG_CONFIG", "PKG_CONFIG_SYSTEM_INCLUDE_PATH", "PKG_CONFIG_SYSTEM_LIBRARY_PATH",
    "CONFIG_SITE", "CMAKE_TOOLCHAIN_FILE", "CMAKE_INSTALL_PREFIX", "MYMESONARGS",
)  # fmt: skip
"""Another compiler, or other settings of build systems. A prefix's make.conf sets some of them."""

BUILD_PATHS = (
    "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH", "LIBRARY_PATH", "LD_RUN_PATH", "LD_LIBRARY_PATH", "COMPILER_PATH",
    "GCC_EXEC_PREFIX", "CMAKE_PREFIX_PATH", "CMAKE_INCLUDE_PATH", "CMAKE_LIBRARY_PATH",
    "CMAKE_MODULE_PATH", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR",
    "ACLOCAL_PATH", "DESTDIR",
)  # fmt: skip
"""Headers, libraries and programs of compilers in other directories."""

INTERPRETERS = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONINSPECT",
    "PERL5LIB", "PERLLIB", "PERL5OPT", "PERL5DB", "RUBYLIB", "RUBYOPT", "LUA_INIT", "LUA_PATH",
    "LUA_CPATH", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "CLASSPATH",
)  # fmt: skip
"""Modules and options of interpreters."""

SHELLS = ("ENV", "BASH_ENV", "CDPATH", "GLOBIGNORE", "TAR_OPTIONS", "GREP_OPTIONS")
"""Files that shells read when they start, their settings, and default options of tools."""

TRACES = ("PS4", "BASH_XTRACEFD")
"""Commands that a tracing shell runs, see bash(1). Portage traces builds itself."""

LOADER = (
    "LD_AUDIT", "LD_DEBUG_OUTPUT", "LD_DYNAMIC_WEAK", "LD_ORIGIN_PATH", "LD_PROFILE",
    "LD_PROFILE_OUTPUT", "LD_USE_LOAD_BIAS", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR",
    "HOSTALIASES", "LOCPATH", "MALLOC_TRACE", "NLSPATH", "RESOLV_HOST_CONF", "TZDIR",
)  # fmt: skip
"""Code and files that the loader and the C library read or write: the variables that glibc
ignores in a setuid program, except harmless ones, LD_LIBRARY_PATH and LD_PRELOAD."""

ASTRAY = (*ROOTS, *COMPILERS, *BUILD_PATHS, *INTERPRETERS, *SHELLS, *TRACES, *LOADER)
"""Variables that wrappers unset."""

UNSET_IN_BUILDS = (*BUILD_PATHS, *INTERPRETERS, *SHELLS, *LOADER)
"""Variables that the bashrc of a prefix unsets before the first phase of a build."""

UNSET_FOR_ROOT = (
    *("LD_LIBRARY_PATH", "LD_PRELOAD"), *INTERPRETERS, *SHELLS, *TRACES, *LOADER,
)  # fmt: skip
"""Variables that this program unsets in its own processes if root runs it."""


USE_EXPAND = (
    "ABI_MIPS", "ABI_S390", "ABI_X86", "ADA_TARGET", "ALSA_CARDS", "AMDGPU_TARGETS",
    "APACHE2_MODULES", "APACHE2_MPMS", "CALLIGRA_FEATURES", "CAMERAS", "COLLECTD_PLUGINS",
    "CPU_FLAGS_ARM", "CPU_FLAGS_PPC", "CPU_FLAGS_X86", "CURL_QUIC", "CURL_SSL",
    "ENLIGHTENMENT_MODULES", "FFTOOLS", "GPSD_PROTOCOLS", "GRUB_PLATFORMS",
    "GUILE_SINGLE_TARGET", "GUILE_TARGETS", "INPUT_DEVICES", "L10N", "LCD_DEVICES",
    "LIBREOFFICE_EXTENSIONS", "LLVM_SLOT", "LLVM_TARGETS", "LUA_SINGLE_TARGET", "LUA_TARGETS",
    "MONKEYD_PLUGINS", "NGINX_MODULES_HTTP", "NGINX_MODULES_MAIL", "NGINX_MODULES_STREAM",
    "OFFICE_IMPLEMENTATION", "OPENMPI_FABRICS", "OPENMPI_OFED_FEATURES", "OPENMPI_RM",
    "PHP_TARGETS", "POSTGRES_TARGETS", "PYTHON_SINGLE_TARGET", "PYTHON_TARGETS",
    "QEMU_SOFTMMU_TARGETS", "QEMU_USER_TARGETS", "ROS_MESSAGES", "RUBY_TARGETS",
    "SANE_BACKENDS", "UWSGI_PLUGINS", "VIDEO_CARDS", "VOICEMAIL_STORAGE", "XTABLES_ADDONS",
)  # fmt: skip
"""USE_EXPAND variables of Gentoo's profiles, except those that only a profile may set."""


MEANT = (
    "USE", "FEATURES", "ACCEPT_KEYWORDS", "ACCEPT_LICENSE", "ACCEPT_PROPERTIES",
    "ACCEPT_RESTRICT", "MAKEOPTS", "NINJAOPTS", "MAKEFLAGS", "CFLAGS", "CXXFLAGS", "CPPFLAGS",
    "FCFLAGS", "FFLAGS", "RUSTFLAGS", "GOFLAGS", "EXTRA_ECONF", "EXTRA_EMAKE", "MYCMAKEARGS",
    "EMERGE_DEFAULT_OPTS", "QUICKPKG_DEFAULT_OPTS",
    "EBUILD_DEFAULT_OPTS", "CONFIG_PROTECT", "CONFIG_PROTECT_MASK", "INSTALL_MASK",
    "PKG_INSTALL_MASK", "BINPKG_FORMAT", "BINPKG_COMPRESS", "DISTDIR", "PKGDIR",
    "PORTAGE_BINHOST", "PORTAGE_TMPDIR", "PORTAGE_NICENESS", "PORTAGE_DEBUG",
    "PORTAGE_ELOG_CLASSES", "PORTAGE_ELOG_SYSTEM", "PORTAGE_USERNAME", "PORTAGE_GRPNAME",
    "GENTOO_MIRRORS", "FETCHCOMMAND", "RESUMECOMMAND", "CLEAN_DELAY", "EMERGE_WARNING_DELAY",
    "LINGUAS", *USE_EXPAND,
    "NOCOLOR", "NO_COLOR", "COLUMNS", "DEBUG", "SOURCE_DATE_EPOCH", "CCACHE_DIR",
    "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "rsync_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY", "RSYNC_PROXY",
    "EDITOR", "PAGER",
)  # fmt: skip
"""Variables that callers set for the tool and that sudo would otherwise remove."""
