# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job: a thin entry over core/items. All but ``package`` runs inside AWS Glue and Amazon EMR, without Ansible
and without an SDK: it imports of the core only ``items`` and ``errors``."""
