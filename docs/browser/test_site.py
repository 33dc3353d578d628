"""The built site in a real browser: SITE=docs/_build/html pytest docs/browser

`.ci/docs` builds the site, looks for a browser, and runs this. Each page is opened at
the width of a phone, of a laptop and of a large screen.
"""

import os
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

DOCS = Path(__file__).parents[1]
SITE = Path(os.environ.get("SITE", DOCS / "_build" / "html")).resolve()
AXE = DOCS / "_build" / "vendor" / "axe-core" / "axe.min.js"
WIDTHS = (390, 1400, 1920)
PAGES = sorted(
    str(file.relative_to(SITE))
    for file in SITE.rglob("*.html")
    if "_static" not in file.parts
)
# Written by hand, or once for each kind of generated page: looked at in the dark, too.
KINDS = [
    page
    for page in PAGES
    if "/" not in page or page.startswith(("auto_examples/index", "develop/"))
] + PAGES[-1:]

# What is wrong with the page as it is laid out now: a list of sentences.
LOOK = """
const found = [];
const width = document.documentElement.clientWidth;
// On a phone, the bars at the sides wait outside of the screen until asked for.
const seen = (e) => e.checkVisibility({visibilityProperty: true})
  && !e.closest("dialog") && e.getBoundingClientRect().width > 1
  && (e.matches("h1, h2, h3, h4") || e.getBoundingClientRect().right > 0);
const name = (e) => (e.textContent || e.outerHTML).trim().replace(/\\s+/g, " ")
  .slice(0, 60);
// What scrolls by itself, and can be reached with the keyboard, may be wider.
const scrolls = "pre, .formula, p:has(> math), .paper, " +
  ".pst-scrollable-table-container";
const wide = [...document.querySelectorAll(".bd-article *, .bd-header *")].filter((e) =>
  seen(e) && e.getBoundingClientRect().right > width + 1 &&
  !e.parentElement.closest(scrolls) && !e.matches(".headerlink, .sd-stretched-link"));
if (wide.length || document.documentElement.scrollWidth > width + 1)
  found.push("wider than the screen: " + wide.slice(-2).map((e) =>
    e.tagName + " " + name(e)).join("; "));
for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
  if (!seen(h)) continue;
  const box = h.getBoundingClientRect();
  if (h.scrollWidth > h.clientWidth + 1 || box.right > width + 1 || box.left < 0)
    found.push("a heading is cut off: " + name(h));
}
const parts = [...document.querySelectorAll(
  ".bd-header .navbar-brand, .bd-header .nav-item, .bd-header button, " +
  ".bd-sidebar-primary, .bd-article, .bd-sidebar-secondary")].filter(seen);
for (const [k, a] of parts.entries()) for (const b of parts.slice(k + 1)) {
  if (a.contains(b) || b.contains(a)) continue;
  if (a.closest(".bd-header") === null !== (b.closest(".bd-header") === null)) continue;
  const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
  const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
  const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
  if (across > 1 && down > 1) found.push(`${name(a)} lies over ${name(b)}`);
}
for (const bar of document.querySelectorAll(".bd-sidebar"))
  if (seen(bar) && ![...bar.querySelectorAll("a")].some(seen))
    found.push("an empty bar at the side");
for (const link of document.querySelectorAll(".bd-sidebar a")) {
  if (!seen(link) || /[\\s.-]/.test(link.textContent.trim())) continue;
  const text = document.createRange();
  text.selectNodeContents(link);
  const lines = new Set([...text.getClientRects()].map((r) => Math.round(r.top / 8)));
  if (lines.size > 1 && text.getBoundingClientRect().height > 34)
    found.push("a name is broken: " + name(link));
}
for (const image of document.images)
  if (image.complete && image.naturalWidth === 0)
    found.push("no picture: " + image.src);
return found;
"""
ASK_AXE = """
const done = arguments[arguments.length - 1];
// Not what docutils writes around citations, which no page can change.
const rules = {"aria-deprecated-role": {enabled: false}, "aria-required-children":
  {enabled: false}};
const options = {runOnly: ["wcag2a", "wcag2aa"], resultTypes: ["violations"], rules};
axe.run(document, options).then(
  (found) => done(found.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) =>
    `${v.id}: ${n.html.slice(0, 140)} ` +
    n.any.map((c) => c.message).join(" ").slice(0, 160)
  ))), (error) => done([String(error)]));
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def address():
    handler = partial(_Quiet, directory=SITE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for option in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--disable-dev-shm-usage", "--force-prefers-reduced-motion"),
    ):
        options.add_argument(option)
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def resize(browser, width, height=900):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def turn(browser, mode):
    """Make the page light or dark, as its button does."""
    browser.execute_script(
        "document.documentElement.dataset.theme = arguments[0];"
        "document.documentElement.dataset.mode = arguments[0];",
        mode,
    )


def complaints(browser):
    return [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def axe(browser):
    browser.execute_script(AXE.read_text())
    return browser.execute_async_script(ASK_AXE)


def test_there_are_pages():
    assert len(PAGES) > 100
    assert {"index.html", "user_guide.html", "api.html", "playground.html"} <= set(
        PAGES
    )


def test_every_page_fits_and_can_be_read(browser, address):
    """No overflow, no overlap, no console error, and what axe-core finds, on each."""
    wrong = {}
    for page in PAGES:
        resize(browser, 1400)
        browser.get(address + page)
        found = []
        for width in WIDTHS:
            resize(browser, width)
            found += [f"at {width}: {words}" for words in browser.execute_script(LOOK)]
        found += complaints(browser)
        resize(browser, 1400)
        found += axe(browser)
        if page in KINDS:
            turn(browser, "dark")
            found += [f"dark: {words}" for words in axe(browser)]
            turn(browser, "light")
        if found:
            wrong[page] = found
    told = "\n".join(f"{page}\n    " + "\n    ".join(w) for page, w in wrong.items())
    assert not wrong, f"{len(wrong)} of {len(PAGES)} pages:\n{told}"


def test_the_checks_see_what_is_wrong(browser, address):
    """A page that is spoiled on purpose is found out, in each way."""
    resize(browser, 1400)
    browser.get(address + "user_guide.html")
    resize(browser, 390)
    assert not browser.execute_script(LOOK)
    browser.execute_script(
        "const put = (html) => document.querySelector('.bd-article')"
        ".insertAdjacentHTML('afterbegin', html);"
        "put('<div style=\"width: 900px\">wide</div>');"
        "put('<h2 style=\"white-space: nowrap; overflow: hidden\">'"
        " + 'A heading '.repeat(40) + '</h2>');"
        "put('<img src=nothing.png>');"
        "put('<p style=\"color: #ccc; background: #fff\">pale words</p>');"
    )
    browser.implicitly_wait(0.2)
    found = " ".join(browser.execute_script(LOOK))
    assert "wider than the screen" in found and "a heading is cut off" in found
    resize(browser, 1400)
    found = " ".join(axe(browser))
    assert "color-contrast" in found and "image-alt" in found
    complaints(browser)


class _Links(HTMLParser):
    """The addresses that a page names, and the places in it that can be named."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links |= {values[key] for key in ("href", "src") if values.get(key)}


