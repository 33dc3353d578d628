// Python in the browser, in a thread of its own: a long question does not stop the page.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const here = (name) => new URL(name, import.meta.url).href;

async function start() {
  const python = await loadPyodide({ indexURL: here("./pyodide/") });
  const code = await (await fetch(here("./sklearn_causalrec.zip"))).arrayBuffer();
  python.unpackArchive(code, "zip", { extractDir: "/code" });
  python.runPython("import sys; sys.path.insert(0, '/code')");
  return python.pyimport("answer").answer_json;
}

const ready = start();

onmessage = async ({ data }) => {
  try {
    const ask = await ready;
    postMessage({ found: JSON.parse(ask(...data)) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
