# SPDX-License-Identifier: BSD-3-Clause
"""The URLs of the projects that metadata.xml names by site and ID (GLEP 46's remote-id)."""

from __future__ import annotations

# `{id}` is the project's ID. `{site}` is the site's name up to the first dash.
_SITES = {
    "bitbucket": "https://bitbucket.org/{id}",
    "codeberg": "https://codeberg.org/{id}",
    "cpan": "https://meta{site}.org/dist/{id}",
    "cpan-module": "https://meta{site}.org/pod/{id}",
    "cran": "https://{site}.r-project.org/web/packages/{id}/",
    "ctan": "https://{site}.org/pkg/{id}",
    "freedesktop-gitlab": "https://gitlab.freedesktop.org/{id}",
    "gentoo": "https://gitweb.gentoo.org/{id}.git/",
    "github": "https://github.com/{id}",
    "gitlab": "https://gitlab.com/{id}",
    "gnome-gitlab": "https://gitlab.gnome.org/{id}",
    "google-code": "https://code.google.com/archive/p/{id}/",
    "hackage": "https://{site}.haskell.org/package/{id}",
    "heptapod": "https://foss.heptapod.net/{id}",
    "kde-invent": "https://invent.kde.org/{id}",
    "launchpad": "https://launchpad.net/{id}",
    "osdn": "https://osdn.net/projects/{id}/",
    "pear": "https://{site}.php.net/package/{id}",
    "pecl": "https://{site}.php.net/package/{id}",
    "pypi": "https://{site}.org/project/{id}/",
    "rubygems": "https://{site}.org/gems/{id}/",
    "savannah": "https://savannah.gnu.org/projects/{id}",
    "savannah-nongnu": "https://savannah.nongnu.org/projects/{id}",
    "sourceforge": "https://sourceforge.net/projects/{id}/",
    "sourcehut": "https://sr.ht/{id}/",
    "vim": "https://www.vim.org/scripts/script.php?script_id={id}",
}


def remote_url(site: str, name: str) -> str:
    """Return the URL of the project's page, or only the ID for an unknown site."""
    template = _SITES.get(site, "{id}")
    return template.replace("{site}", site.partition("-")[0]).replace("{id}", name)
