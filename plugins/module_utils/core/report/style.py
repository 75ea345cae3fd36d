# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's style: light and dark, on screens of every width and on paper."""

NOSCRIPT = ".tools,#rest{display:none}.w{display:table-row}"
STYLE = r"""
:root{color-scheme:light dark;--page:#fff;--text:#1c2330;--soft:#545d6c;--line:#d8dde5;--band:#f4f6f9;--link:#0b57c2;
--bad:#b3152a;--badband:#fdecee;--good:#116b35;--goodband:#e6f5ec;--mid:#7a4d00;--midband:#fdf3dc;
--p0:#2f6fde;--p1:#d9730d;--p2:#14866d;--p3:#8f4fd1;--p4:#c2356b;--p5:#6b7280;--p6:#0e7fa8;--p7:#8a7a00}
@media screen and (prefers-color-scheme:dark){:root{--page:#12161d;--text:#e6eaf0;--soft:#a3adbb;--line:#303845;--band:#1a202a;--link:#8ab8ff;
--bad:#ff9aa6;--badband:#3b181e;--good:#86dba6;--goodband:#12301f;--mid:#f3c977;--midband:#372a10;
--p0:#6ea1ff;--p1:#ffab57;--p2:#4cc9a9;--p3:#c09bf5;--p4:#ff86b0;--p5:#9ca3af;--p6:#5cc4ea;--p7:#d8c84a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:90rem;padding:1.5rem;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:1.9rem;margin:0;line-height:1.2}h2{font-size:1.25rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
h4{font-size:.95rem;margin:.8rem 0 .2rem;color:var(--soft)}
header p,footer p,.of,caption{color:var(--soft)}header p{margin:.3rem 0 1rem}
p,li,dt,dd,bdi,td,th,code,span{overflow-wrap:anywhere}
code,pre{font:.87em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--band);border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem;overflow:auto}
.skip{position:absolute;left:-100vw}.skip:focus{left:1rem;top:.5rem;background:var(--page);padding:.3rem .6rem;z-index:2}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.totals,.legend,.stopped{list-style:none;padding:0;margin:0}
.totals{display:flex;flex-wrap:wrap;gap:.6rem}
.totals li{background:var(--band);border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;color:var(--soft)}
.totals b{display:block;font-size:1.35rem;line-height:1.2;color:var(--text);font-variant-numeric:tabular-nums}
.totals .failed b,.totals .refused b{color:var(--bad)}.totals .migrated b{color:var(--good)}
.totals .copied b,.totals .planned b,.totals .unknown b{color:var(--mid)}
.stopped li{border-left:4px solid var(--bad);background:var(--band);padding:.5rem .8rem;margin:.4rem 0;border-radius:0 6px 6px 0}
.s{display:inline-block;border-radius:1rem;padding:0 .6rem;font-size:.86rem;font-weight:600;white-space:nowrap;
background:var(--midband);color:var(--mid)}
.s.failed,.s.refused{background:var(--badband);color:var(--bad)}.s.migrated{background:var(--goodband);color:var(--good)}
.tools{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;align-items:end;margin:0 0 .7rem}
.tools label{display:grid;max-width:100%;gap:.15rem;color:var(--soft);font-size:.86rem}
.tools input,.tools select{font:inherit;font-size:1rem;color:var(--text);background:var(--page);border:1px solid var(--soft);border-radius:6px;
padding:.3rem .5rem;min-height:2.3rem;width:100%;max-width:18rem}
.tools output{color:var(--soft);padding:.4rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;color:var(--soft);font-size:.86rem;margin-bottom:.5rem}
.legend svg{width:.8em;height:.8em;border-radius:2px}
#list{width:100%;border-collapse:collapse;table-layout:fixed;font-variant-numeric:tabular-nums}
caption{text-align:start;font-size:.86rem;padding-bottom:.4rem}
#list th,#list td{text-align:start;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line)}
thead th{background:var(--band);position:sticky;top:0;z-index:1}
thead th:nth-child(1){width:24%}thead th:nth-child(2){width:7.5rem}thead th:nth-child(3){width:6rem}
thead th:nth-child(4),thead th:nth-child(5){width:7rem}thead th:nth-child(6){width:6rem}thead th:nth-child(7){width:9rem}
#list tr>:nth-child(n+4):nth-child(-n+6){text-align:end}
#list button{font:inherit;font-weight:600;color:inherit;background:none;border:0;padding:0;text-align:inherit;cursor:pointer;max-width:100%}
#list tbody button{color:var(--link)}tbody button:hover{text-decoration:underline}
tbody button::before{content:"\25B8\00A0"}tbody button[aria-expanded=true]::before{content:"\25BE\00A0"}
[aria-sort=ascending] button::after{content:" \2191"}[aria-sort=descending] button::after{content:" \2193"}
tbody svg{display:block;width:100%;height:1.1rem;margin:.15rem 0;background:var(--band);border-radius:3px}
.p0{fill:var(--p0)}.p1{fill:var(--p1)}.p2{fill:var(--p2)}.p3{fill:var(--p3)}.p4{fill:var(--p4)}.p5{fill:var(--p5)}.p6{fill:var(--p6)}.p7{fill:var(--p7)}
.w{display:none}.all .w{display:table-row}
.d>td{background:var(--band);text-align:start}
.d dl{display:grid;grid-template-columns:10rem minmax(0,1fr);gap:.25rem 1rem;margin:0}
.d ul{margin:0;padding-left:1.1rem}
#rest button{font:inherit;color:var(--text);background:var(--band);border:1px solid var(--soft);border-radius:6px;padding:.5rem 1rem;cursor:pointer}
dt{font-weight:600}section>dl>dd{margin:0 0 .9rem}section>dl p{margin:.1rem 0}.of{font-size:.86rem}
@media(max-width:60rem){body{padding:1rem}
#list,#list tbody,#list caption{display:block}#list thead tr{display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:.4rem 0}
#list thead{display:block}#list thead th{position:static;width:auto;background:none;border:0;padding:.2rem 0;text-align:start}
#list thead th:last-child{display:none}
#list tbody tr{display:flex;flex-wrap:wrap;gap:.15rem .9rem;align-items:baseline;border-bottom:1px solid var(--line);padding:.6rem 0}
#list tbody tr[hidden],#list tbody .w{display:none}#list.all tbody .w{display:flex}#list.all tbody .w[hidden]{display:none}
#list tbody th,#list tbody td{border:0;padding:0;text-align:start}
#list tbody td:empty{display:none}
#list tbody th{flex:1 1 100%}#list tbody td:last-child{flex:1 1 100%}
#list tbody td:nth-child(4)::after{content:" items";color:var(--soft)}
#list tbody .d{display:block}.d dl{grid-template-columns:1fr;gap:.1rem}.d dd{margin:0 0 .5rem}}
@media print{body{max-width:none;padding:0;font-size:10pt}.tools,#rest,.skip,thead button::after{display:none}
#list .w{display:table-row}tr{break-inside:avoid}thead th{position:static}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
@media(prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
"""  # noqa: E501 - markup