def test_no_link_inside_of_the_site_is_dead():
    read = {page: _Links((SITE / page).read_text()) for page in PAGES}
    dead = set()
    for page, found in read.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            root = SITE if path.startswith("/") else (SITE / page).parent
            file = (root / path.lstrip("/")).resolve() if path else SITE / page
            if file.is_dir():
                file /= "index.html"
            if not file.is_file():
                dead.add(f"{page}: {link}")
            elif parts.fragment and file.suffix == ".html":
                other = str(file.relative_to(SITE))
                if other in read and unquote(parts.fragment) not in read[other].ids:
                    dead.add(f"{page}: {link}")
    assert not dead, "\n".join(sorted(dead))


def test_other_sites_are_asked_for_nothing():
    """Scripts, styles and pictures come from the site itself."""
    for page in PAGES:
        text = (SITE / page).read_text()
        for mark in ('<script src="http', '<img src="http', "cdn."):
            assert mark not in text, f"{page} has {mark}"
        assert 'rel="stylesheet" type="text/css" href="http' not in text, page


def test_llms_txt_names_every_page_of_the_guide():
    text = (SITE / "llms.txt").read_text()
    for page in PAGES:
        if "/" not in page and page not in {
            *("index.html", "search.html", "genindex.html", "sg_execution_times.html"),
        }:
            assert f"]({page})" in text, page


