"use strict";
// Shows the OpenAPI schema of this installation; text is set as text, never as HTML.

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

function resolve(schema, value, depth = 0) {
  if (!value || depth > 6) return value;
  if (value.$ref) {
    const name = value.$ref.split("/").pop();
    return resolve(schema, schema.components.schemas[name], depth + 1);
  }
  if (value.allOf && value.allOf.length === 1) return resolve(schema, value.allOf[0], depth + 1);
  return value;
}

function outline(schema, value, depth = 0) {
  const shape = resolve(schema, value);
  if (!shape || depth > 4) return "…";
  if (shape.type === "object" && shape.properties) {
    const result = {};
    for (const [name, part] of Object.entries(shape.properties)) {
      result[name] = outline(schema, part, depth + 1);
    }
    return result;
  }
  if (shape.type === "array") return [outline(schema, shape.items, depth + 1)];
  if (shape.enum) return shape.enum.join(" | ");
  return [].concat(shape.type || "any").join(" | ") + (shape.format ? ` (${shape.format})` : "");
}

function jsonContent(part) {
  const content = part && part.content;
  return content && content["application/json"] && content["application/json"].schema;
}

async function send(method, path, inputs, body) {
  let address = path;
  const query = new URLSearchParams();
  const options = { method: method.toUpperCase(), headers: {}, credentials: "same-origin" };
  for (const input of inputs) {
    if (!input.value) continue;
    if (input.dataset.where === "path") {
      address = address.replace(`{${input.name}}`, encodeURIComponent(input.value));
    } else if (input.dataset.where === "header") {
      options.headers[input.name] = input.value;
    } else {
      query.append(input.name, input.value);
    }
  }
  if ([...query].length) address += `?${query}`;
  if (method !== "get") {
    const token = await (await fetch("/api/v1/auth/csrf", { credentials: "same-origin" })).json();
    options.headers["X-CSRFToken"] = token.token;
    if (body) {
      options.headers["Content-Type"] = "application/json";
      options.body = body;
    }
  }
  const response = await fetch(address, options);
  const text = await response.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
  return `${response.status} ${response.statusText}\n\n${shown}`;
}

function operation(schema, path, method, description) {
  const details = element("details", { className: method });
  details.append(element("summary", {}, element("b", { textContent: method.toUpperCase() }), path));
  details.addEventListener("toggle", () => {
    if (!details.open || details.dataset.filled) return;
    details.dataset.filled = "yes";
    if (description.description) details.append(element("p", { textContent: description.description }));
    const inputs = (description.parameters || []).map((parameter) => {
      const input = element("input", { name: parameter.name });
      input.dataset.where = parameter.in;
      details.append(element("label", {}, `${parameter.name} (${parameter.in}) `, input));
      return input;
    });
    const wanted = jsonContent(description.requestBody);
    let body;
    if (wanted) {
      body = element("textarea", { value: JSON.stringify(outline(schema, wanted), null, 2) });
      body.setAttribute("aria-label", "Request body");
      details.append(body);
    }
    for (const [status, answer] of Object.entries(description.responses || {})) {
      const shape = jsonContent(answer);
      if (!shape) continue;
      details.append(element("p", { textContent: `${status} ${answer.description || ""}` }));
      details.append(element("pre", { textContent: JSON.stringify(outline(schema, shape), null, 2) }));
    }
    const output = element("pre", { hidden: true });
    const button = element("button", { textContent: "Send", type: "button" });
    button.addEventListener("click", async () => {
      output.hidden = false;
      try { output.textContent = await send(method, path, inputs, body && body.value); }
      catch (error) { output.textContent = String(error); }
    });
    details.append(button, output);
  });
  return details;
}

async function show() {
  const target = document.getElementById("operations");
  const response = await fetch("/api/schema/?format=json", { headers: { Accept: "application/vnd.oai.openapi+json" } });
  if (!response.ok) throw new Error(`/api/schema/ answered ${response.status}`);
  const schema = await response.json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(schema.paths)) {
    for (const method of METHODS) {
      if (!methods[method]) continue;
      const tag = (methods[method].tags || ["api"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(schema, path, method, methods[method]));
    }
  }
  target.replaceChildren(element("pre", { textContent: schema.info.description || "" }));
  for (const [tag, nodes] of groups) {
    target.append(element("section", {}, element("h2", { textContent: tag }), ...nodes));
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    const text = event.target.value.toLowerCase();
    for (const node of target.querySelectorAll("details")) {
      node.hidden = !node.querySelector("summary").textContent.toLowerCase().includes(text);
    }
  });
}

show().catch((error) => { document.getElementById("operations").textContent = String(error); });
