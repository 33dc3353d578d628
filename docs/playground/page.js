// The form of the playground. Answers come from worker.js, escaped by answer.py.
(() => {
  const form = document.getElementById("playground-form");
  const part = (name) => form.elements.namedItem(name);
  const asked = ["graph", "outcome", "treatment", "given"];
  const status = document.getElementById("playground-status");
  const places = { drawing: "playground-drawing", found: "playground-found" };
  const PATIENCE = 20000; // milliseconds, from when Python has started
  let worker = null;
  let started = false;

  function show(found) {
    for (const [key, id] of Object.entries(places)) {
      document.getElementById(id).innerHTML = found[key];
    }
    form.dataset.state = found.state;
  }

  function ask() {
    const values = asked.map((name) => part(name).value);
    const query = new URLSearchParams(asked.map((name, k) => [name, values[k]]));
    history.replaceState(null, "", "#" + query); // an address that can be passed on
    status.textContent = started ? "Thinking …" : "Starting Python (12 MB, once) …";
    form.dataset.state = "busy";
    worker ??= new Worker(new URL("worker.js", form.dataset.folder), { type: "module" });
    const clock = setTimeout(stop, started ? PATIENCE : 6 * PATIENCE);
    worker.onmessage = ({ data }) => {
      clearTimeout(clock);
      started = true;
      status.textContent = data.error ? "It failed: " + data.error : "";
      if (data.error) form.dataset.state = "failed";
      else show(data.found);
    };
    worker.onerror = () => {
      clearTimeout(clock);
      stop("Python could not be started here.");
    };
    worker.postMessage(values);
  }

  function stop(words = "This takes too long: ask the package itself.") {
    worker.terminate();
    [worker, started] = [null, false];
    status.textContent = words;
    form.dataset.state = "failed";
  }

  form.dataset.folder = new URL(form.dataset.folder, document.baseURI).href;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  document.getElementById("playground-examples").addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    asked.forEach((name) => (part(name).value = chosen.dataset[name] ?? ""));
    ask();
  });
  if (location.hash.length > 1) {
    const query = new URLSearchParams(location.hash.slice(1));
    if (query.has("graph")) {
      asked.forEach((name) => (part(name).value = query.get(name) ?? ""));
      ask();
    }
  }
})();
