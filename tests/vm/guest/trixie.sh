# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Runs on the console of a Debian 13, as root. /mnt has the files of the test.
set -u
. /mnt/checks.sh
uname -sr
systemctl --version | head -n 1
. /mnt/signed.sh
. /mnt/services.sh
. /mnt/update.sh
echo "the scenario is complete"
