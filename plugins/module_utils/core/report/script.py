# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's script: sorts, filters, and shows the details of a table. Texts go in as texts, never as HTML."""

SCRIPT = r"""
'use strict';
(() => {
  const {texts, tables} = JSON.parse(document.getElementById('data').textContent);
  const list = document.getElementById('list'), body = list.tBodies[0];
  const rows = [...body.rows].map((row, at) => ({
    row, at, data: tables[at],
    keys: [row.cells[0].textContent.trim(), row.cells[1].textContent, row.cells[2].textContent,
      tables[at][0], tables[at][1], tables[at][2], row.cells[6].textContent]
  }));
  const field = id => document.getElementById(id);
  const rest = field('rest'), shown = field('shown');
  const first = rows.filter(each => !each.row.classList.contains('w')).length;
  const byName = new Intl.Collator(undefined, {numeric: true});
  let order = rows.slice();

  const make = (name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) { const bdi = document.createElement('bdi'); bdi.textContent = text; made.append(bdi); }
    return made;
  };
  const listed = found => {
    const made = make('ul');
    found.forEach(text => made.append(make('li', text)));
    return made;
  };
  const arn = ([place, table]) => texts[place] + table;
  const time = text => text ? text.slice(0, 19).replace('T', ' ') : '';

  function details(data) {
    const [, , , source, copy, facts, jobs, carried, left, warnings, steps] = data;
    const dl = make('dl');
    const add = (name, content) => {
      const dd = make('dd');
      dd.append(content);
      dl.append(make('dt', name), dd);
    };
    facts.forEach(([name, value]) => add(texts[name], make('span', texts[value])));
    add('Source', make('code', arn(source)));
    add('Copy', make('code', arn(copy)));
    if (jobs.length) {
      add('Jobs', listed(jobs.map(([kind, state, own, begin, end]) => [
        `${texts[kind]}: ${texts[state]}`,
        begin && `${time(begin)} to ${time(end) || '?'} UTC`,
        own.replace('\u0001', arn(source)).replace('\u0002', arn(copy))
      ].filter(Boolean).join(', '))));
    }
    if (warnings.length) add('Warnings', listed(warnings.map(at => texts[at])));
    if (carried.length) add('Settings carried', make('span', carried.map(at => texts[at]).join(', ')));
    if (left.length) add('Settings left', listed(left.map(at => texts[at])));
    if (steps.length) add('Left to do', listed(steps.map(([what, text]) => `${texts[what]}: ${texts[text]}`)));
    return dl;
  }

  function toggle(each) {
    const button = each.row.querySelector('button');
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) { each.opened.remove(); each.opened = undefined; return; }
    const row = make('tr'), cell = make('td');
    row.className = 'd';
    row.id = `details-${each.at}`;
    cell.colSpan = 8;
    cell.append(details(each.data));
    row.append(cell);
    each.row.after(row);
    each.opened = row;
    button.setAttribute('aria-controls', row.id);
  }

  function show() {
    const name = field('name').value.toLowerCase(), status = field('status').value, method = field('method').value;
    let count = 0;
    const all = !rest || list.classList.contains('all');
    for (const each of order) {
      const fits = (!name || each.keys[0].toLowerCase().includes(name)) &&
        (!status || each.keys[1] === status) && (!method || each.keys[2] === method);
      if (fits) count += 1;
      each.row.hidden = !fits;
      each.row.classList.toggle('w', !all && fits && count > first);
      if (each.opened) each.opened.hidden = !fits;
    }
    const part = !all && count > first ? `, the first ${first} shown` : '';
    shown.textContent = `${count} of ${rows.length} tables${part}`;
    if (rest) rest.hidden = all || count <= first;
  }

  function sort(header, by) {
    const down = header.getAttribute('aria-sort') === 'ascending';
    list.tHead.querySelectorAll('th').forEach(each => each.removeAttribute('aria-sort'));
    header.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const compare = (a, b) => typeof a === 'number' ? a - b : byName.compare(a, b);
    order.sort((a, b) => (down ? -1 : 1) * compare(a.keys[by], b.keys[by]) || a.at - b.at);
    const all = document.createDocumentFragment();
    order.forEach(each => { all.append(each.row); if (each.opened) all.append(each.opened); });
    body.append(all);
    show();
  }

  list.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (!button) return;
    if (button.dataset.by !== undefined) { sort(button.closest('th'), Number(button.dataset.by)); return; }
    const row = button.closest('tr');
    toggle(rows.find(each => each.row === row));
  });
  document.querySelector('.tools').addEventListener('input', show);
  document.querySelector('.tools').addEventListener('submit', event => event.preventDefault());
  if (rest) rest.querySelector('button').addEventListener('click', () => {
    list.classList.add('all');
    show();
    const next = order.filter(each => !each.row.hidden)[first];
    if (next) next.row.querySelector('button').focus();
  });
})();
"""
