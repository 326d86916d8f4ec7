"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (name, css, text) => {
    const node = document.createElement(name);
    if (css) node.className = css;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // light and dark
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // tabs and panels
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (tab) => {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = !on;
    }
  };
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(place + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  }
  if (tabs.length) choose(tabs[0]);
  for (const select of document.querySelectorAll("select[data-panels]")) {
    const show = () => {
      for (const panel of document.querySelectorAll(`.${select.dataset.panels}`)) panel.hidden = panel.id !== select.value;
    };
    select.addEventListener("change", show);
    show();
  }

  // one line of a chart at a time
  for (const chart of document.querySelectorAll("svg.lines")) {
    const light = (name) => {
      chart.classList.toggle("focus", Boolean(name));
      for (const part of chart.querySelectorAll("[data-series]")) part.classList.toggle("on", part.dataset.series === name);
    };
    for (const part of chart.querySelectorAll("[data-series]")) {
      part.addEventListener("pointerenter", () => light(part.dataset.series));
      part.addEventListener("pointerleave", () => light(null));
    }
  }

  // where we are
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.classList.remove("here");
      links.get(entry.target.id)?.classList.add("here");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  // transcripts
  const unpack = async () => {
    const packed = JSON.parse($("data").textContent).gzip;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const browse = (data) => {
    const box = { group: $("f-group"), persona: $("f-persona"), ending: $("f-ending"), code: $("f-code"), text: $("f-text") };
    const list = $("sessions"), reader = $("reader");
    const name = (source) => ({ planted: "planted", expert: "expert" })[data.sources[source]] ?? data.sources[source];
    let shown = [], current = -1, match = -1;

    const fill = (select, values) => {
      select.append(new Option("all", ""));
      for (const value of values) select.append(new Option(value, value));
    };
    const distinct = (key) => [...new Set(data.sessions.map((session) => session[key]))];
    fill(box.group, distinct("group"));
    fill(box.persona, distinct("persona").sort((a, b) => a.localeCompare(b)));
    fill(box.ending, distinct("ending"));
    box.code.append(new Option("all", ""));
    for (const [source, who] of data.sources.entries()) {
      const used = new Set(data.sessions.flatMap((s) => s.turns.flatMap((t) => t[2].filter((c) => c[0] === source).map((c) => c[1]))));
      const group = document.createElement("optgroup");
      group.label = who;
      for (const code of [...used].sort((a, b) => data.codes[a][0].localeCompare(data.codes[b][0]))) group.append(new Option(data.codes[code][0], `${source}.${code}`));
      box.code.append(group);
    }

    const wanted = () => {
      const code = box.code.value ? box.code.value.split(".").map(Number) : null;
      const text = box.text.value.trim().toLowerCase();
      return { code, text, active: Boolean(code || text) };
    };
    const matches = (turn, want) =>
      (!want.code || turn[2].some((c) => c[0] === want.code[0] && c[1] === want.code[1])) &&
      (!want.text || turn[1].toLowerCase().includes(want.text));

    const filter = () => {
      const want = wanted();
      const keep = (session) =>
        ["group", "persona", "ending"].every((key) => !box[key].value || session[key] === box[key].value) &&
        (!want.active || session.turns.some((turn) => matches(turn, want)));
      shown = data.sessions.filter(keep);
      $("found").textContent = `${shown.length} of ${data.sessions.length} sessions`;
      list.replaceChildren(...shown.map((session, place) => {
        const item = make("li");
        item.id = `session-${place}`;
        item.setAttribute("role", "option");
        item.append(make("span", "", `${session.persona} · ${session.group}`));
        item.append(make("small", "", `${session.turns.length} turns, ${session.ending.toLowerCase()}${session.topic ? `, ${session.topic}` : ""}`));
        item.addEventListener("click", () => open(place));
        return item;
      }));
      open(shown.length ? 0 : -1);
    };

    const open = (place) => {
      current = place;
      match = -1;
      for (const [at, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(at === place));
      if (place < 0) {
        reader.replaceChildren(make("p", "quiet", "No session fits these filters."));
        list.removeAttribute("aria-activedescendant");
        return;
      }
      list.setAttribute("aria-activedescendant", `session-${place}`);
      const item = list.children[place];
      if (item.offsetTop < list.scrollTop || item.offsetTop + item.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = item.offsetTop - list.offsetTop - 40;
      const session = shown[place], want = wanted();
      const facts = [`${session.group}`, `replicate ${session.replicate}`, `session ${session.session + 1}`, session.ending, ...session.scores, `course ${session.id}`];
      reader.replaceChildren(make("h3", "", session.persona), make("p", "facts", facts.join(" · ")), ...session.turns.map((turn) => draw(turn, want)));
      reader.scrollTop = 0;
    };

    const draw = (turn, want) => {
      const role = data.roles[turn[0]];
      const node = make("div", role === "client" ? "turn client" : "turn");
      if (want.active && matches(turn, want)) node.classList.add("match");
      node.append(make("div", "who", turn[3] ? `${role} · probe: ${turn[3]}` : role));
      node.append(words(turn, want.text));
      const chips = chipsOf(turn[2]);
      if (chips.length) {
        const row = make("div", "chips");
        row.append(...chips);
        node.append(row);
      }
      return node;
    };

    // the first source's codes as chips; who agrees is named on them, who differs has a dashed chip beside
    const chipsOf = (codes) => {
      const chips = [], first = new Map();
      for (const [source, code] of codes) {
        const [label, book, key, , css] = data.codes[code];
        const place = `${book}/${key}`;
        const before = first.get(place);
        if (before && before.code === code) {
          before.also.push(name(source));
          continue;
        }
        const chip = { source, code, label, css, also: [], differs: Boolean(before) };
        if (!before) first.set(place, chip);
        chips.push(chip);
      }
      return chips.map((chip) => {
        const node = make("span", `chip ${chip.css}${chip.differs ? " differs" : ""}`);
        node.append(make("b", "", chip.label));
        const who = [name(chip.source), ...chip.also].join(" = ");
        if (data.sources.length > 1) node.append(chip.differs ? ` ${who}` : chip.also.length ? " ✓" : "");
        node.title = `${chip.differs ? "differs: " : ""}${chip.label} by ${who}`;
        return node;
      });
    };

    // a turn's text, with what was searched for, or else the evidence that a coder quotes
    const words = (turn, search) => {
      const node = make("p"), text = turn[1], spans = [];
      if (search) {
        for (let at = text.toLowerCase().indexOf(search); at >= 0; at = text.toLowerCase().indexOf(search, at + search.length)) spans.push([at, at + search.length, "hit"]);
      } else {
        const quoted = turn[2].find((code) => code.length === 4 && code[3] > code[2]);
        if (quoted) spans.push([quoted[2], quoted[3], data.codes[quoted[1]][4]]);
      }
      let at = 0;
      for (const [start, end, css] of spans) {
        node.append(text.slice(at, start), make("mark", css, text.slice(start, end)));
        at = end;
      }
      node.append(text.slice(at));
      return node;
    };

    const jump = (step) => {
      const found = [...reader.querySelectorAll(".match")];
      if (!found.length) return;
      found[match]?.classList.remove("now");
      match = (match + step + found.length) % found.length;
      found[match].classList.add("now");
      found[match].scrollIntoView({ block: "nearest" });
    };

    for (const field of Object.values(box)) field.addEventListener("input", filter);
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    list.addEventListener("keydown", (event) => {
      const place = { ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (place === undefined) return;
      event.preventDefault();
      if (place >= 0 && place < shown.length) open(place);
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
      if (event.key === "/") { event.preventDefault(); box.text.focus(); }
      if (event.key === "n") jump(1);
      if (event.key === "p") jump(match < 0 ? 0 : -1);
    });
    $("browser").hidden = false;
    filter();
  };

  unpack().then(browse).catch(() => {
    $("sampling").textContent += " This browser cannot unpack them (it lacks DecompressionStream); the dataset beside the report holds them all.";
  });
})();
