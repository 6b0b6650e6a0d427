"use strict";
(async () => {
  const LONGEST = 100000;
  const at = (id) => document.getElementById(id);

  /** An element with attributes (functions are listeners) and children; text never becomes markup. */
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") made.addEventListener(name, value);
      else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== undefined && child !== null));
    return made;
  }

  /** Text with `code` in it. */
  function prose(text) {
    return (text || "").split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
  }

  const answer = await fetch("/openapi.json");
  const api = await answer.json();

  function resolved(thing) {
    for (let steps = 0; thing && thing.$ref && steps < 16; steps += 1) {
      thing = thing.$ref.slice(2).split("/").reduce((value, key) => value && value[key.replaceAll("~1", "/").replaceAll("~0", "~")], api);
    }
    return thing || {};
  }
  const named = (thing) => (thing.$ref ? thing.$ref.split("/").pop() : "");

  /** What a schema says, in one line. */
  function kind(schema, depth = 0) {
    if (schema === true || !schema || depth > 4) return "anything";
    if (schema.$ref) return named(schema);
    const some = schema.oneOf || schema.anyOf;
    if (some) return [...new Set(some.map((one) => kind(one, depth + 1)))].join(" or ");
    if (schema.allOf) return schema.allOf.map((one) => kind(one, depth + 1)).join(" with ");
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    const types = [schema.type || "anything"].flat();
    const words = types.map((type) => (type === "array" ? `array of ${kind(schema.items, depth + 1)}` : type));
    let text = words.join(" or ");
    if (schema.format) text += ` (${schema.format})`;
    if (schema.minimum !== undefined || schema.maximum !== undefined) text += ` ${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`;
    if (schema.minLength) text += `, at least ${schema.minLength} characters`;
    if (schema.maxLength) text += `, at most ${schema.maxLength} characters`;
    if (schema.minItems) text += `, at least ${schema.minItems}`;
    if (schema.maxItems) text += `, at most ${schema.maxItems}`;
    if (schema.default !== undefined) text += `, else ${JSON.stringify(schema.default)}`;
    return text;
  }

  /** All fields of a schema, those of its parts included. */
  function fields(schema) {
    const whole = resolved(schema);
    const parts = (whole.allOf || []).map(fields);
    const required = whole.required || [];
    const own = Object.entries(whole.properties || {}).map(([name, of]) => ({ name, of, required: required.includes(name) }));
    return [...parts.flat(), ...own];
  }

  /** The schemas that this one names. */
  function below(schema, found = new Map()) {
    const visit = (part) => {
      if (!part || typeof part !== "object") return;
      if (part.$ref && !found.has(part.$ref)) {
        found.set(part.$ref, part);
        visit(resolved(part));
      }
      Object.values(part).forEach(visit);
    };
    visit(schema);
    return found;
  }

  function table(schema) {
    const rows = fields(schema).map(({ name, of, required }) =>
      el("tr", {}, el("td", {}, el("code", {}, name), required ? "" : el("small", {}, " optional")), el("td", {}, kind(of)),
        el("td", {}, ...prose(of.description || resolved(of).description))));
    if (!rows.length) return el("p", {}, kind(resolved(schema)));
    const head = el("tr", {}, ...["field", "type", "meaning"].map((word) => el("th", { scope: "col" }, word)));
    return el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  }

  function shape(schema) {
    const all = [...below(schema).values()].filter((part) => fields(part).length);
    const own = schema.$ref ? [] : [table(schema)];
    return el("details", {}, el("summary", {}, "Schema: ", kind(schema)), ...own,
      ...all.flatMap((part) => [el("h3", {}, named(part)), table(part)]));
  }

  /** An example, the given one or one made from the schema. */
  function sample(media) {
    if (media.example !== undefined) return media.example;
    const first = Object.values(media.examples || {})[0];
    if (first) return resolved(first).value;
    return made(media.schema, 0);
  }
  function made(schema, depth) {
    const whole = resolved(schema);
    if (whole.example !== undefined) return whole.example;
    if (whole.examples) return whole.examples[0];
    if (depth > 6) return null;
    if (whole.allOf) return Object.assign({}, ...whole.allOf.map((part) => made(part, depth + 1)), objects(whole, depth));
    if (whole.oneOf || whole.anyOf) return made((whole.oneOf || whole.anyOf)[0], depth + 1);
    if (whole.enum) return whole.enum[0];
    if (whole.default !== undefined) return whole.default;
    const type = [whole.type].flat()[0];
    if (type === "object" || whole.properties) return objects(whole, depth);
    if (type === "array") return [made(whole.items, depth + 1)];
    return { integer: whole.minimum || 0, number: 0, boolean: true, null: null }[type] ?? "…";
  }
  function objects(whole, depth) {
    return Object.fromEntries(Object.entries(whole.properties || {}).map(([name, of]) => [name, made(of, depth + 1)]));
  }
  const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  /** The form that asks for real, and the same as a command. */
  function trial(method, path, operation) {
    const parameters = (operation.parameters || []).map(resolved);
    const inputs = parameters.map((parameter, index) => {
      const id = `${operation.operationId}-${index}`;
      const example = parameter.example ?? (parameter.in === "path" ? resolved(parameter.schema).example : undefined);
      const input = el("input", { id, class: "value", value: example, required: parameter.required && parameter.in === "path", placeholder: parameter.in });
      return { parameter, input, row: el("div", { class: "row" }, el("label", { for: id }, el("code", {}, parameter.name)), input) };
    });
    const content = resolved(operation.requestBody).content || {};
    const types = Object.keys(content);
    const bodyId = `${operation.operationId}-body`;
    const choice = el("select", { "aria-label": "Type of the body" }, ...types.map((type) => el("option", {}, type)));
    const text = (type) => {
      const value = content[type] ? sample(content[type]) : "";
      return type.endsWith("ndjson") && typeof value !== "string" ? `${[value].flat().map((line) => JSON.stringify(line)).join("\n")}\n` : written(value);
    };
    const body = el("textarea", { id: bodyId, spellcheck: "false" });
    if (types.length) body.value = text(types[0]);
    const command = el("pre", {});
    const result = el("div", { role: "status", "aria-live": "polite" });
    let running = null;

    function asked() {
      let address = path;
      const query = new URLSearchParams();
      const headers = {};
      for (const { parameter, input } of inputs) {
        if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
        else if (input.value !== "" && parameter.in === "query") query.append(parameter.name, input.value);
        else if (input.value !== "" && parameter.in === "header") headers[parameter.name] = input.value;
      }
      if (types.length) headers["Content-Type"] = choice.value;
      const schemes = (operation.security || []).flatMap(Object.keys);
      return { url: address + (query.size ? `?${query}` : ""), headers, schemes };
    }
    function show() {
      const { url, headers, schemes } = asked();
      const lines = [`curl -X ${method} ${quoted(location.origin + url)}`];
      if (schemes.includes("bearer")) lines.push('-H "Authorization: Bearer $INTERNAL_TOKEN"');
      else if (schemes.length) lines.push('-H "X-Internal-Token: $INTERNAL_TOKEN"');
      for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
      if (types.length) lines.push(`--data-binary ${quoted(body.value)}`);
      command.textContent = lines.join(" \\\n  ");
    }
    async function send(event) {
      event.preventDefault();
      if (running) { running.abort(); return; }
      const { url, headers, schemes } = asked();
      const token = at("token").value;
      if (token && schemes.length) headers[schemes.includes("bearer") ? "Authorization" : "X-Internal-Token"] = schemes.includes("bearer") ? `Bearer ${token}` : token;
      running = new AbortController();
      button.textContent = "Stop";
      const shown = el("pre", { tabindex: "0" });
      try {
        const got = await fetch(url, { method, headers, body: types.length ? body.value : undefined, signal: running.signal });
        const line = [...got.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
        result.replaceChildren(el("p", {}, el("strong", {}, `${got.status} ${got.statusText}`)), el("details", {}, el("summary", {}, "Headers"), el("pre", {}, line)), shown);
        const decoder = new TextDecoder();
        let all = "";
        // Piece by piece, because events have no end.
        for (const reader = got.body.getReader(); all.length < LONGEST; ) {
          const { done, value } = await reader.read();
          if (done) break;
          all += decoder.decode(value, { stream: true });
          shown.textContent = all;
        }
        if (all.length >= LONGEST) { running.abort(); shown.textContent = `${all.slice(0, LONGEST)}\n… and more`; }
        else if ((got.headers.get("content-type") || "").includes("json")) {
          try { shown.textContent = JSON.stringify(JSON.parse(all), null, 2); } catch { /* As it came. */ }
        }
      } catch (error) {
        if (error.name !== "AbortError") result.replaceChildren(el("p", {}, `No answer: ${error.message}`));
      }
      running = null;
      button.textContent = "Send";
    }
    const button = el("button", { type: "submit" }, "Send");
    const copy = el("button", { type: "button", click: async () => { await navigator.clipboard.writeText(command.textContent); copy.textContent = "Copied"; } }, "Copy the command");
    choice.addEventListener("change", () => { body.value = text(choice.value); });
    const form = el("form", { class: "try", submit: send, input: show, change: show }, el("h3", {}, "Try it"), ...inputs.map(({ row }) => row),
      types.length ? el("div", { class: "row" }, el("label", { for: bodyId }, "Body"), choice) : null, types.length ? body : null,
      el("div", { class: "row" }, button, copy), command, result);
    show();
    return form;
  }

  function parameters(operation) {
    const rows = (operation.parameters || []).map(resolved).map((parameter) =>
      el("tr", {}, el("td", {}, el("code", {}, parameter.name), parameter.required ? "" : el("small", {}, " optional")), el("td", {}, parameter.in),
        el("td", {}, kind(resolved(parameter.schema))), el("td", {}, ...prose(parameter.description))));
    if (!rows.length) return null;
    const head = el("tr", {}, ...["parameter", "in", "type", "meaning"].map((word) => el("th", { scope: "col" }, word)));
    return el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  }

  function bodies(content) {
    return Object.entries(content || {}).flatMap(([type, media]) =>
      [el("p", {}, el("code", {}, type)), media.schema ? shape(media.schema) : null, el("details", {}, el("summary", {}, "Example"), el("pre", {}, written(sample(media))))]);
  }

  function answers(operation) {
    return Object.entries(operation.responses).map(([status, response]) => {
      const whole = resolved(response);
      return el("details", {}, el("summary", {}, el("strong", {}, status), " ", ...prose(whole.description)), ...bodies(whole.content));
    });
  }

  function details(method, path, operation) {
    const inside = el("div", {});
    const opened = () => {
      if (inside.childElementCount) return;
      const body = resolved(operation.requestBody);
      inside.append(el("p", {}, ...prose(operation.description)), ...[parameters(operation)].filter(Boolean),
        ...(body.content ? [el("h3", {}, "Body"), el("p", {}, ...prose(body.description)), ...bodies(body.content)] : []).filter(Boolean),
        el("h3", {}, "Answers"), ...answers(operation), trial(method, path, operation));
    };
    const box = el("details", { class: "operation", id: operation.operationId, toggle: opened },
      el("summary", {}, el("span", { class: `method ${method.toLowerCase()}` }, method), " ", el("code", {}, path), " ", operation.summary || "",
        operation.security && !operation.security.some((one) => !Object.keys(one).length) ? el("small", {}, " (token)") : ""), inside);
    return box;
  }

  at("version").textContent = api.info.version;
  at("about").append(...prose(api.info.description));
  const all = Object.entries(api.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  for (const tag of api.tags) {
    const own = all.filter(({ operation }) => operation.tags.includes(tag.name));
    at("main").append(el("section", {}, el("h2", {}, tag.name), el("p", {}, ...prose(tag.description)),
      ...own.map(({ path, method, operation }) => details(method, path, operation))));
    at("contents").append(el("strong", {}, tag.name), el("ul", {}, ...own.map(({ path, method, operation }) =>
      el("li", {}, el("a", { href: `#${operation.operationId}` }, operation.summary || `${method} ${path}`)))));
  }
  const jump = () => {
    const target = location.hash && at(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); target.querySelector("summary").focus(); }
  };
  addEventListener("hashchange", jump);
  jump();
})();
