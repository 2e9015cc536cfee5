// The JSON API. Every failure becomes an Error whose message a person can read.
import { inPage } from "./words.js";

const base = "/api/v1";

export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(method, path, body, signal) {
  let answer;
  try {
    answer = await fetch(base + path, {
      method, signal, credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Problem("mudguard does not answer. Is it running, and is this computer still on its network?", 0);
  }
  const raw = await answer.text();
  let data = null;
  try {
    data = raw ? JSON.parse(raw) : null;
  } catch {
    throw new Problem(`mudguard gave an answer that is no JSON (${answer.status}).`, answer.status);
  }
  if (answer.ok) return data;
  if (answer.status === 401 && path !== "/session") dispatchEvent(new Event("signedout"));
  throw new Problem(inPage(data?.detail) || data?.title || `mudguard refused this (${answer.status}).`, answer.status);
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body) => call("POST", path, body);
export const putJSON = (path, body) => call("PUT", path, body);
export const remove = (path) => call("DELETE", path);

// query makes "?a=1&b=2" of what is not empty.
export function query(values) {
  const q = new URLSearchParams(Object.entries(values).filter(([, v]) => v !== "" && v !== null && v !== undefined));
  return q.size ? `?${q}` : "";
}
