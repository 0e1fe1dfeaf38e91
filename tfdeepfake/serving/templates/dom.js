// Pieces of a page. All text of strangers goes in by textContent.

export const byId = (id) => document.getElementById(id);
export const say = (text) => { byId("said").textContent = text; };
export const counted = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;
export const seconds = (value) => `${value.toFixed(2)} s`;
export const token = () => (byId("token").value ? { Authorization: `Bearer ${byId("token").value}` } : {});

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
