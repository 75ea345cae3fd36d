# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation site (``make site``): the guides of ``docs/docsite``, the pages of ``docs``, and the documentation
of all plugins and roles.

Nothing is written twice: pages, READMEs and examples are laid out for Sphinx as they stand in the repository.
"""
