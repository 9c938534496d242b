"""Linked looks: what a reader points at, or reaches with the arrow keys, is shown in every picture of the page.

A look is {axis: tick}, such as {"query": "cat"} or {"arm": "GRU"}; charts and drawings whose axes have the same name share
it. It never goes to the server: it is held by one element of the page. Charts are bound to that element (see
`view.charts.vega`); an entry of a legend, and a part of a drawing, says with `data-look` and `data-tick` what it stands for.

A chart is reached with Tab. The arrow keys then go from mark to mark, as the pointer would, up and down in a chart of lines
from line to line, and what is there goes into the live region of the page.
"""

from __future__ import annotations

LOOK = "look"  # the id of that element
MOMENT = "moment"  # of the one of `view.rewind`
HTML = f'<div id="{LOOK}" hidden></div><div id="{MOMENT}" hidden></div>'
STYLE = f"""<style>
[data-testid=stElementContainer]:has(> [data-testid=stHtml] > #{LOOK}) {{ position: absolute }}
[data-look] {{ transition: opacity 0.1s }}
[data-look].faded {{ opacity: 0.25 }}
[data-testid=stVegaLiteChart]:focus-visible {{ outline: 2px solid currentcolor; outline-offset: 2px; border-radius: 4px }}
</style>"""
JS = """
  if (!window.lookAt) {
    const chart = '[data-testid=stVegaLiteChart]';
    const held = () => document.getElementById('LOOK');
    const look = window.lookAt = value => {
      const place = held();
      if (!place || place.value === value) return;
      place.value = value;
      place.dispatchEvent(new Event('input'));
    };
    // What a chart has found is told by an event that does not bubble.
    document.addEventListener('input', event => {
      if (event.target !== held()) return;
      const looked = event.target.value || {};
      for (const part of document.querySelectorAll('[data-look]')) {
        const tick = looked[part.dataset.look];
        part.classList.toggle('faded', tick !== undefined && tick !== part.dataset.tick);
      }
    }, true);
    const part = event => event.target.closest?.('[data-look]');
    document.addEventListener('pointerover', event => {
      const found = part(event)?.dataset;
      if (found?.look) look({ [found.look]: found.tick });
    });
    // A finger that is lifted has not gone elsewhere: what it has touched is looked at until it touches something else.
    document.addEventListener('pointerout', event => {
      if (event.pointerType !== 'touch' && part(event)?.dataset.look) look(null);
    });
    document.addEventListener('pointerdown', event => {
      if (event.pointerType === 'touch' && !part(event) && !event.target.closest?.(chart)) look(null);
    });

    // With keys: from mark to mark, in a chart that is drawn as vectors. The mark then hears what a pointer would tell it.
    const told = mark => {
      const datum = mark.__data__?.datum;
      const row = mark.__data__?.isVoronoi ? datum?.datum : datum;
      return ['cell', 'bar', 'hover'].includes(row?.kind) ? row.told : undefined;
    };
    const middle = mark => {
      const box = mark.getBoundingClientRect();
      return { mark, x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
    };
    const send = (mark, ...kinds) => {
      const { x, y } = middle(mark);
      for (const kind of kinds) mark.dispatchEvent(new PointerEvent(kind, { bubbles: true, clientX: x, clientY: y }));
    };
    let at = null;
    const leave = () => { if (at?.isConnected) send(at, 'pointerout'); at = null; look(null); };
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    document.addEventListener('keydown', event => {
      if (!event.target.matches?.(chart)) return;
      if (event.key === 'Escape') leave();
      const way = ways[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      const marks = [...event.target.querySelectorAll('.marks path')].filter(told).map(middle);
      if (!marks.length) return;
      // A line is chosen by its entry in the legend, since the places to point at are those of all lines.
      const entries = [...event.target.closest('[data-testid=stVerticalBlock]').querySelectorAll('.legend [data-look]')];
      if (way[1] && entries.length && marks[0].mark.__data__.isVoronoi) {
        event.preventDefault();
        const looked = held().value || {}, among = entries.findIndex(({ dataset }) => looked[dataset.look] === dataset.tick);
        const chosen = entries.at(among < 0 ? (way[1] > 0 ? 0 : -1) : (among + way[1]) % entries.length).dataset;
        leave();
        look({ [chosen.look]: chosen.tick });
        window.say?.(chosen.tick);
        return;
      }
      const now = at?.isConnected && event.target.contains(at) ? middle(at) : null;
      let next = marks[0];
      if (now) {
        const ahead = marks.map(each => {
          const [x, y] = [each.x - now.x, each.y - now.y];
          const [along, aside] = [x * way[0] + y * way[1], Math.abs(x * way[1] + y * way[0])];
          return { each, along, far: along + 4 * aside };
        }).filter(({ along }) => along > 0.5).sort((one, other) => one.far - other.far);
        if (!ahead.length) return;
        next = ahead[0].each;
      }
      event.preventDefault();
      leave();
      at = next.mark;
      send(at, 'pointerover', 'pointermove');
      window.say?.(told(at).replaceAll('\\n', ', '));
    });
    document.addEventListener('focusout', event => event.target.matches?.(chart) && leave());
  }
""".replace("LOOK", LOOK)
