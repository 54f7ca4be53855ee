#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The root file system is no block device: nothing is to be waited for.
# shellcheck disable=SC2034
root=lab
# shellcheck disable=SC2034
rootok=1
