"""A headless Chromium opens verify.html from disk, and people see there what every verifier says."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pypdf
import pytest
from conftest import CASES, FIXTURES, PAGE, disagreements
from devtools import Browser

# What stands on the page, read as a person would: the sentence of the verdict, and the table of checks.
SHOWN = """(() => {
  const verdict = document.querySelector("#report > .verdict");
  if (!verdict) return null;
  const rows = [...document.querySelectorAll("#report > table tr")].map((row) => [...row.cells].map((cell) => cell.innerText));
  return { sentence: verdict.innerText, rows, fault: verdict.innerText.startsWith("This browser") };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


def give(browser, receipt, trust, page=PAGE):
    """Opens the page afresh, chooses both files, and returns what it then shows."""
    browser.open(page)
    browser.choose_file("#receipt", receipt)
    browser.choose_file("#trust", trust)
    return browser.wait_for(SHOWN)


def of_file(name):
    return next(case for case in CASES if case.file == name)


def test_page_shows_the_expected_verdict_and_first_failing_check(browser, case):
    shown = give(browser, case.receipt_path, case.trust_path)
    assert shown["sentence"].lower().startswith(case.verdict + ":"), shown["sentence"]
    outcomes = [(row[0].split(" (")[0], row[1]) for row in shown["rows"]]
    deciding = [name for wanted in ("failed", "missing") for name, outcome in outcomes if outcome == wanted]
    assert (deciding[0] if deciding else None) == case.check, outcomes
    assert all(row[2].endswith(".") for row in shown["rows"]), shown["rows"]
    asked = {request["request"]["url"].split(":")[0] for request in browser.take_events("Network.requestWillBeSent")}
    assert asked == {"file"}


def test_page_given_another_receipt_shows_that_ones_verdict(browser):
    good, bad = of_file("erased.receipt.json"), of_file("altered-field.receipt.json")
    assert give(browser, good.receipt_path, good.trust_path)["sentence"].startswith("Verified")
    browser.choose_file("#receipt", bad.receipt_path)
    browser.wait_for('document.querySelector(".verdict.invalid") !== null')
    assert browser.evaluate('document.querySelectorAll(".verdict").length') == 1
    browser.choose_file("#trust", FIXTURES / "trust-duplicate-key.json")
    browser.wait_for('document.querySelector("#report").dataset.deciding === "trust-file"')


def test_page_given_a_quick_file_after_a_slow_one_shows_the_quick_ones_verdict(browser, tmp_path):
    slow, quick = of_file("erased.receipt.json"), of_file("altered-field.receipt.json")
    padded = tmp_path / "slow.receipt.json"
    padded.write_bytes(slow.receipt_path.read_bytes() + b" " * (15 << 20))
    browser.open(PAGE)
    browser.choose_file("#trust", slow.trust_path)
    browser.choose_file("#receipt", padded)
    browser.choose_file("#receipt", quick.receipt_path)
    browser.wait_for('document.querySelector(".verdict.invalid") !== null')
    browser.evaluate("new Promise((done) => setTimeout(done, 3000))")
    assert browser.wait_for(SHOWN)["sentence"].startswith("Invalid")
    assert browser.evaluate('document.querySelector("#receipt").files[0].name') == quick.file


def test_page_shows_text_of_a_receipt_as_text(browser, tmp_path):
    name = tmp_path / "<img src=x onerror=document.title='run'>.receipt.json"
    name.write_bytes(of_file("erased.receipt.json").receipt_path.read_bytes())
    give(browser, name, FIXTURES / "trust.json")
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.title") == "Lethe receipt"


def test_mutants_get_one_verdict_from_the_second_reader_and_the_page_in_chromium(browser, mutant_folder, second_verdicts):
    """Node's Ed25519 is OpenSSL's, Chromium's is another: neither may be laxer."""
    browser.open(PAGE)
    browser.evaluate("""window.ask = async (...files) => {
      const [receipt, trust] = files.map((text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
      const report = await Lethe.verify(receipt, trust);
      return [report.verdict, report.deciding];
    }""")
    answers = []
    for receipt, _ in second_verdicts:
        files = [(mutant_folder / name).read_bytes() for name in (receipt, receipt.replace(".receipt.", ".trust."))]
        answers.append(tuple(browser.evaluate(f"ask(...{json.dumps([base64.b64encode(data).decode() for data in files])})")))
    assert not disagreements(second_verdicts, answers)


class Listener(BaseHTTPRequestHandler):
    def handle_request(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_OPTIONS = do_HEAD = handle_request

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def listener():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


ATTEMPTS = {
    "fetch": "fetch(there, { mode: 'no-cors' }).catch(() => {})",
    "request": "const request = new XMLHttpRequest(); request.open('GET', there); request.send()",
    "beacon": "navigator.sendBeacon(there, 'x')",
    "socket": "new WebSocket(there.replace('http', 'ws'))",
    "events": "new EventSource(there)",
    "image": "new Image().src = there",
    "script": "document.head.append(Object.assign(document.createElement('script'), { src: there }))",
    "style": "document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: there }))",
    "frame": "document.body.append(Object.assign(document.createElement('iframe'), { src: there }))",
    "object": "document.body.append(Object.assign(document.createElement('object'), { data: there }))",
    "font": "const face = new FontFace('x', `url(${there})`); document.fonts.add(face); face.load().catch(() => {})",
    "video": "document.body.append(Object.assign(document.createElement('video'), { src: there, preload: 'auto' }))",
    "form": """const frame = document.createElement("iframe"); frame.name = "aside"; document.body.append(frame);
      const form = Object.assign(document.createElement("form"), { action: there, method: "post", target: "aside" });
      document.body.append(form); form.submit()""",
}


def try_all(browser, listener):
    """The attempts that reached the listener, from the page that is open."""
    for name, code in ATTEMPTS.items():
        there = f"http://127.0.0.1:{listener.server_address[1]}/{name}"
        browser.evaluate(f"(() => {{ const there = {json.dumps(there)}; try {{ {code} }} catch {{}} }})()")
    browser.evaluate("new Promise((done) => setTimeout(done, 2500))")
    return {path.strip("/") for path in listener.asked}


def test_page_can_reach_no_network_by_any_way(browser, listener):
    case = of_file("erased.receipt.json")
    give(browser, case.receipt_path, case.trust_path)
    assert try_all(browser, listener) == set()


def test_network_attempts_reach_the_listener_without_the_policy(browser, listener, tmp_path):
    lines = PAGE.read_text().splitlines(keepends=True)
    open_page = tmp_path / "open.html"
    open_page.write_text("".join(line for line in lines if "Content-Security-Policy" not in line))
    browser.open(open_page)
    assert try_all(browser, listener) == set(ATTEMPTS)


def test_page_runs_no_script_but_its_own(browser):
    browser.open(PAGE)
    browser.evaluate("""(() => {
      const added = document.createElement("script");
      added.textContent = "document.title = 'run'";
      document.head.append(added);
      document.body.setAttribute("onclick", "document.title = 'run'");
      document.body.click();
    })()""")
    assert browser.evaluate("document.title") == "Lethe receipt"


def words(text):
    """Text without what a printer's line breaks change."""
    return "".join(text.split())


def printed(browser, case):
    give(browser, case.receipt_path, case.trust_path)
    return words("".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(browser.pdf())).pages))


def test_certificate_prints_with_the_fields_of_nist_800_88(browser):
    case = of_file("purged.receipt.json")
    text = printed(browser, case)
    for envelope in case.envelopes():
        predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
        assert predicate["receiptId"] in text
        assert predicate["times"]["finished"] in text
    tenant, sanitization, root = predicate["tenant"], predicate["sanitization"], predicate["root"]
    wanted = [value for value in sanitization.values()] + list(tenant.values())
    wanted += [key["kekId"] for key in predicate["keys"]] + [root["provider"], root["destroyedAt"], root["assurance"]]
    wanted += [approval["principal"] for approval in predicate["termination"]["approvals"]]
    wanted += [predicate["inventory"]["root"], str(predicate["inventory"]["objects"]), predicate["backup"]["sha256"]]
    wanted += [predicate["assurance"], predicate["rootBackupHorizon"], *predicate["notCovered"], *predicate["residualRisks"]]
    wanted += [one["keyid"] for one in envelope["signatures"]] + ["Rat AG", "Verified: every check holds."]
    assert [value for value in wanted if words(value) not in text] == []


def test_certificate_of_an_invalid_receipt_is_not_printed(browser):
    text = printed(browser, of_file("altered-field.receipt.json"))
    assert "Certificate" not in text
    assert words("Invalid: a check is broken") in text
