"use strict";
// The table of samples: only the rows in view exist. Texts are set as text, never as HTML.
(async () => {
  const $ = (id) => document.getElementById(id);
  const grid = $("grid"), body = $("body"), form = $("filters"), dialog = $("sample"), sheet = $("sheet");
  const unpack = (node) => {
    const bytes = Uint8Array.from(atob(node.textContent), (c) => c.charCodeAt(0));
    node.remove();
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };
  const make = (tag, text, kind, ...inner) => {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    if (kind) node.className = kind;
    node.append(...inner);
    return node;
  };
  if (!("DecompressionStream" in window)) {
    $("count").textContent = "This browser is too old for the table; kept.jsonl and dropped.jsonl hold the same samples.";
    return;
  }
  const shown = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");
  const data = await unpack($("columns")), total = data.id.length, texts = new Array(total), lower = new Array(total);
  const words = data.causes.map((causes) => causes.join("; "));
  const members = new Map();
  data.group.forEach((leader, row) => {
    if (leader >= 0) members.has(leader) ? members.get(leader).push(row) : members.set(leader, [row]);
  });
  let loaded = 0, clean = null, view = Uint32Array.from({ length: total }, (_, row) => row), active = 0, opened = -1, sort = ["score", 1];

  const load = async (node) => {
    for (const each of await unpack(node)) {
      texts[loaded] = each;
      lower[loaded] = `${data.id[loaded]}\n${each[0]}\n${each[1]}`.toLowerCase();
      loaded += 1;
    }
  };

  // ---- filters and order
  const option = (select, value, text) => select.append(new Option(text, value));
  const counted = new Map();
  data.cause.forEach((set) => data.causes[set].forEach((cause) => counted.set(cause, (counted.get(cause) || 0) + 1)));
  [...counted].sort((a, b) => b[1] - a[1]).forEach(([cause, count]) => option(form.cause, cause, `${cause} (${count.toLocaleString("en")})`));
  data.domains.forEach((domain, number) => option(form.domain, number, domain));
  [...members].filter(([, rows]) => rows.length > 1).sort((a, b) => b[1].length - a[1].length).slice(0, 50)
    .forEach(([leader, rows]) => option(form.group, leader, `${rows.length} × ${data.id[leader]}`));

  const filter = () => {
    const query = form.query.value.trim().toLowerCase(), { decision, cause, domain, group } = Object.fromEntries(new FormData(form));
    const sets = data.causes.map((causes) => !cause || causes.includes(cause)), found = [];
    for (let row = 0; row < total; row += 1) {
      if (!sets[data.cause[row]] || (domain && data.domain[row] !== +domain)) continue;
      if (decision && (decision === "owner" ? data.by[row] !== "owner" : data.kept[row] !== +decision)) continue;
      if (group && (group === "any" ? data.group[row] < 0 : data.group[row] !== +group)) continue;
      if (!query || (lower[row] || "").includes(query)) found.push(row);
    }
    view = Uint32Array.from(found);
    order();
  };
  const order = () => {
    const [name, direction] = sort, column = data[name], texts = name === "cause" ? words : name === "domain" ? data.domains : null;
    const rank = texts && [...texts.keys()].sort((a, b) => (texts[a] < texts[b] ? -1 : 1)).reduce((ranks, value, place) => ((ranks[value] = place), ranks), []);
    const key = rank ? (row) => rank[column[row]] : (row) => column[row];
    if (name === "score") direction < 0 ? view.sort((a, b) => b - a) : view.sort(); // rows come in the order of scores
    else view.sort((a, b) => direction * (key(a) - key(b)) || a - b);
    for (const button of grid.querySelectorAll("[data-sort]")) {
      if (button.dataset.sort === name) button.parentNode.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else button.parentNode.removeAttribute("aria-sort");
    }
    active = 0;
    grid.scrollTop = 0;
    const part = view.length === total ? "" : ` of ${total.toLocaleString("en")}`;
    $("count").textContent = `${view.length.toLocaleString("en")}${part} ${total === 1 ? "sample" : "samples"}${loaded < total && form.query.value ? "; texts are still being read" : ""}`;
    $("none").hidden = view.length > 0;
    grid.setAttribute("aria-rowcount", view.length + 1);
    draw(true);
  };

  // ---- rows in view
  let height = 0, first = -1, last = -1;
  const cell = (kind, ...inner) => {
    const node = make("div", "", kind, ...inner);
    node.setAttribute("role", "gridcell");
    return node;
  };
  const line = (place) => {
    const row = view[place], node = make("div"), kept = data.kept[row], text = texts[row] || ["…", "…"];
    node.id = `row-${place}`;
    node.setAttribute("role", "row");
    node.setAttribute("aria-rowindex", place + 2);
    node.style.top = `${place * height}px`;
    node.append(
      cell("", make("span", kept ? "kept" : "dropped", kept ? "chip kept" : "chip")), cell("num", shown(data.score[row])),
      cell("why", data.by[row] === "owner" ? "decided by you" : words[data.cause[row]] || "like good samples"),
      cell("pair", make("b", text[0].slice(0, 300)), make("span", text[1].slice(0, 300))),
      cell("where", data.domains[data.domain[row]]), cell("num size", data.length[row].toLocaleString("en")));
    node.querySelector(".where").title = data.domains[data.domain[row]]; // a long name is cut
    return node;
  };
  const draw = (anew) => {
    height = parseFloat(getComputedStyle(grid).getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
    body.style.height = `${view.length * height}px`;
    const from = Math.max(0, Math.floor(grid.scrollTop / height) - 5), to = Math.min(view.length, from + Math.ceil(grid.clientHeight / height) + 10);
    if (anew || from !== first || to !== last) body.replaceChildren(...Array.from({ length: to - from }, (_, step) => line(from + step)));
    [first, last] = [from, to];
    body.querySelector(".active")?.classList.remove("active");
    const now = $(`row-${active}`);
    now?.classList.add("active");
    if (now) grid.setAttribute("aria-activedescendant", now.id);
    else grid.removeAttribute("aria-activedescendant");
  };
  const move = (place) => {
    active = Math.max(0, Math.min(view.length - 1, place));
    const head = grid.firstElementChild.offsetHeight, top = active * height, bottom = top + height;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (bottom > grid.scrollTop + grid.clientHeight - head) grid.scrollTop = bottom - grid.clientHeight + head;
    draw();
  };

  // ---- one sample
  const section = (title, ...nodes) => sheet.append(make("h3", title), ...nodes);
  const quote = (text) => { // what stands between two fences is code
    const parts = text.split(/^(```[^\n]*\n[^]*?^```)\n?/m).filter((part) => part);
    const code = (part) => Object.assign(make("code", part), { tabIndex: 0 }); // it scrolls, also by keys
    return make("p", "", "quote", ...parts.map((part) => (part.startsWith("```") ? code(part) : part)));
  };
  const opener = (row) => {
    const button = make("button", texts[row] ? texts[row][0].slice(0, 200) : data.id[row], "link cut");
    button.type = "button";
    button.onclick = () => open(row);
    return button;
  };
  const bars = (row) => {
    const list = make("div", "", "bars");
    for (const [name, values] of Object.entries(data.features)) {
      const [low, high, under, middle, over] = data.bands[name], span = high - low || 1;
      const at = (value) => 100 * Math.max(0, Math.min(1, (value - low) / span)), track = make("div", "", "track");
      track.setAttribute("role", "img");
      track.setAttribute("aria-label", `${name}: ${shown(values[row])}; most clean samples are between ${shown(under)} and ${shown(over)}`);
      for (const [kind, left, width] of [["band", at(under), at(over) - at(under)], ["mid", at(middle)], ["own", at(values[row])]]) {
        const mark = make("span", "", kind);
        mark.style.left = `${left}%`;
        if (width !== undefined) mark.style.width = `${Math.max(width, 0.6)}%`;
        track.append(mark);
      }
      list.append(make("span", name), track, make("span", shown(values[row]), "num"));
    }
    return list;
  };
  const open = (row) => {
    opened = view.indexOf(row);
    const [prompt, response, reason, earlier] = texts[row] || ["…", "…", "", []], kept = data.kept[row];
    $("place").textContent = opened < 0 ? "" : `${(opened + 1).toLocaleString("en")} of ${view.length.toLocaleString("en")}`;
    $("previous").disabled = opened <= 0;
    $("next").disabled = opened < 0 || opened >= view.length - 1;
    const title = make("h2", data.id[row]);
    title.id = "sample-title";
    const by = { owner: "by you", check: "by a check", threshold: "by the threshold" }[data.by[row]];
    const why = !kept && words[data.cause[row]] ? `: ${words[data.cause[row]]}` : "";
    sheet.replaceChildren(title, make("div", "", "facts", make("span", kept ? "kept" : "dropped", kept ? "chip kept" : "chip"),
      make("span", `${by}${why}; score ${shown(data.score[row])}; domain ${data.domains[data.domain[row]]}`)), make("p", `${reason}.`, "note"));
    for (const [role, text] of earlier) section(`Earlier turn, ${role}`, quote(text));
    section("Prompt", quote(prompt));
    section("Response", quote(response));
    if (Object.keys(data.features).length) section("Features (● this sample; band: most clean samples; line: their median)", bars(row));
    const near = clean && clean[data.nearest[row]];
    if (near) section(`Nearest clean sample, by shared words (likeness ${data.likeness[row]} of 1): ${near[0]}`, quote(`${near[1]}\n\n${near[2]}`));
    const copies = (members.get(data.group[row]) || []).filter((other) => other !== row);
    if (copies.length) {
      section(`Near-copies (${copies.length})`, ...copies.slice(0, 20).map(opener));
      const all = make("button", `Show this group in the table`, "link");
      all.onclick = () => {
        if (![...form.group.options].some((each) => each.value === String(data.group[row]))) option(form.group, data.group[row], `${copies.length + 1} × ${data.id[data.group[row]]}`);
        form.reset();
        form.group.value = data.group[row];
        filter();
        dialog.close();
      };
      sheet.append(all);
    }
    if (!dialog.open) dialog.showModal();
    sheet.focus();
    dialog.scrollTop = 0;
  };
  const turn = (step) => {
    if (opened < 0 || !(opened + step in view)) return;
    move(opened + step);
    open(view[opened + step]);
  };

  // ---- events
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  grid.addEventListener("scroll", () => draw(), { passive: true });
  addEventListener("resize", () => draw(true));
  grid.addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]"), row = event.target.closest(".body [role=row]");
    if (button) {
      sort = [button.dataset.sort, sort[0] === button.dataset.sort ? -sort[1] : 1];
      order();
    } else if (row) {
      move(+row.id.slice(4));
      open(view[active]);
    }
  });
  grid.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(grid.clientHeight / height) - 2);
    const places = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: view.length - 1 };
    if (event.target !== grid || !view.length) return;
    if (event.key in places) move(places[event.key]);
    else if (event.key === "Enter") open(view[active]);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("keydown", (event) => ({ ArrowLeft: () => turn(-1), ArrowRight: () => turn(1) })[event.key]?.());
  $("previous").onclick = () => turn(-1);
  $("next").onclick = () => turn(1);
  $("close").onclick = () => dialog.close();
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open], [data-cause]");
    if (!button) return;
    if (button.dataset.open) return open(+button.dataset.open);
    form.reset();
    setTimeout(() => {
      form.cause.value = button.dataset.cause;
      form.decision.value = "0";
      filter();
      $("samples").scrollIntoView();
      grid.focus({ preventScroll: true });
    });
  });

  // ---- the lowest samples first, then the rest
  const waiting = document.querySelector(".texts");
  if (waiting) await load(waiting);
  order();
  document.body.dataset.state = "first";
  if (document.readyState === "loading") await new Promise((done) => document.addEventListener("DOMContentLoaded", done));
  clean = await unpack($("clean"));
  for (const part of document.querySelectorAll(".texts")) await load(part);
  form.query.value ? filter() : draw(true);
  document.body.dataset.state = "ready";
})();