# -- the parts that move -------------------------------------------------------------


def _until(browser, condition, seconds=30):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds).until(lambda b: b.execute_script(condition))


def test_the_switcher_lists_this_version(browser, address):
    resize(browser, 1400)
    browser.get(address + "start_here.html")
    _until(browser, "return document.querySelector('.version-switcher__menu a')", 5)
    menu = "return document.querySelector('.version-switcher__menu a').href"
    assert browser.execute_script(menu) == address + "start_here.html"


def test_code_has_a_button_to_copy_it(browser, address):
    browser.get(address + "start_here.html")
    assert _until(
        browser, "return document.querySelectorAll('button.copybtn').length", 5
    )


def test_the_search_finds_a_class(browser, address):
    browser.get(address + "search.html?q=CounterfactualPolicy")
    _until(browser, "return document.querySelector('#search-results li a')", 15)
    text = browser.execute_script(
        "return document.querySelector('#search-results').textContent"
    )
    assert "CounterfactualPolicy" in text


ASK = """
for (const [name, value] of Object.entries(arguments[0]))
  document.querySelector(`[name=${name}]`).value = value;
document.getElementById("playground-form").requestSubmit();
"""
STATE = "return document.getElementById('playground-form').dataset.state"


def _ask(browser, **values):
    """What the playground answers: its state and its words."""
    browser.execute_script(ASK, {"given": "", **values})
    _until(browser, f"{STATE} !== 'busy'", 90)
    status = "return document.getElementById('playground-status').textContent"
    found = "return document.getElementById('playground-found').textContent"
    return (
        browser.execute_script(STATE),
        browser.execute_script(found) + browser.execute_script(status),
    )


@pytest.mark.skipif(
    not (SITE / "_static/playground/pyodide/pyodide.asm.wasm").is_file(),
    reason="Pyodide is not bundled: npm was not there when the site was built",
)
def test_the_playground_answers(browser, address):
    resize(browser, 390)
    browser.get(address + "playground.html")
    asked = {"outcome": "y", "treatment": "x"}
    state, words = _ask(browser, graph="z -> x -> y; z -> y", **asked)
    assert state == "identified" and "Σ_{z} P(y | z, x) P(z)" in words
    state, words = _ask(browser, graph="x -> y; x <-> y", **asked)
    assert state == "refused" and "An experiment on x always does." in words
    state, words = _ask(browser, graph="x -> y -> x", **asked)
    assert state == "wrong" and "cycle" in words
    evil = '"<img src=q onerror=alert(1)>"'
    state, words = _ask(browser, graph=f"x -> {evil} -> y; x <-> y", **asked)
    assert state == "identified" and "<img src=q" in words
    where = "return document.querySelectorAll('#playground img').length"
    assert browser.execute_script(where) == 0
    assert not browser.execute_script(LOOK)
    assert not complaints(browser)
    # The address holds the question: opened again, it is asked again.
    browser.get(browser.current_url.replace("playground.html", "playground.html?again"))
    _until(browser, f"{STATE} === 'identified'", 90)
