# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's template: a text of Python, because a module that runs on another machine is sent without other files."""

PAGE = r"""{% macro names(of) %}
{% for name in of.tables %}<bdi>{{ name }}</bdi>{{ "" if loop.last else ", " }}{% endfor %}{{ " and %d more" % of.more if of.more else "" }}
{%- endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 style-src '{{ hashes.style }}' '{{ hashes.noscript }}'; script-src '{{ hashes.script }}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>Tables moved: {{ report.totals.tables }}</title>
<style>{{ style }}</style>
<noscript><style>{{ noscript }}</style></noscript>
</head>
<body>
<a class="skip" href="#tables">To the tables</a>
<header>
<h1>{{ report.totals.tables }} table{{ "" if report.totals.tables == 1 else "s" }}</h1>
<p>Written at {{ written }} by {{ report.playbook }}, run <code>{{ report.run }}</code>.
{% if begin %} Jobs were at work from {{ begin }} to {{ end }}.{% endif %}{{ earlier }}</p>
<ul class="totals" aria-label="Totals">
{% for status, count in statuses if count %}
<li class="{{ status }}"><b>{{ count }}</b> {{ status }}
{% endfor %}
<li><b>{{ items }}</b> items
<li><b>{{ size }}</b> of data
{% if took %}<li><b>{{ took }}</b> in all
{% endif %}
</ul>
</header>
<main>
{% if stopped %}
<section aria-labelledby="attention">
<h2 id="attention">Not migrated</h2>
<ul class="stopped">
{% for cause in stopped %}
<li><span class="s {{ cause.status }}">{{ cause.status }}</span> <b>{{ names(cause) }}</b>: <bdi>{{ cause.why }}</bdi>
{% endfor %}
</ul>
{% if stopped_more %}<p>And {{ stopped_more }} more: the tables below show all of them.</p>{% endif %}
</section>
{% endif %}
<section aria-labelledby="tables">
<h2 id="tables" tabindex="-1">Tables</h2>
<form class="tools" role="search" aria-label="Filter the tables">
<label>Name <input id="name" type="search" autocomplete="off"></label>
<label>Status <select id="status"><option value="">all
{% for status, count in statuses if count %}<option value="{{ status }}">{{ status }} ({{ count }})
{% endfor %}</select></label>
<label>Method <select id="method"><option value="">all
{% for method in methods %}<option>{{ method }}
{% endfor %}</select></label>
<output id="shown" aria-live="polite">{{ rows | length }} tables</output>
</form>
{% if colours %}
<ul class="legend" aria-label="Colours of the timeline">
{% for kind, colour in colours.items() %}<li><svg viewBox="0 0 12 12" aria-hidden="true"><path class="p{{ colour }}" d="M0 0h12v12H0z"/></svg> {{ kind }}
{% endfor %}</ul>
{% endif %}
<div class="wide">
<table id="list">
<caption>All tables, those that need attention first. A timeline goes from {{ begin or "the start" }} to {{ end or "the end" }}.</caption>
<thead><tr>
{% for column in ("Table", "Status", "Method", "Items", "Size", "Took", "Verified") %}
<th scope="col"><button type="button" data-by="{{ loop.index0 }}">{{ column }}</button>
{% endfor %}
<th scope="col">Timeline
</thead>
<tbody>
{% for row in rows %}
<tr{% if loop.index > first %} class="w"{% endif %}><th scope="row"><button type="button" aria-expanded="false"><bdi>{{ row.name }}</bdi></button>
<td><span class="s {{ row.status }}">{{ row.status }}</span>
{%- for cell in (row.method, row.count, row.size, row.took, row.verified) %}<td>{{ cell }}{% endfor %}<td>
{%- if row.bars %}<svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img"><title>{{ row.told }}</title>
{%- for colour, begin, width in row.bars %}<path class="p{{ colour }}" d="M{{ begin }} 0h{{ width }}v10h-{{ width }}"/>{% endfor %}</svg>{% endif %}

{% endfor %}
</tbody>
</table>
</div>
{% if rows | length > first %}<p id="rest"><button type="button">Show all {{ rows | length }} tables</button></p>{% endif %}
</section>
{% if to_do %}
<section aria-labelledby="left">
<h2 id="left">What is left to do</h2>
<p>Each table's own list is in its details.</p>
<dl>
{% for step in to_do %}
<dt><bdi>{{ step.what }}</bdi>
<dd><p><bdi>{{ step.text }}</bdi></p><p class="of">{{ names(step) }}</p>
{% endfor %}
</dl>
</section>
{% endif %}
{% if report.adoption %}
<section aria-labelledby="adoption">
<h2 id="adoption">Into your infrastructure code</h2>
<p>A moved table belongs to no Terraform state and to no CloudFormation stack. These files, beside this page, take it in.</p>
{% for entry in report.adoption %}
<h3>Account {{ entry.account_id }}, {{ entry.region }}: {{ entry.tables }} table{{ "" if entry.tables == 1 else "s" }}</h3>
{% for way in entry.ways %}
<h4>{{ way.name }}</h4>
<p>In the folder <code>{{ way.folder }}</code>:</p>
<pre tabindex="0"><code>{% for command in way.commands %}{{ command }}
{% endfor %}</code></pre>
<ul>{% for trap in way.traps %}<li>{{ trap }}
{% endfor %}</ul>
{% endfor %}
{% for left in entry.left %}<p>{{ left }}</p>
{% endfor %}
{% endfor %}
</section>
{% endif %}
</main>
<footer><p>The same as data: <code>report.json</code>, version {{ report.version }}, beside this page.</p></footer>
<script type="application/json" id="data">{{ data }}</script>
<script>{{ script }}</script>
</body>
</html>
"""  # noqa: E501 - markup
