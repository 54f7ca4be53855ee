# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds fake /sys and /proc trees from topology files."""
