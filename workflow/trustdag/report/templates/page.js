// What the page does: tables that sort, and two explorers that filter and search. It needs no other file, and works
// from a disk. All text comes in by textContent, so that no reply can become markup.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const json = (id) => JSON.parse(byId(id).textContent);
  const NUMBER_ROWS = 40, REPLY_ITEMS = 10, SHOWN_POLICIES = 6;
  const MINUS = "\u2212", DASH = "\u2013";

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // ---- numbers and texts

  const fixed = (value) => value === null ? DASH : (Math.round(value * 1000) / 1000 + 0).toFixed(3).replace("-", MINUS);
  const signed = (value) => value === null ? DASH : (value > 0 ? "+" : "") + fixed(value);
  const interval = (low, high) => low === null || high === null ? "" : ` [${fixed(low)}, ${fixed(high)}]`;

  function highlighted(text, words) {
    if (!words.length) return [text];
    const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    // With one group, split gives the texts between the matches at even places and the matches at odd ones.
    return text.split(new RegExp(`(${pattern})`, "giu")).map((part, place) => place % 2 ? element("mark", {}, part) : part);
  }

  // ---- sorting

  function sortButtons(table, sort) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if ("unsorted" in head.dataset) return;
      const button = element("button", {type: "button"}, ...head.childNodes);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction);
        sort(column, direction === "ascending" ? 1 : -1);
      });
      head.append(button);
    });
  }

  // Numbers sort as numbers before texts; what is missing comes last in either direction.
  function compare(a, b, direction) {
    const gone = (value) => value === null || value === "";
    if (gone(a) || gone(b)) return gone(a) - gone(b);
    if (typeof a === "number" && typeof b === "number") return direction * (a - b);
    return direction * String(a).localeCompare(String(b), "en", {numeric: true});
  }

  function cellValue(cell) {
    if (!cell) return null;
    const text = "sort" in cell.dataset ? cell.dataset.sort : cell.textContent.trim();
    const number = Number(text.replace(MINUS, "-").replace(/,/g, ""));
    return text !== "" && !Number.isNaN(number) ? number : text;
  }

  function makeSortable(table) {
    sortButtons(table, (column, direction) => {
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => ({row, value: cellValue(row.cells[column])}));
      rows.sort((a, b) => compare(a.value, b.value, direction));
      body.append(...rows.map(({row}) => row));
    });
  }

  // ---- choices

  function fill(select, values, all, shown = (value) => value) {
    const kept = select.value;
    select.replaceChildren(...(all ? [element("option", {value: ""}, all)] : []),
      ...values.map((value) => element("option", {value}, shown(value))));
    if (values.includes(kept)) select.value = kept;
  }

  const distinct = (values) => [...new Set(values)];

  function hideIfAlone(select) {
    select.closest("label").hidden = select.options.length < 3;
  }

  // ---- the answer's cards: one filter for all

  function cardFilter() {
    const controls = byId("answer-controls");
    const rows = [...document.querySelectorAll(".card tr[data-recipe]")];
    const selects = ["model", "preferences", "recipe"].map((name) => {
      const select = byId(`answer-${name}`);
      fill(select, distinct(rows.map((row) => row.dataset[name])).filter(Boolean), "all");
      hideIfAlone(select);
      select.addEventListener("change", apply);
      return [name, select];
    });
    function apply() {
      for (const row of rows) row.hidden = selects.some(([name, select]) => select.value && row.dataset[name] !== select.value);
    }
    controls.hidden = false;
  }

  // ---- numbers by condition, facet and seed

  function numbersExplorer() {
    const data = json("data-numbers");
    const table = byId("numbers-table"), status = byId("numbers-status"), more = byId("numbers-more");
    const names = ["vertical", "metric", "by", "condition", "model", "recipe", "seed"];
    // `topic=greed` is the topic greed; other conditions are those under which items were asked.
    const facet = (condition) => condition.includes("=") ? condition.split("=")[0] : condition === "all" ? "whole" : "condition";
    const named = (condition) => condition.slice(condition.indexOf("=") + 1);
    const select = Object.fromEntries(names.map((name) => [name, byId(`numbers-${name}`)]));
    const read = {
      vertical: (row) => data.vertical[row[0]], metric: (row) => data.metric[row[1]],
      by: (row) => facet(data.condition[row[2]]), condition: (row) => data.condition[row[2]], model: (row) => data.policies[row[3]].model,
      recipe: (row) => data.policies[row[3]].recipe, seed: (row) => data.policies[row[3]].seed,
    };
    const sorted = [read.vertical, read.metric, read.condition, (row) => data.policies[row[3]].label,
      (row) => row[4], (row) => row[6], (row) => row[9], (row) => row[12]];
    let rows = data.rows, shown = NUMBER_ROWS;

    function cells(row) {
      return [
        data.vertical[row[0]], data.metric[row[1]], data.condition[row[2]], data.policies[row[3]].label,
        `${row[4]} of ${row[5]}`, fixed(row[6]) + interval(row[7], row[8]),
        row[9] === null ? "" : signed(row[9]) + interval(row[10], row[11]), row[12],
      ];
    }
    function draw() {
      table.tBodies[0].replaceChildren(...rows.slice(0, shown).map((row) =>
        element("tr", {}, ...cells(row).map((text, place) => element("td", place > 3 ? {class: "count"} : {}, text)))));
      status.textContent = `${rows.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} numbers`;
      more.hidden = shown >= rows.length;
    }
    function filter() {
      const wanted = names.filter((name) => select[name].value).map((name) => [read[name], select[name].value]);
      rows = data.rows.filter((row) => wanted.every(([reader, value]) => reader(row) === value));
      shown = NUMBER_ROWS;
      draw();
    }
    function narrow() {
      const vertical = select.vertical.value;
      const own = data.rows.filter((row) => !vertical || read.vertical(row) === vertical);
      for (const name of ["metric", "by"]) fill(select[name], distinct(own.map(read[name])), "all");
      const by = select.by.value, asked = own.filter((row) => !by || read.by(row) === by);
      fill(select.condition, distinct(asked.map(read.condition)), "all", by ? named : (value) => value);
    }
    for (const name of names) {
      fill(select[name], distinct(data.rows.map(read[name])).filter(Boolean), "all");
      select[name].addEventListener("change", () => { if (["vertical", "by"].includes(name)) narrow(); filter(); });
      if (["model", "seed"].includes(name)) hideIfAlone(select[name]);
    }
    sortButtons(table, (column, direction) => {
      rows = [...rows].sort((a, b) => compare(sorted[column](a), sorted[column](b), direction));
      draw();
    });
    more.addEventListener("click", () => { shown += NUMBER_ROWS; draw(); });
    document.querySelectorAll("a[data-numbers]").forEach((link) => link.addEventListener("click", () => {
      select.vertical.value = link.dataset.numbers;
      narrow();
      filter();
    }));
    filter();
  }

  // ---- replies

  const loaded = {}, waiting = {};
  window.trustdagReplies = (vertical, data) => { waiting[vertical](data); };

  // A vertical's replies: from this page, or from a script file beside it, as a page on a disk may not fetch.
  function load(vertical, files) {
    loaded[vertical] ||= new Promise((resolve, reject) => {
      if (byId(`reply-data-${vertical}`)) return resolve(json(`reply-data-${vertical}`));
      waiting[vertical] = resolve;
      const script = element("script", {src: files[vertical]});
      script.addEventListener("error", () => reject(new Error(`this is a copy of the page without its replies: ${files[vertical]} is not beside this page`)));
      document.head.append(script);
    }).then((data) => prepared(vertical, data));
    return loaded[vertical];
  }

  // To each item: its place, the text that is searched, and the policies' texts, headline readings and headline values,
  // each policy's by itself, as a reader may leave policies out.
  function prepared(vertical, data) {
    data.items.forEach((item, place) => {
      item.texts = data.policies.map((policy) => policy.replies[place]
        .map((reply) => data.texts[Array.isArray(reply) ? reply[0] : reply]).join("\n").toLowerCase());
      const headlines = data.policies.map(({scores}) => scores[place].filter((_, index, all) => index % 2 && all[index - 1] === data.headline));
      item.readings = headlines.map((values) => values.map((value) => typeof value === "number" ? "parsed" : value));
      item.values = headlines.map((values) => values.filter((value) => typeof value === "number"));
      const question = [item.id, ...item.messages.map(([, text]) => text), ...item.options].join("\n").toLowerCase();
      Object.assign(item, {place, data, vertical, question, spread: 0});
    });
    return data.items;
  }

  // How far the headline values of these policies lie apart.
  function spread(item, policies) {
    const values = policies.flatMap((place) => item.values[place]);
    return values.length > 1 ? Math.max(...values) - Math.min(...values) : 0;
  }

  function replyBlock(item, policy, name, words) {
    const {data, place} = item, scores = policy.scores[place], notes = [];
    const told = (value) => typeof value === "number" ? fixed(value) : value;
    const [metric, ...samples] = policy.samples[place];
    const texts = policy.replies[place].map((reply, sample) => {
      const [text, why] = Array.isArray(reply) ? reply : [reply, null];
      const note = [why, sample < samples.length ? `${data.metrics[metric]}: ${told(samples[sample])}` : null].filter(Boolean).join(" \u00b7 ");
      const shown = data.texts[text] === "" ? [element("i", {}, "(empty)")] : highlighted(data.texts[text], words);
      return element("p", {class: "reply"}, ...shown, note ? element("small", {}, note) : null);
    });
    const options = policy.options[place], best = Math.max(...options.filter((value) => value !== null));
    options.forEach((value, option) => texts.push(element("p", {class: "reply"},
      element(value === best ? "b" : "span", {}, ...highlighted(item.options[option], words)),
      element("small", {}, `log-probability ${fixed(value)}${value === best ? ", the likeliest" : ""}`))));
    for (let even = 0; even < scores.length; even += 2) {
      notes.push(`${data.metrics[scores[even]]}: ${told(scores[even + 1])}`);
    }
    const count = policy.replies[place].length;
    const head = name + (count > 1 ? ` (${count} samples, all scored)` : "");
    return element("div", {}, element("h5", {}, head), ...texts, element("small", {}, (samples.length ? "Over all samples: " : "") + notes.join(" \u00b7 ")));
  }

  function itemBlock(item, index, policies, words) {
    const chips = [item.vertical, item.condition, `headline differs by ${fixed(item.spread)}`];
    const head = element("h4", {}, element("code", {}, item.id), ...chips.flatMap((text) => [" ", element("span", {class: "chip"}, text)]));
    const prompt = element("div", {class: "prompt"}, ...item.messages.map(([role, text]) =>
      element("p", {}, element("span", {class: "role"}, role), " ", ...highlighted(text, words))));
    const gold = Object.entries(item.gold).flatMap(([name, value], place) =>
      [place ? " \u00b7 " : "", element("b", {}, name), ` ${value}`]);
    const replies = element("div", {class: "replies"},
      ...policies.map((place) => replyBlock(item, item.data.policies[place], index.labels[place], words)));
    return element("article", {class: "example"}, head, prompt, gold.length ? element("p", {class: "gold"}, ...gold) : null, replies);
  }

  function repliesExplorer() {
    const index = json("data-replies");
    const control = Object.fromEntries(["search", "vertical", "condition", "reading", "order", "policies", "list", "status", "more"]
      .map((name) => [name, byId(`replies-${name}`)]));
    const ORDERS = ["changed most first", "as asked"];
    let items = [], matches = [], shown = REPLY_ITEMS, turn = 0;
    fill(control.vertical, index.verticals, "all");
    control.vertical.value = index.verticals[0] || "";
    fill(control.order, ORDERS);
    index.labels.forEach((label, place) => {
      const box = element("input", {type: "checkbox", value: place});
      box.checked = place < SHOWN_POLICIES;
      control.policies.append(element("label", {}, box, label));
    });
    const chosen = () => [...control.policies.querySelectorAll("input:checked")].map((box) => Number(box.value));
    const words = () => distinct(control.search.value.toLowerCase().split(/\s+/).filter(Boolean));

    function draw() {
      const policies = chosen(), wanted = words();
      control.list.replaceChildren(...matches.slice(0, shown).map((item) => itemBlock(item, index, policies, wanted)));
      control.more.hidden = shown >= matches.length;
    }
    function search() {
      const start = performance.now(), wanted = words(), policies = chosen();
      const condition = control.condition.value, reading = control.reading.value;
      matches = items.filter((item) => (!condition || item.condition === condition) &&
        (!reading || policies.some((place) => item.readings[place].includes(reading))) && wanted.every((word) =>
        item.question.includes(word) || policies.some((place) => item.texts[place].includes(word))));
      for (const item of matches) item.spread = spread(item, policies);
      if (control.order.value === ORDERS[0]) matches.sort((a, b) => b.spread - a.spread);
      const taken = performance.now() - start;
      shown = REPLY_ITEMS;
      draw();
      control.status.dataset.milliseconds = taken;
      control.status.textContent = `${matches.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} items`;
    }
    async function choose() {
      const own = ++turn, verticals = control.vertical.value ? [control.vertical.value] : index.verticals;
      control.status.textContent = "loading";
      try {
        const parts = await Promise.all(verticals.map((vertical) => load(vertical, index.files)));
        if (own !== turn) return;
        items = parts.flat();
      } catch (error) {
        control.status.textContent = error.message;
        return;
      }
      fill(control.condition, distinct(items.map((item) => item.condition)), "all");
      fill(control.reading, distinct(items.flatMap((item) => item.readings.flat())), "all");
      search();
    }
    let pause = 0;
    control.search.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(search, 120); });
    control.vertical.addEventListener("change", choose);
    for (const name of ["condition", "reading", "order"]) control[name].addEventListener("change", search);
    control.policies.addEventListener("change", search);
    control.more.addEventListener("click", () => { shown += REPLY_ITEMS; draw(); });
    // The replies are read when they come into view: a page of thousands opens at once.
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) { seen.disconnect(); choose(); }
    }, {rootMargin: "1500px"});
    seen.observe(control.status);
    control.search.addEventListener("focus", () => { seen.disconnect(); if (!items.length) choose(); }, {once: true});
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  if (byId("answer-controls")) cardFilter();
  if (byId("data-numbers")) numbersExplorer();
  if (byId("data-replies")) repliesExplorer();
  const opened = [];
  window.addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((box) => {
    box.open = true;
    opened.push(box);
  }));
  window.addEventListener("afterprint", () => opened.splice(0).forEach((box) => { box.open = false; }));
})();
